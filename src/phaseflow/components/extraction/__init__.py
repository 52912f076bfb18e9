"""Bytes in, text out: one module a family of formats, joined in the registry.

Names are imported when they are first used: a search reads no document.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseflow.components.extraction.registry import extract as extract
    from phaseflow.components.extraction.registry import needs_worker as needs_worker
    from phaseflow.components.extraction.types import Extracted as Extracted

__all__ = ["Extracted", "extract", "needs_worker"]

_HOMES = {"extract": "registry", "needs_worker": "registry", "Extracted": "types"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'phaseflow.components.extraction' has no attribute {name!r}")
    value = getattr(import_module(f"phaseflow.components.extraction.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
