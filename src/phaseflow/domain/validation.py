"""What is wrong with a value from outside, in our words: pydantic finds it, and says it in those of a programmer."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from pydantic import BeforeValidator, ValidationError
from pydantic_core import core_schema

from phaseflow.domain.counting import counted
from phaseflow.domain.patterns import words_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_TAGS: Final = frozenset(
    {"folder", "web", "upload", "fsspec", "git", "static", "openai", "named", "embedded", "postgres"}
)
"""Of the variants of sources and embedders: they stand in a place although nobody wrote them there."""
_KINDS_OF_VALUE: Final = (
    "constrained-", "function-", "list[", "set[", "frozenset[", "tuple[", "dict[", "nullable[", "union[",
    "tagged-union[", "literal[", "chain[", "lax-or-strict[", "json-or-python[", "is-instance[", "[key]",
)  # fmt: skip
"""How pydantic begins the name of a kind of value, or of a check, in a place."""
_MEMBERS: Final = frozenset({"str", "bool", "int", "float", "dict"})
"""How pydantic calls a member of a union, or a key, in a place."""
_KINDS: Final = frozenset(get_args(core_schema.ErrorType))
_LINE: Final = re.compile(r"line (\d+) column (\d+)")


class Fault(NamedTuple):
    """The first fault of a value. ``place`` is such as ``settings.chunk_size``, empty for the whole."""

    place: str
    kind: str
    problem: str
    given: Any


def first_fault(error: ValidationError, root: str = "") -> Fault:
    """The first fault that pydantic has found; ``root`` stands before its place."""
    found = error.errors(include_url=False)
    members = [each for each in found if _is_of_same_union(each["loc"], found[0]["loc"])]
    first = next((each for each in members if not _is_of_kind(each)), found[0])
    place = ".".join(part for part in (root, *_written(first["loc"])) if part)
    kind = first["type"]
    problem = (
        _in_words(kind, first.get("ctx", {})) if kind in _KINDS else first["msg"]
    )  # one that a model of ours words
    if first is found[0] and len(members) > 1 and _is_of_kind(first):
        problem = f"must be {_any_of([_in_words(each['type'], {}) for each in members])}"
    return Fault(place, kind, problem, first["input"])


def _not_nan(score: Any) -> Any:
    try:
        is_number = not math.isnan(float(score))
    except (TypeError, ValueError, OverflowError):
        return score  # whatever else is wrong with it is told with its kind, or its bounds
    if not is_number:
        raise ValueError("must be a number between 0 and 1")
    return score


NOT_NAN: Final = BeforeValidator(_not_nan)
"""Before the bounds of a share: what is not a number is beyond every bound, and "at most 1" says nothing of it."""


def _is_of_same_union(place: Sequence[int | str], first: Sequence[int | str]) -> bool:
    """Whether a fault was found in the same union of kinds as the first one."""
    depth = len(first) - 1
    return (
        len(place) > depth >= 0
        and place[:depth] == first[:depth]
        and _is_member(place[depth])
        and _is_member(first[depth])
    )


def _any_of(problems: Sequence[str]) -> str:
    kinds = list(dict.fromkeys(problem.removeprefix("must be ") for problem in problems))
    if "a number" in kinds and "a whole number" in kinds:
        kinds.remove("a whole number")
    return " or ".join(kinds) if len(kinds) < 3 else f"{', '.join(kinds[:-1])}, or {kinds[-1]}"


def _is_member(part: int | str) -> bool:
    return part in _MEMBERS or str(part).startswith(_KINDS_OF_VALUE)


def _is_of_kind(fault: "ErrorDetails") -> bool:
    """Whether the value is of another kind altogether: then another member of the union may say more."""
    return fault["type"].endswith("_type")


def _written(place: Sequence[int | str]) -> Iterator[str]:
    """The parts of a place that stand in the JSON; a source may have the name of a tag."""
    for before, part in zip(("", *place), place, strict=False):
        is_tag = part in _TAGS and before != "sources"
        if not is_tag and not str(part).startswith(_KINDS_OF_VALUE):
            yield str(part)


def _in_words(kind: str, context: Mapping[str, Any]) -> str:
    if kind in {"value_error", "assertion_error"}:
        return str(context["error"])  # raised by our own checks
    if kind in _WITH_CONTEXT:
        return _WITH_CONTEXT[kind](context)
    return next((words for prefix, words in _BY_PREFIX.items() if kind.startswith(prefix)), "cannot be used here")


def _not_json(error: str) -> str:
    """What the reader of JSON stumbled over, by its words: some of what it refuses is JSON, but cannot be kept."""
    words = next((words for part, words in _REFUSED_JSON.items() if part in error), "is not JSON")
    found = _LINE.search(error)
    return f"{words}; look at line {found[1]}, column {found[2]}" if found else words


_REFUSED_JSON: Final = {
    "recursion limit": "is nested too deep",
    "number out of range": "holds a number that is too large",
    "surrogate": "holds half a character",
    "end of hex escape": "holds half a character",
}


_WITH_CONTEXT: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than": lambda c: f"must be more than {c['gt']}",
    "greater_than_equal": lambda c: f"must be at least {c['ge']}",
    "less_than": lambda c: f"must be less than {c['lt']}",
    "less_than_equal": lambda c: f"must be at most {c['le']}",
    "multiple_of": lambda c: f"must be a multiple of {c['multiple_of']}",
    "literal_error": lambda c: f"must be {c['expected']}",
    "enum": lambda c: f"must be {c['expected']}",
    "union_tag_invalid": lambda c: f"the {c['discriminator']} must be one of {c['expected_tags']}",
    "union_tag_not_found": lambda c: f"must have a {c['discriminator']}",
    "string_too_short": lambda c: f"must have at least {counted(c['min_length'], 'character')}",
    "string_too_long": lambda c: f"must have at most {counted(c['max_length'], 'character')}",
    "string_pattern_mismatch": lambda c: words_of(c["pattern"]),
    "too_short": lambda c: f"must have at least {counted(c['min_length'], 'item')}",
    "too_long": lambda c: f"must have at most {counted(c['max_length'], 'item')}",
    "url_scheme": lambda c: f"must be a URL that begins with {c['expected_schemes']}",
    "json_invalid": lambda c: _not_json(c["error"]),
}
_BY_PREFIX: Final = {
    "missing": "is required",
    "extra_forbidden": "is not known here; check its spelling",
    "unexpected": "is not known here; check its spelling",
    "int": "must be a whole number",
    "float": "must be a number",
    "decimal": "must be a number",
    "finite_number": "must be a number, and not infinite",
    "bool": "must be true or false",
    "string": "must be a text",
    "bytes": "must be a text",
    "list": "must be a list",
    "tuple": "must be a list",
    "set": "must be a list",
    "frozen_set": "must be a list",
    "iterable": "must be a list",
    "dict": "must be an object",
    "mapping": "must be an object",
    "model": "must be an object",
    "dataclass": "must be an object",
    "none_required": "must be null",
    "url": "must be a URL, such as https://example.org/page",
    "uuid": "must be a UUID",
    "date": "must be a date, such as 2025-12-03",
    "time": "must be a time, such as 10:00:00Z",
    "json": "is not JSON",
}
"""By the beginning of the kind of a fault; the first that fits."""
