"""What a document says about itself: author, date, language, tags, within limits that every document keeps."""

import json
from collections.abc import Mapping
from math import isfinite

from phaseflow.components.protocols import MetadataValue

MAX_KEYS = 64
MAX_BYTES = 16_384
"""Of all of a document's metadata as JSON."""
_LONGEST_KEY = 200
_LONGEST_TEXT = 4000
_MOST_ITEMS = 100
_JOINERS = "\u200c\u200d"
"""Say how letters are written: without them, Persian words and some emoji are others."""


def within_limits(said: Mapping[str, object]) -> dict[str, MetadataValue]:
    """Return what can be kept, in the order given: texts without control characters, cut to 4,000 characters; numbers;
    booleans; lists of up to 100 texts. What is empty, of another kind, or beyond 64 keys or 16 KB is left out.
    """
    kept: dict[str, MetadataValue] = {}
    size = 2
    for spelled, value in said.items():
        key, held = _text(spelled)[:_LONGEST_KEY], _value(value)
        if not key or held is None or len(kept) >= MAX_KEYS:
            continue
        # With the quotes, the colon and the comma between two of them.
        added = len(json.dumps(key)) + len(json.dumps(held)) + 4
        if size + added <= MAX_BYTES:
            kept[key] = held
            size += added
    return kept


def _value(value: object) -> MetadataValue | None:
    if isinstance(value, str):
        return _text(value) or None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < 2**63 and isfinite(value) else None
    if isinstance(value, list | tuple):
        return [text for each in value[:_MOST_ITEMS] if isinstance(each, str) and (text := _text(each))] or None
    return None


def _text(value: str) -> str:
    """One line without control characters and halves of letters."""
    signs = "".join(
        sign for sign in value[: 2 * _LONGEST_TEXT] if sign.isprintable() or sign.isspace() or sign in _JOINERS
    )
    return " ".join(signs.split())[:_LONGEST_TEXT].rstrip()
