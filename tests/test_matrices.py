"""What the default tests leave out of a matrix, and what they keep."""

from inspect import signature

import pytest

from tests import matrices
from tests.matrices import first_of_each, together

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


def test_cases_that_are_tried_together_are_each_tried_and_each_failure_is_named() -> None:
    tried = []

    @together(("word", "count"), CASES)
    def test(word: str, count: int) -> None:
        tried.append((word, count))
        assert word == "b"

    with pytest.raises(ExceptionGroup, match="2 of 3 cases") as failed:
        test()
    assert tried == CASES
    assert [said.__notes__[-1] for said in failed.value.exceptions] == [
        "in the case word='a', count=1",
        "in the case word='a', count=3",
    ]


def test_a_test_of_cases_that_pass_together_has_its_name_and_no_parameters() -> None:
    class Tests:
        @together("number", [1, 2])
        def test_of_numbers(self, number: int) -> None:
            """What it says."""
            assert number

    Tests().test_of_numbers()
    made = Tests.test_of_numbers
    assert (made.__name__, made.__doc__, [*signature(made).parameters]) == (
        "test_of_numbers",
        "What it says.",
        ["self"],
    )


def test_a_case_that_should_have_raised_is_named_too() -> None:
    @together("number", [0, 1])
    def test(number: int) -> None:
        with pytest.raises(ZeroDivisionError):
            print(1 / number)

    with pytest.raises(BaseExceptionGroup, match="1 of 2 cases") as failed:
        test()
    assert failed.value.exceptions[0].__notes__ == ["in the case number=1"]
