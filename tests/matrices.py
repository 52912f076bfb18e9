"""Matrices of cases: each kind is tried by default, each cell by ``./tasks thorough``. The same for properties."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

is_thorough = False
"""Whether this run does not leave out what is thorough: tests/conftest.py finds out before tests are collected."""


def examples(most: int) -> int:
    """How many examples a property is tried with: each run draws others, so a third of them will do by default."""
    return most if is_thorough else most // 3


def first_of_each(cases: Iterable[Any], kind: Callable[[Any], object] = lambda case: None) -> list[Any]:
    """The cases for ``parametrize``: of each kind the first is tried by default, the others are thorough."""
    seen: set[object] = set()
    found = []
    for case in cases:
        values = case if isinstance(case, tuple) and not hasattr(case, "_fields") else (case,)
        marks = [pytest.mark.thorough] if kind(case) in seen else []
        seen.add(kind(case))
        found.append(pytest.param(*values, marks=marks))
    return found
