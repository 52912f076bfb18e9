"""The time: moments by the clock on the wall, durations by one that never steps."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TypeVar

import anyio

from phaseflow.store.transaction import Transaction

T = TypeVar("T")

_NOTICED_S = 0.5
"""A wall clock that has moved by less than this against the other one was only adjusted."""
_READS = 20
"""How often something is read before it is taken although a change of time is under way: a commit takes milliseconds,
and a file that is locked must not hold up those who only look."""


class Clock:
    """``now()`` is for moments: wall time, never behind the last one told. ``running_now()`` is for durations.

    A running stretch is stored by the moment at which it began, in the time of ``running_now``: that of the wall clock
    when this was made, and monotonic from there. When the wall clock steps (it is set, or the machine was suspended),
    ``step`` says how far; ``follow`` makes this time follow, in the transaction that moves what is stored as far.

    All durations come from here, those that are shown and those that are stored, so none that was shown is longer than
    the one stored after it. Usable from all threads.
    """

    def __init__(self) -> None:
        self._last = datetime.now(UTC)
        self._offset_s = self._last.timestamp() - time.monotonic()
        self._lock = Lock()
        self._ends: dict[object, datetime] = {}
        self._changes = 0
        self._follows = 0

    def now(self) -> datetime:
        """UTC."""
        with self._lock:
            self._last = max(self._last, datetime.now(UTC))
            return self._last

    def running_now(self) -> datetime:
        """What to measure running stretches against."""
        with self._lock:
            return min([self._steady(), *self._ends.values()])

    def end_of_stretches(self, tx: Transaction) -> datetime:
        """Now, as the end of the running stretches that ``tx`` ends.

        Nobody is shown a later moment before that is committed: it would show a longer time than the one stored.
        """
        key = object()
        with self._lock:
            end = self._ends[key] = self._steady()
        tx.on_end(lambda: self._has_ended(key))
        return end

    def step(self) -> timedelta:
        """How far the wall clock has moved away from the durations, in milliseconds; 0 for an adjustment."""
        step_s = datetime.now(UTC).timestamp() - time.monotonic() - self._offset_s
        return timedelta(milliseconds=round(step_s * 1000) if abs(step_s) >= _NOTICED_S else 0)

    def follow(self, tx: Transaction, step: timedelta) -> None:
        """``running_now`` moves by ``step`` with the beginnings of stretches that ``tx`` moves, or not at all."""
        self._shift(step)
        self._follows += 1
        tx.on_rollback(lambda: self._shift(-step))
        tx.on_end(self._has_followed)

    async def read_steadily(self, read: Callable[[], Awaitable[T]]) -> T:
        """What ``read`` returns, read again when a step was followed or a stretch ended meanwhile.

        Rows from before that against the time after it would show running that nobody has run.
        """
        for _ in range(_READS):
            before = self._changes
            found = await read()
            if not self._follows:
                if before == self._changes:
                    return found
                continue  # a stretch has ended, and is committed: what is read now is from after it
            await anyio.sleep(0.01)
        return await read()

    def _steady(self) -> datetime:
        return datetime.fromtimestamp(time.monotonic() + self._offset_s, UTC)

    def _shift(self, step: timedelta) -> None:
        with self._lock:
            self._offset_s += step.total_seconds()
            self._ends = {key: end + step for key, end in self._ends.items()}

    def _has_followed(self) -> None:
        self._changes += 1
        self._follows -= 1

    def _has_ended(self, key: object) -> None:
        with self._lock:
            self._changes += 1
            del self._ends[key]
