"""Bytes in, text out: one module a family of formats, joined in the registry."""

from phaseflow.components.extraction.registry import extract, needs_worker
from phaseflow.components.extraction.types import Extracted

__all__ = ["Extracted", "extract", "needs_worker"]
