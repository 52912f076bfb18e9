"""A turnstile before the writer's commit: requests go through one at a time, when the test says so."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

import anyio

from phaseflow.store import failpoints

MOST_S = 10


class Turnstile:
    """While it is closed, every transaction stops right before its commit until ``pass_one`` or ``open``."""

    def __init__(self) -> None:
        self._closed = False
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
        finally:
            turnstile.open()
            failpoints.clear()

    def close(self) -> None:
        """Let nobody through any more."""
        self._closed = True

    async def arrival(self) -> None:
        """Wait until one stands before it."""
        await anyio.to_thread.run_sync(lambda: self._arrived.acquire(timeout=MOST_S))

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
            self._may_pass.acquire(timeout=MOST_S)


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until a condition holds."""
    with anyio.fail_after(MOST_S):
        while not condition():  # noqa: ASYNC110  # what changes is seen from outside only
            await anyio.sleep(0.002)
