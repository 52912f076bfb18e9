"""How a document becomes passages: one that was made by another recipe is made again."""

from typing import Final

from phaseflow.components import context
from phaseflow.components.chunker import cutting_rules
from phaseflow.components.protocols import Chunker
from phaseflow.domain import words

_EXTRACTION: Final = "4"
"""Grows when the same bytes are extracted as another text."""


def recipe(chunker: Chunker, model: str) -> str:
    """All that can change, with ``model``, the fingerprint of the vectors."""
    return f"{_EXTRACTION} {chunker.fingerprint} {_passages()} {model}"


def rules(*, own_chunker: bool) -> str:
    """Of all that the part which no setting and no component of a program decides: it changes with the version of
    phaseflow, or of the library that cuts, unless a program cuts with its ``own_chunker``."""
    cutting = "" if own_chunker else f" {cutting_rules()}"
    return f"extraction{_EXTRACTION}{cutting} {_passages()}"


def _passages() -> str:
    return f"context{context.RULES} words{words.VERSION}"
