"""A turnstile before the writer's commit: what the test names goes through one at a time, when the test says so."""

import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import anyio
import pytest
from anyio.abc import TaskGroup

from phaseflow import PhaseFlow
from phaseflow.store import failpoints
from phaseflow.store.write_request import WriteRequest
from tests.stopwatch import fail_soon

Verb = Callable[..., Coroutine[Any, Any, object]]
MOST_S = 10
HELD_S = 60


class Turnstile:
    """While it is closed to some writes, a transaction with one of them stops right before its commit.

    Until ``pass_one`` or ``open``. Others pass: the janitor writes when it likes, and a job a while after its end.
    """

    def __init__(self) -> None:
        self._was_forgotten = False
        self._closed_to: tuple[str, ...] = ()
        self._in_transaction: list[str] = []
        self._arrived = threading.Semaphore(0)
        self._may_pass = threading.Semaphore(0)

    @classmethod
    @contextmanager
    def at_commit(cls) -> Iterator[Self]:
        """Stands there for the length of the block, open at first."""
        turnstile, run = cls(), WriteRequest.run

        def noted(request: WriteRequest[Any], connection: sqlite3.Connection, *, alone: bool) -> None:
            turnstile._in_transaction.append(name_of(request.write))
            run(request, connection, alone=alone)

        failpoints.install("store.before_commit", turnstile._reached)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(WriteRequest, "run", noted)
                yield turnstile
            assert not turnstile._was_forgotten, "one that stood before it went on by itself: the test proves nothing"
        finally:
            turnstile.open()
            failpoints.clear()

    def close(self, *writes: str) -> None:
        """Let no transaction through any more that has one of these writes: functions, by the name or its beginning."""
        assert writes
        self._closed_to = writes

    async def arrival(self) -> None:
        """Wait until one stands before it."""
        assert await anyio.to_thread.run_sync(self._arrived.acquire, True, HELD_S), "nobody came"

    def pass_one(self) -> None:
        """Let one through."""
        self._may_pass.release()

    def open(self) -> None:
        """Let everybody through from now on."""
        self._closed_to = ()
        self._may_pass.release()

    def _reached(self) -> None:
        names, self._in_transaction = self._in_transaction, []
        if any(name.startswith(self._closed_to) for name in names):
            self._arrived.release()
            self._was_forgotten |= not self._may_pass.acquire(timeout=HELD_S)


VERB, MOVE = "StateHub.change.", "StateHub.change_in_steps."


def name_of(write: Callable[..., object]) -> str:
    """What a write is called: ``Clearing._purge_some``, ``Scheduler._start_run.<locals>.<lambda>``."""
    while isinstance(write, partial):
        write = write.func
    return write.__qualname__


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
