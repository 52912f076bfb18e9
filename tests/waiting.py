"""How long a test may wait, and when those begin that take longest: so the default tests end soon.

A test waits when it neither works nor lacks a processor: on a busy machine that is not much longer. One that waits out
in earnest what the engine comes back to by itself takes up to a minute, which nobody notices beside thousands of
others, until the last processor stands still for it.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from resource import RUSAGE_CHILDREN, getrusage
from typing import TypeVar

from tests.stopwatch import slowness

LONG_S = 3.0
"""A default test that waits longer, in seconds of a quick machine, is named at the end of the run, unless ``longest``
says that it takes long, and …"""
TOO_LONG = 5
"""… fails when it waits so many times as long: what a machine does beside never makes that of a wait in order."""
LONG = "waited for long"
"""Under which a report says so."""
_LOOKS = 8
"""A short look at a busy machine may come between two others, so there are several."""
_THREADS = "/proc/self/task"
T = TypeVar("T")


class Waiting:
    """Waits of the code that runs since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before_s = _busy_s()
        self._processes = _processes()

    @property
    def seconds(self) -> float:
        """Seconds of this machine."""
        return max(0.0, self._elapsed_s - (_busy_s() - self._before_s))

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def is_for_processes(self) -> bool:
        """Whether others were started and have ended: how long those lacked a processor is not known."""
        return _processes() != self._processes

    def is_long(self, times: int = 1) -> bool:
        """Whether it was longer than so many times ``LONG_S``, however slow or busy this machine is."""
        limit = times * LONG_S
        if self._elapsed_s <= limit:
            return False  # what it did then is not asked for, which takes as long as a small test
        seconds = self.seconds
        return seconds > limit and seconds > limit * max(slowness() for _ in range(_LOOKS))


_forked = [0]


def note_process() -> None:
    """One was started that is not a child of this one."""
    _forked[0] += 1


def _processes() -> tuple[int, float]:
    ended = getrusage(RUSAGE_CHILDREN)
    return _forked[0], ended.ru_utime + ended.ru_stime


def _busy_s() -> float:
    """Seconds in which this process has worked, or its threads could not though they were ready."""
    return time.process_time() + _delayed_s()


def _delayed_s() -> float:
    nanoseconds = 0
    for thread in os.listdir(_THREADS) if os.access(_THREADS, os.R_OK) else ():
        try:
            counts = os.open(f"{_THREADS}/{thread}/schedstat", os.O_RDONLY)
        except OSError:  # it has ended, or the kernel does not count
            continue
        with contextlib.suppress(OSError, IndexError):
            nanoseconds += int(os.read(counts, 100).split()[1])
        os.close(counts)
    return nanoseconds / 1e9


def long_ones_first(items: Sequence[T], is_long: Callable[[T], bool], processes: int) -> list[T]:
    """The items in an order in which each process, which gets an equal part of them as they stand, begins with long
    ones. The others keep their order, so that what a module makes once is not made by several processes."""
    long = [item for item in items if is_long(item)]
    others = [item for item in items if not is_long(item)]
    found: list[T] = []
    for process in range(processes):
        part = (len(items) - len(found)) // (processes - process)
        first = long[process::processes]
        rest = max(0, part - len(first))
        found += [*first, *others[:rest]]
        del others[:rest]
    return found + others
