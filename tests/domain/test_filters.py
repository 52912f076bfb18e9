"""Filters and globs: what is taken, what is refused, and that no pattern takes long."""

import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseflow.domain import globs
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.filters import DEEPEST, MOST_PARTS, Comparison, Group, as_filter
from phaseflow.domain.globs import glob, literal_prefix
from phaseflow.domain.new_document import check_metadata
from tests.matrices import together
from tests.stopwatch import Stopwatch

EQ = {"type": "eq", "key": "source", "value": "push"}


def test_a_filter_is_read_from_json_or_a_mapping() -> None:
    assert as_filter(None) is None
    assert as_filter(EQ) == Comparison("eq", "source", ("push",))
    assert as_filter('{"type":"or","filters":[{"type":"in","key":"year","value":[2024,2025]}]}') == Group(
        "or", (Comparison("in", "year", (2024, 2025)),)
    )


def test_a_moment_is_taken_in_iso_8601_and_in_seconds() -> None:
    for value in ("2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", 1769860800, "2026-01-31T12:00"):
        found = as_filter({"type": "gte", "key": "indexed_at", "value": value})
        assert found == Comparison("gte", "indexed_at", ("2026-01-31T12:00:00.000Z",))


@given(st.floats() | st.integers(-(1 << 65), 1 << 65) | st.sampled_from([1e300, -0.0, (1 << 63) - 1, 1 << 63]))
def test_a_filter_takes_the_numbers_that_metadata_takes(number: float) -> None:
    assert _refusal(lambda: check_metadata({"n": number})) == _refusal(
        lambda: as_filter({"type": "eq", "key": "n", "value": number})
    )


def _refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except InvalidRequest as error:
        return str(error).partition(": ")[2]
    return ""


def nested(depth: int) -> dict[str, Any]:
    return EQ if depth == 0 else {"type": "and", "filters": [nested(depth - 1)]}


@together(
    ("given", "field"),
    [
        ("{", "filter"),
        ("[" * 30_000, "filter"),
        ([], "filter"),
        ({"type": "like", "key": "a", "value": 1}, "filter.type"),
        ({"type": ["eq"], "key": "a", "value": 1}, "filter.type"),
        ({"type": "eq", "key": "", "value": 1}, "filter.key"),
        ({"type": "eq", "key": 1, "value": 1}, "filter.key"),
        ({"type": "eq", "key": "a"}, "filter.value"),
        ({"type": "eq", "key": "a", "value": None}, "filter.value"),
        ({"type": "eq", "key": "a", "value": float("nan")}, "filter.value"),
        ({"type": "eq", "key": "a", "value": 1 << 70}, "filter.value"),
        ({"type": "eq", "key": "a", "value": "\ud800"}, "filter.value"),
        ({"type": "in", "key": "a", "value": "text"}, "filter.value"),
        ({"type": "gt", "key": "a", "value": True}, "filter.value"),
        ({"type": "glob", "key": "uri", "value": "*" * 5000}, "filter.value"),
        ({"type": "eq", "key": "size", "value": "large"}, "filter.value"),
        ({"type": "gt", "key": "indexed_at", "value": "yesterday"}, "filter.value"),
        ({"type": "gt", "key": "indexed_at", "value": 1e300}, "filter.value"),
        ({"type": "eq", "key": "a", "value": 1, "boost": 2}, "filter.boost"),
        ({"type": "and", "filters": []}, "filter.filters"),
        ({"type": "and", "filters": [EQ, {"type": "eq", "key": "b"}]}, "filter.filters.1.value"),
        (nested(DEEPEST + 1), "filter"),
        ({"type": "or", "filters": [EQ] * MOST_PARTS}, "filter"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(given: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        as_filter(given)
    assert str(caught.value.field).startswith(field)


def compared(**given: Any) -> dict[str, Any]:
    return {"type": "eq", "key": "a", "value": 1, **given}


@together(
    ("most", "too_much"),
    [
        (compared(value="x" * 4096), compared(value="x" * 4097)),
        (compared(type="glob", value="*" * globs.LONGEST), compared(type="glob", value="*" * (globs.LONGEST + 1))),
        (compared(value=(1 << 63) - 1), compared(value=1 << 63)),
        (compared(key="k" * 256), compared(key="k" * 257)),
        (compared(type="in", value=[1] * 1000), compared(type="in", value=[1] * 1001)),
        (nested(DEEPEST), nested(DEEPEST + 1)),
        ({"type": "or", "filters": [EQ] * (MOST_PARTS - 1)}, {"type": "or", "filters": [EQ] * MOST_PARTS}),
        (compared(key="size", value=0.5), compared(key="size", value=True)),
        (compared(key="uri", value="1"), compared(key="uri", value=1)),
    ],
)
def test_a_filter_is_taken_up_to_its_bounds(most: Any, too_much: Any) -> None:
    assert as_filter(most) is not None
    with pytest.raises(InvalidRequest):
        as_filter(too_much)


@together(
    ("pattern", "text", "fits"),
    [
        ("guide/*.md", "guide/a/b.md", True),
        ("guide/*.md", "guide/a.txt", False),
        ("?.md", "é.md", True),
        ("[a-c]*", "bcd", True),
        ("[!a-c]*", "bcd", False),
        ("[b-d]", "a", False),
        ("[b-d]", "d", True),
        ("[b-d]", "e", False),
        ("[]]", "]", True),
        ("[", "[", True),
        ("\\*", "*", True),
        ("\\*", "a", False),
        ("", "", True),
        ("*", "", True),
        ("a**b", "ab", True),
    ],
)
def test_globs(pattern: str, text: str, fits: bool) -> None:
    assert glob(pattern)(text) is fits


@given(st.text("ab*?/", max_size=12), st.text("ab/", max_size=12))
def test_a_glob_without_sets_means_what_fnmatch_takes_it_for(pattern: str, text: str) -> None:
    assert glob(pattern)(text) == fnmatchcase(text, pattern)
    assert not glob(pattern)(text) or text.startswith(literal_prefix(pattern))


def test_no_pattern_takes_exponential_time() -> None:
    watch = Stopwatch(time.process_time)
    assert not glob("*a" * 400 + "b")("a" * 4096)
    assert watch.within(2)
