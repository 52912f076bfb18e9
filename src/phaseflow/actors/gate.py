"""The gate of a phase: work is done inside it, so that a closed gate with nobody inside is a quiet phase."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio

from phaseflow.actors.calls_in_hand import CallsInHand
from phaseflow.domain import tracing


class Gate:
    """Closed at first. Every component call and every write of a phase is made inside ``async with gate``.

    Closing lets those inside finish and nobody in. ``report`` is called whenever someone begins to wait before a closed
    gate, and when the last one has left it. A gate belongs to one run of one job. ``calls``: those of components.
    """

    def __init__(self, report: Callable[[], None], phase: str = "") -> None:
        self._report = report
        self._batches = tracing.Batches(phase)
        self._opened = anyio.Event()
        self._closed = anyio.Event()
        self._closed.set()
        self._left = anyio.Event()
        self._inside = 0
        self._waiting = 0
        self.calls = CallsInHand()
        self.openings = 0
        """How often it was opened: what was looked up before the last time may have changed while it was closed."""

    @property
    def is_open(self) -> bool:
        """Whether the next one may enter. Safe to ask from a worker thread."""
        return self._opened.is_set()

    @property
    def is_drained(self) -> bool:
        """Closed, and nobody inside."""
        return not self.is_open and self._inside == 0

    @property
    def has_waiters(self) -> bool:
        """Someone has work and waits."""
        return self._waiting > 0

    def open(self) -> None:
        """Let everybody in."""
        if not self.is_open:
            self.openings += 1
            self._opened.set()
            self._closed = anyio.Event()

    def close(self) -> None:
        """Let nobody in any more."""
        if self.is_open:
            self._opened = anyio.Event()
            self._closed.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, but not longer than until the gate is closed."""
        with anyio.move_on_after(seconds):
            await self._closed.wait()

    async def closed_for(self, seconds: float) -> None:
        """Wait until the gate has been closed for so long, without an opening in between."""
        while True:
            await self._closed.wait()
            with anyio.move_on_after(seconds) as waiting:
                await self._opened.wait()
            if waiting.cancelled_caught:
                return

    async def until_opened(self) -> None:
        """Wait for that, as somebody who has no work."""
        await self._opened.wait()

    async def until_drained(self) -> None:
        """Wait until nobody is inside a gate that stays closed."""
        while not self.is_drained:
            await self._left.wait()

    async def __aenter__(self) -> Self:
        # A loop, since a gate that was opened may be closed again before whoever waited for that has run: all of them
        # wake at once, and a pause in between must hold for the last of them, too.
        while not self.is_open:
            self._waiting += 1
            self._report()
            try:
                await self._opened.wait()
            finally:
                self._waiting -= 1
        self._inside += 1
        self._batches.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._batches.end(error)
        self._inside -= 1
        assert self._inside >= 0
        # Replaced, and not a condition that is kept up to date: an event is set once, so a waiter that wakes late still
        # wakes, and looks for itself whether the gate is drained.
        if not self._inside:
            self._left.set()
            self._left = anyio.Event()
        if self.is_drained:
            self._report()
