"""A busy machine, made of waits: run tests with ``-p tests.lag`` to find those that pass on a quiet one only.

Each trip to the thread of a connection, and to any other thread, takes a while that is drawn anew, before its work and
after it. So what usually comes first comes last now and then, and no processor has to be kept busy for that.
"""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import anyio.to_thread
import pytest

from phaseflow.store.connection import Connection

WAITS_S = (0.0, 0.0, 0.0, 0.003, 0.01, 0.03, 0.15)
"""Mostly none: an order is turned round where one trip takes long beside another that does not."""

_chance = random.Random()  # noqa: S311  # no secret


def late(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with a wait before it and one after it."""

    @wraps(work, updated=())
    def lagging(*given: Any, **options: Any) -> Any:
        time.sleep(_chance.choice(WAITS_S))
        try:
            return work(*given, **options)
        finally:
            time.sleep(_chance.choice(WAITS_S))

    return lagging


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Draw the same waits for a test each time; who gets which of them is up to its threads."""
    _chance.seed(item.nodeid)


def pytest_configure() -> None:
    """Make all trips late."""
    call, run_sync = Connection.call, anyio.to_thread.run_sync

    async def late_call(connection: Connection, work: Callable[..., Any]) -> Any:
        return await call(connection, late(work))

    async def late_run(work: Callable[..., Any], *given: Any, **options: Any) -> Any:
        return await run_sync(late(work), *given, **options)

    setattr(Connection, "call", late_call)  # noqa: B010  # mypy lets nobody assign to a method
    setattr(anyio.to_thread, "run_sync", late_run)  # noqa: B010  # as above
