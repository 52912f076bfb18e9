"""The server of the protocol, by the official SDK, which is imported when this is called."""

from inspect import getdoc
from typing import TYPE_CHECKING

from phaseflow.domain.errors import MissingExtra
from phaseflow.mcp.backend import Backend
from phaseflow.mcp.tools import DATA_NOTE, Tools, told

if TYPE_CHECKING:
    from mcp.server import MCPServer

INSTRUCTIONS = (
    "Search and fill knowledge bases: collections of documents that phaseflow ingests in four phases (loading,"
    " chunking, embedding, indexing). Look with list_knowledge_bases, answer from search, and cite the uri of each"
    f" passage. {DATA_NOTE}"
)
# (read only, destructive, idempotent)
_HINTS = {
    "search": (True, False, True),
    "list_knowledge_bases": (True, False, True),
    "get_document": (True, False, True),
    "status": (True, False, True),
    "add_documents": (False, True, True),
    "start": (False, True, False),
    "pause": (False, False, True),
    "resume": (False, False, True),
    "retry": (False, False, True),
    "cancel": (False, True, True),
}


def make_server(backend: Backend) -> "MCPServer":
    """A server with all tools. Raises MissingExtra when the SDK is not installed."""
    try:
        from mcp.server import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise MissingExtra("the Model Context Protocol", "mcp") from error
    server, tools = MCPServer("phaseflow", instructions=INSTRUCTIONS), Tools(backend)
    for name, (read_only, destructive, idempotent) in _HINTS.items():
        hints = ToolAnnotations(
            read_only_hint=read_only, destructive_hint=destructive, idempotent_hint=idempotent,
            open_world_hint=name == "start",
        )  # fmt: skip
        tool = getattr(tools, name)
        server.add_tool(told(tool), name=name, description=getdoc(tool), annotations=hints, structured_output=True)
    return server
