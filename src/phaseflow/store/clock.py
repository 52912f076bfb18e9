"""The time: moments by the clock on the wall, durations by one that never steps."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import anyio

from phaseflow.domain.errors import StoreError

T = TypeVar("T")

_NOTICED_S = 0.5
"""A wall clock that has moved by less than this against the other one was only adjusted."""
_READS = 20
"""How often something is read before it is taken although a step is being followed: a commit takes milliseconds, and a
file that is locked must not hold up those who only look."""


class Clock:
    """Moments are wall time, never behind the last one told. Durations go by the monotonic clock.

    A running stretch is stored by the moment at which it began. When the wall clock steps (it is set, or the machine
    was suspended), ``step`` says how far; those beginnings are to be moved as far, within ``following``.
    """

    def __init__(self) -> None:
        self._last = datetime.now(UTC)
        self._offset_s = self._last.timestamp() - time.monotonic()
        self._follows = 0  # odd while a step is being followed, as in a sequence lock

    def now(self) -> datetime:
        """UTC."""
        self._last = max(self._last, datetime.now(UTC))
        return self._last

    def step(self) -> timedelta:
        """How far the moments have moved away from the durations since ``following``; negative when set back."""
        step_s = self.now().timestamp() - time.monotonic() - self._offset_s
        return timedelta(seconds=step_s if abs(step_s) >= _NOTICED_S else 0)

    @contextmanager
    def following(self, step: timedelta) -> Iterator[None]:
        """In the block, the beginnings of running stretches are moved by ``step``. A StoreError takes it back.

        The clock follows first: nobody else is to move them as well. A cancel takes nothing back, as the write that
        was asked for is made all the same.
        """
        self._follows += 1
        self._offset_s += step.total_seconds()
        try:
            yield
        except StoreError:
            self._offset_s -= step.total_seconds()
            raise
        finally:
            self._follows += 1

    async def read_steadily(self, read: Callable[[], Awaitable[T]]) -> T:
        """What ``read`` returns, read again when a step was followed meanwhile.

        Rows from before a step against the clock after it would show hours of running that nobody has run.
        """
        for _ in range(_READS):
            before = self._follows
            found = await read()
            if before == self._follows and before % 2 == 0:
                return found
            await anyio.sleep(0.01)
        return await read()

    def running_now(self) -> datetime:
        """What to measure running stretches against: now, without a step that they have not been moved by yet."""
        return self.now() - self.step()
