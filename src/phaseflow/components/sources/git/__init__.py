"""Git repositories, read by dulwich: no checkout, no hooks, no program of the machine but ssh."""

from phaseflow.components.sources.git.loader import GitLoader

__all__ = ["GitLoader"]
