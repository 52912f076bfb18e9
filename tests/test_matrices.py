"""What the default tests leave out of a matrix, and what they keep."""

import pytest

from tests import matrices
from tests.matrices import first_of_each

CASES = [("a", 1), ("b", 2), ("a", 3)]
NAMES = ["first", "second", "third"]


def _kind(case: tuple[str, int]) -> str:
    return case[0]


def test_of_each_kind_the_first_is_made_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "is_thorough", False)
    found = first_of_each(CASES, _kind, ids=NAMES)
    assert [(one.values, one.id) for one in found] == [(("a", 1), "first"), (("b", 2), "second")]
    assert not any(one.marks for one in found)


def test_all_are_made_where_nothing_is_left_out_and_the_others_are_thorough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "is_thorough", True)
    found = first_of_each(CASES, _kind, ids=NAMES)
    assert [(one.values, one.id) for one in found] == [*zip(CASES, NAMES, strict=True)]
    assert [[mark.name for mark in one.marks] for one in found] == [[], [], ["thorough"]]
