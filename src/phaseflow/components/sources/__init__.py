"""Where documents come from: each source lists its documents and reads one as text.

Imported when it is first used: a search needs the rules for addresses, and no loader.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseflow.components.sources.folder import FolderLoader as FolderLoader

__all__ = ["FolderLoader"]

_HOMES = {"FolderLoader": "folder"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'phaseflow.components.sources' has no attribute {name!r}")
    value = getattr(import_module(f"phaseflow.components.sources.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
