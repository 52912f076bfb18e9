"""Git repositories, read by dulwich: no checkout, no hooks, no program of the machine but ssh.

Imported when it is first used: most jobs read folders.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseflow.components.sources.git.loader import GitLoader as GitLoader

__all__ = ["GitLoader"]


def __getattr__(name: str) -> Any:
    if name != "GitLoader":
        raise AttributeError(f"module 'phaseflow.components.sources.git' has no attribute {name!r}")
    from phaseflow.components.sources.git.loader import GitLoader

    return GitLoader
