"""Sources that fsspec reaches: object stores, file servers, and whatever else it has a file system for."""

from phaseflow.components.sources.remote.loader import FsspecLoader

__all__ = ["FsspecLoader"]
