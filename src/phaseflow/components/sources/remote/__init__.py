"""Sources that fsspec reaches: object stores, file servers, and whatever else it has a file system for.

Imported when it is first used: most jobs read folders.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseflow.components.sources.remote.loader import FsspecLoader as FsspecLoader

__all__ = ["FsspecLoader"]


def __getattr__(name: str) -> Any:
    if name != "FsspecLoader":
        raise AttributeError(f"module 'phaseflow.components.sources.remote' has no attribute {name!r}")
    from phaseflow.components.sources.remote.loader import FsspecLoader

    return FsspecLoader
