"""What a document says about itself: author, date, language, tags, within limits that every document keeps."""

import json
import re
from collections.abc import Mapping

from phaseflow.domain.values import MetadataValue, is_kept

MAX_KEYS = 64
MAX_BYTES = 16_384
"""Of all of a document's metadata as JSON."""
_MOST_OF_A_SIGN = 12
"""Bytes that JSON takes for one."""
_AROUND = 10
_LONGEST_KEY = 200
_LONGEST_TEXT = 4000
_MOST_ITEMS = 100
_PROPERTIES = {
    "creator": "author", "author": "author", "initial-creator": "author",
    "subject": "subject", "description": "description", "language": "language",
    "keywords": "tags", "keyword": "tags",
    "created": "created", "creation-date": "created", "creationdate": "created",
    "modified": "modified", "date": "modified", "moddate": "modified",
}  # fmt: skip
_SAYS_NOTHING = frozenset(("unspecified", "anonymous", "unknown", "untitled"))
_TAGS = re.compile("[,;]")
_PDF_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z|([+-])(\d\d)'?(\d\d)?'?)?(?:00'00'?)?")
_JOINERS = "\u200c\u200d"
"""Say how letters are written: without them, Persian words and some emoji are others."""


def within_limits(said: Mapping[str, object]) -> dict[str, MetadataValue]:
    """Return what can be kept, in the order given: texts without control characters, cut to 4,000 characters; numbers;
    booleans; lists of up to 100 texts. What is empty, of another kind, or beyond 64 keys or 16 KB is left out.
    """
    found: dict[str, MetadataValue] = {}
    signs = 0
    for spelled, value in said.items():
        key, held = _text(spelled)[:_LONGEST_KEY], _value(value)
        if key and held is not None:
            found[key] = held
            signs += len(key) + (len(held) if isinstance(held, str) else len(str(held)))
    # To measure each takes longer than all else here, and most documents say little.
    if len(found) <= MAX_KEYS and _MOST_OF_A_SIGN * signs + _AROUND * len(found) <= MAX_BYTES:
        return found
    kept: dict[str, MetadataValue] = {}
    size = 2
    for key, held in found.items():
        # With the quotes, the colon and the comma between two of them.
        added = len(json.dumps(key)) + len(json.dumps(held)) + 4
        if size + added <= MAX_BYTES and len(kept) < MAX_KEYS:
            kept[key] = held
            size += added
    return kept


def office_properties(said: Mapping[str, str]) -> dict[str, MetadataValue]:
    """Return the properties of a document by the names that all formats share: author, subject, description, language,
    tags, created and modified (RFC 3339 where the format says a date).

    ``said`` are the names that Dublin Core, Office, OpenDocument and PDF have for them, in small letters.
    """
    found: dict[str, MetadataValue] = {}
    for name, key in _PROPERTIES.items():
        value = said.get(name, "").strip()
        if not value or key in found or value.strip("()").lower() in _SAYS_NOTHING:
            continue
        if key == "tags":
            found[key] = [tag.strip() for tag in _TAGS.split(value) if tag.strip()]
        else:
            found[key] = _date(value) if key in ("created", "modified") else value
    return found


def _date(value: str) -> str:
    """PDF writes D:20240131120000+01'00'."""
    found = _PDF_DATE.fullmatch(value)
    if found is None:
        return value
    year, month, day, hour, minute, second, zone, zone_hour, zone_minute = found.groups()
    moment = f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    return f"{moment}{zone}{zone_hour}:{zone_minute or '00'}" if zone_hour else f"{moment}Z"


def _value(value: object) -> MetadataValue | None:
    if isinstance(value, str):
        return _text(value) or None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if is_kept(value) else None
    if isinstance(value, list | tuple):
        return [text for each in value[:_MOST_ITEMS] if isinstance(each, str) and (text := _text(each))] or None
    return None


def _text(value: str) -> str:
    """One line without control characters and halves of letters."""
    if len(value) <= _LONGEST_TEXT and value.isprintable() and "  " not in value:
        return value.strip()
    signs = value[: 2 * _LONGEST_TEXT]
    if not signs.isprintable():
        signs = "".join(sign for sign in signs if sign.isprintable() or sign.isspace() or sign in _JOINERS)
    return " ".join(signs.split())[:_LONGEST_TEXT].rstrip()
