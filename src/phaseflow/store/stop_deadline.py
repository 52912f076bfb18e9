"""The deadline of a stop: one for a whole engine, so that its end takes no longer, whatever its file does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio

_OWED_S: Final = 0.4
"""How long after a stop, or after its first failure, a write that the file did not take is tried again, …"""
AGAIN_S: Final = 0.1
"""… and how often."""
WRITES_S: Final = 1.2
"""So long after the stop the last write is given up: ``STOP_S`` for the batches in hand, and time to note the pause."""
PARTS_S: Final = 1.3
"""So long after it workers, indexes, embedders and reads have ended."""
CLOSE_S: Final = 1.5
"""So long after it the file is closed, or left to its thread."""


class StopDeadline:
    """Whatever may wait for the file at the end of an engine waits in a scope of this, each for its part of the time.

    The parts are counted from the same moment: what one of them takes too long is not added to the others.
    """

    def __init__(self) -> None:
        self._asked = anyio.Event()
        self._began = float("inf")
        self._scopes: dict[anyio.CancelScope, float] = {}

    @property
    def is_asked(self) -> bool:
        """The stop has begun. Safe to ask from any thread."""
        return self._began < float("inf")

    def begin(self) -> None:
        """The stop begins now. Again: nothing."""
        if self.is_asked:
            return
        self._began = anyio.current_time()
        self._asked.set()
        for scope, within_s in self._scopes.items():
            scope.deadline = self._began + within_s

    def is_over(self, since: float) -> bool:
        """A write that has failed since that moment is not tried again."""
        began = self._began
        return anyio.current_time() >= min(max(began, since) + _OWED_S, began + WRITES_S)

    async def sleep(self, seconds: float) -> None:
        """Wait before another try, but for a moment only once the stop has begun."""
        if self.is_asked:
            await anyio.sleep(min(seconds, AGAIN_S))
            return
        with anyio.move_on_after(seconds):
            await self._asked.wait()

    @contextmanager
    def limit(self, within_s: float, *, shield: bool = True) -> Iterator[anyio.CancelScope]:
        """A block that ends ``within_s`` after the stop begins; until then it may take as long as it likes.

        Nothing else cancels it, unless ``shield`` is false.
        """
        with anyio.CancelScope(deadline=self._began + within_s, shield=shield) as scope:
            self._scopes[scope] = within_s
            try:
                yield scope
            finally:
                del self._scopes[scope]
