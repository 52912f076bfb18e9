"""A turnstile before the writer's commit: requests go through one at a time, when the test says so."""

import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Self

import anyio
import pytest
from anyio.abc import TaskGroup

from phaseflow import PhaseFlow
from phaseflow.store import failpoints
from tests.stopwatch import fail_soon

Verb = Callable[..., Coroutine[Any, Any, object]]
MOST_S = 10
HELD_S = 30


class Turnstile:
    """While it is closed, every transaction stops right before its commit until ``pass_one`` or ``open``."""

    def __init__(self) -> None:
        self._closed = self._was_forgotten = False
        self._arrived = threading.Semaphore(0)
        self._may_pass = threading.Semaphore(0)

    @classmethod
    @contextmanager
    def at(cls, point: str = "store.before_commit") -> Iterator[Self]:
        """Stands at a point for the length of the block, open at first."""
        turnstile = cls()
        failpoints.install(point, turnstile._reached)
        try:
            yield turnstile
            assert not turnstile._was_forgotten, "one that stood before it went on by itself: the test proves nothing"
        finally:
            turnstile.open()
            failpoints.clear()

    def close(self) -> None:
        """Let nobody through any more."""
        self._closed = True

    async def arrival(self) -> None:
        """Wait until one stands before it."""
        assert await anyio.to_thread.run_sync(lambda: self._arrived.acquire(timeout=HELD_S)), "nobody came"

    def pass_one(self) -> None:
        """Let one through."""
        self._may_pass.release()

    def open(self) -> None:
        """Let everybody through from now on."""
        self._closed = False
        self._may_pass.release()

    def _reached(self) -> None:
        if self._closed:
            self._arrived.release()
            self._was_forgotten |= not self._may_pass.acquire(timeout=HELD_S)


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until a condition holds."""
    with fail_soon(MOST_S):
        while not condition():  # noqa: ASYNC110  # what changes is seen from outside only
            await anyio.sleep(0.002)


async def queued(tasks: TaskGroup, flow: PhaseFlow, verb: Verb, *args: object) -> None:
    """Give a verb in a task of its own, and return when its request waits for the writer, among those of others."""
    database, asked = flow._engine.hub.database, anyio.Event()
    write = database.write

    async def seen(*given: Any, **options: Any) -> Any:
        if anyio.get_current_task().name == "the verb":
            asked.set()
        return await write(*given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "write", seen)
        tasks.start_soon(verb, *args, name="the verb")
        with fail_soon(MOST_S):
            await asked.wait()
