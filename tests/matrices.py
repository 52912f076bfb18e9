"""Matrices of cases: each kind is tried by default, each cell by ``./tasks thorough``. The same for properties."""

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any

import pytest
from _pytest.mark import ParameterSet

is_thorough = False
"""Whether this run does not leave out what is thorough: tests/conftest.py finds out before tests are collected."""


def examples(most: int) -> int:
    """How many examples a property is tried with: each run draws others, so a third of them will do by default."""
    return most if is_thorough else most // 3


def first_of_each(
    cases: Iterable[Any], kind: Callable[[Any], object] = lambda case: None, ids: Iterable[str | None] = ()
) -> list[ParameterSet]:
    """The cases for ``parametrize``: of each kind the first is tried by default, the others are thorough.

    By default the others are not even made: to make a test and leave it out takes as long as to run a small one.
    """
    seen: set[object] = set()
    found = []
    for case, name in zip_longest(cases, ids):
        is_several = isinstance(case, tuple) and not hasattr(case, "_fields")
        of = kind(case)
        if of not in seen or is_thorough:
            marks = [pytest.mark.thorough] if of in seen else []
            found.append(pytest.param(*(case if is_several else (case,)), marks=marks, id=name))
        seen.add(of)
    return found
