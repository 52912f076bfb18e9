"""Matrices of cases: each kind is tried by default, each cell by ``./tasks thorough``. The same for properties."""

from collections.abc import Callable, Iterable
from functools import partial
from inspect import signature
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


def together(
    names: str | tuple[str, ...], cases: Iterable[Any], *, ids: Callable[[Any], str] = repr
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """All cases in one test, where each takes next to no time: a test of its own costs more than such a case does.

    As ``parametrize``, but for a test without fixtures. Each case that fails is named, with what it says.
    """
    made = list(cases)
    assert made, "nothing would be tried"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        def tried(*of: Any) -> None:
            failed = [said for case in made if (said := _failure(partial(test, *of), names, case, ids))]
            if failed:
                raise BaseExceptionGroup(f"{len(failed)} of {len(made)} cases", failed)

        def method(self: Any) -> None:
            tried(self)

        def function() -> None:
            tried()

        whole = method if "self" in signature(test).parameters else function
        whole.__name__, whole.__qualname__ = test.__name__, test.__qualname__
        whole.__doc__, whole.__module__ = test.__doc__, test.__module__
        return whole

    return decorate


def _failure(
    test: Callable[..., None], names: str | tuple[str, ...], case: Any, ids: Callable[[Any], str]
) -> BaseException | None:
    values = dict(zip(names, case, strict=True)) if isinstance(names, tuple) else {names: case}
    try:
        test(**values)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # of the test, and raised again
        error.add_note("in the case " + ", ".join(f"{name}={ids(value)}" for name, value in values.items()))
        return error
    return None
