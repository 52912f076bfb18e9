"""Limits on time that mean the same on every machine, however busy it is."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import anyio

_STEPS = 200_000
_QUICK_S = 0.011
"""What `_STEPS` take on a quick machine that does nothing else."""


def slowness() -> float:
    """How many times longer work takes now, here, than on a quick machine that does nothing else; at least 1."""
    began = time.perf_counter()
    total = 0
    for step in range(_STEPS):
        total += step & 7
    return max(1.0, (time.perf_counter() - began) / _QUICK_S)


class _Pace:
    """The slowness of the last moments: thousands of watches need it, and to measure it takes as long as a test."""

    FRESH_S = 10.0

    def __init__(self) -> None:
        self._measured = -math.inf
        self._slowness = 1.0

    def slowness(self) -> float:
        """As it was measured in the last seconds, or is now."""
        now = time.monotonic()
        if now - self._measured > self.FRESH_S:
            self._slowness = slowness()
            self._measured = now
        return self._slowness


_pace = _Pace()


class Stopwatch:
    """Runs from when it is made. Limits are seconds of a quick machine that does nothing else.

    A test that looks at a clock by itself passes on the machine where it was written and fails on a slower one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take another clock for a limit on the time of the processor, such as `time.process_time`."""
        self._slowness = _pace.slowness()
        self._clock = clock
        self._began = clock()
        self._said = ""

    @property
    def seconds(self) -> float:
        """Seconds since it was made, of its clock."""
        return self._clock() - self._began

    def within(self, limit: float) -> bool:
        """Whether a quick machine would have taken less than ``limit`` seconds; ``repr`` says what it was."""
        seconds = self.seconds
        slower = self._slowness
        if seconds >= limit * slower:
            slower = max(slower, slowness())
        self._said = f"{seconds:.3f} s on a machine {slower:.1f} times slower than a quick one"
        return seconds < limit * slower

    def __repr__(self) -> str:
        return f"Stopwatch({self._said})"


LEAST = 4.0
"""By what a wait is lengthened at least: what the others of a machine do in the seconds to come is not known yet."""


NEVER_S = 3600.0
"""For a wait of the engine that is not to end within a test. One of a minute ends before ``fail_soon`` does, which
lengthens: then what should have gone on without it has waited, and the test passes."""


def pace() -> float:
    """By how much waits are lengthened now."""
    return max(LEAST, _pace.slowness())


def patience(limit: float) -> float:
    """As many seconds of this machine, now, as a wait of ``limit`` seconds of a quick one that does nothing else."""
    return limit * pace()


def fail_soon(limit: float, *, shield: bool = False) -> AbstractContextManager[anyio.CancelScope]:
    """`anyio.fail_after` with a limit in seconds of a quick machine that does nothing else, generous on a busy one.

    It keeps a test that hangs short. How quick something is, is what a `Stopwatch` is for.
    """
    return anyio.fail_after(patience(limit), shield=shield)
