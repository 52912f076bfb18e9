"""Filters of a search, in the form of OpenAI's vector stores: comparisons of fields, joined by ``and`` and ``or``."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from phaseflow.domain import globs
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.status import timestamp
from phaseflow.domain.values import is_kept

MOST_PARTS: Final = 64
"""Comparisons and groups of one filter."""
DEEPEST: Final = 8
"""Groups inside groups."""
_MOST_VALUES: Final = 1000
"""Values of ``in`` and ``nin``."""
_LONGEST_VALUE: Final = 4096
"""Characters of a string that is compared."""
LONGEST_FILTER: Final = 32_000
"""Characters of a filter as JSON text."""
_LONGEST_KEY: Final = 256
COMPARISONS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "glob")
TIMES: Final = ("modified_at", "indexed_at")
BUILT_IN: Final = ("uri", "source", "title", "media_type", "size", *TIMES)
"""Fields that every document has; metadata cannot shadow them."""

Scalar = str | int | float | bool


class Comparison(NamedTuple):
    """A field compared with a value. Of a list, one element that fits is enough; ``ne`` and ``nin`` are the opposite of
    ``eq`` and ``in``, so that a document without the field fits them."""

    type: str
    key: str
    values: tuple[Scalar, ...]


class Group(NamedTuple):
    """All (``and``) or any (``or``) of several filters."""

    type: str
    filters: "tuple[Comparison | Group, ...]"


Filter = Comparison | Group


def as_filter(given: Any, field: str = "filter") -> Filter | None:
    """A filter from JSON, as text or read already; None for none. Raises InvalidRequest, which names the place."""
    return None if given is None else _Reader(field).filter(read_filter(given, field), field, 1)


def read_filter(given: Any, field: str = "filter") -> Any:
    """The JSON value of a filter that may be given as text. Raises InvalidRequest."""
    return _read(given, field) if isinstance(given, str) else given


def _read(text: str, field: str) -> Any:
    if len(text) > LONGEST_FILTER:
        raise InvalidRequest(field, f"must have at most {LONGEST_FILTER} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest(field, 'must be JSON such as {"type":"eq","key":"source","value":"push"}') from None


class _Reader:
    """Counts what it reads, so that a filter stays small."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._parts = 0

    def filter(self, given: Any, at: str, depth: int) -> Filter:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise InvalidRequest(self._field, f"must have at most {MOST_PARTS} comparisons and groups")
        if not isinstance(given, Mapping):
            raise InvalidRequest(at, "must be an object with type, key and value, or with type and filters")
        kind = given.get("type")
        if kind in ("and", "or"):
            return self._group(kind, given, at, depth)
        if kind in COMPARISONS:
            return _comparison(str(kind), given, at)
        raise InvalidRequest(f"{at}.type", f"must be one of and, or, {', '.join(COMPARISONS)}")

    def _group(self, kind: str, given: Mapping[str, Any], at: str, depth: int) -> Group:
        _only(given, ("type", "filters"), at)
        if depth > DEEPEST:
            raise InvalidRequest(at, f"groups may be {DEEPEST} deep")
        filters = given.get("filters")
        if not isinstance(filters, Sequence) or isinstance(filters, str) or not filters:
            raise InvalidRequest(f"{at}.filters", "must be a list of at least one filter")
        return Group(kind, tuple(self.filter(each, f"{at}.filters.{n}", depth + 1) for n, each in enumerate(filters)))


def _comparison(kind: str, given: Mapping[str, Any], at: str) -> Comparison:
    _only(given, ("type", "key", "value"), at)
    key = given.get("key")
    if not isinstance(key, str) or not 1 <= len(key) <= _LONGEST_KEY:
        raise InvalidRequest(f"{at}.key", f"must be a string of 1 to {_LONGEST_KEY} characters")
    if "value" not in given:
        raise InvalidRequest(f"{at}.value", "is missing")
    value = given["value"]
    values: Sequence[Any] = [value]
    if kind in ("in", "nin"):
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > _MOST_VALUES:
            raise InvalidRequest(f"{at}.value", f"must be a list of at most {_MOST_VALUES} values")
        values = value
    return Comparison(kind, key, tuple(_value(kind, key, each, f"{at}.value") for each in values))


def _only(given: Mapping[str, Any], names: Sequence[str], at: str) -> None:
    if unknown := [name for name in given if name not in names]:
        raise InvalidRequest(f"{at}.{unknown[0]!s:.100}", f"is unknown; there are {', '.join(names)}")


def _value(kind: str, key: str, value: Any, at: str) -> Scalar:
    if isinstance(value, datetime):  # a program's; JSON has none
        value = value.isoformat()
    if not isinstance(value, (str, int, float, bool)):
        raise InvalidRequest(at, "must be a string, a number or a boolean")
    if not isinstance(value, str) and not is_kept(value):
        raise InvalidRequest(at, "must be a number of 64 bits")
    if isinstance(value, str) and (len(value) > _LONGEST_VALUE or _is_broken(value)):
        raise InvalidRequest(at, f"must be valid Unicode of at most {_LONGEST_VALUE} characters")
    if kind == "glob" and not (isinstance(value, str) and len(value) <= globs.LONGEST):
        raise InvalidRequest(
            at, f"must be a pattern of at most {counted(globs.LONGEST, 'character')}, such as guide/*.md"
        )
    if kind in ("gt", "gte", "lt", "lte") and isinstance(value, bool):
        raise InvalidRequest(at, "must be a number or a string")
    if key == "size" and (isinstance(value, (str, bool)) or kind == "glob"):
        raise InvalidRequest(at, "must be a number of bytes")
    if key in TIMES:
        return _moment(value, at)
    if key in BUILT_IN and key != "size" and not isinstance(value, str):
        raise InvalidRequest(at, "must be a string")
    return value


def _moment(value: Scalar, at: str) -> str:
    """A moment as it is stored, from ISO 8601 or seconds since 1970."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        if not isinstance(value, bool):
            return timestamp(datetime.fromtimestamp(value, UTC))
    except (ValueError, OverflowError, OSError):
        pass
    raise InvalidRequest(at, "must be a moment such as 2026-01-31T12:00:00Z, or seconds since 1970")


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
