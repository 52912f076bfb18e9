"""Where documents come from: each source lists its documents and reads one as text."""

from phaseflow.components.sources.folder import FolderLoader

__all__ = ["FolderLoader"]
