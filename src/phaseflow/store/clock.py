"""The time: moments by the clock on the wall, durations by one that never steps."""

import time
from datetime import UTC, datetime, timedelta

_NOTICED_S = 0.5
"""A wall clock that has moved by less than this against the other one was only adjusted."""


class Clock:
    """Moments are wall time, never behind the last one told. Durations go by the monotonic clock.

    A running stretch is stored by the moment at which it began. When the wall clock steps (it is set, or the machine
    was suspended), ``step`` says how far; those beginnings are to be moved as far, then ``follow`` is called.
    """

    def __init__(self) -> None:
        self._last = datetime.now(UTC)
        self._offset_s = self._last.timestamp() - time.monotonic()

    def now(self) -> datetime:
        """UTC."""
        self._last = max(self._last, datetime.now(UTC))
        return self._last

    def step(self) -> timedelta:
        """How far the moments have moved away from the durations since ``follow``; negative when set back."""
        step_s = self.now().timestamp() - time.monotonic() - self._offset_s
        return timedelta(seconds=step_s if abs(step_s) >= _NOTICED_S else 0)

    def follow(self, step: timedelta) -> None:
        """The beginnings of running stretches were moved by ``step``."""
        self._offset_s += step.total_seconds()

    def running_now(self) -> datetime:
        """What to measure running stretches against: now, without a step that they have not been moved by yet."""
        return self.now() - self.step()
