"""The engine as tools for agents, by the Model Context Protocol (extra ``mcp``)."""
