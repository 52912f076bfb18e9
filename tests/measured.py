"""Measure the code with a part of the tests only: a measured test takes twice the time of the processor.

What a part of the tests reaches, all of them reach: the figure is a lower bound, and a limit that it keeps is kept.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar
from zlib import crc32

ONE_IN = "PHASEFLOW_TEST_MEASURE_ONE_IN"
"""Under ``pytest --cov``: of so many tests one is measured. All are where the environment does not say so."""
_PROCESSES = "COVERAGE_PROCESS_CONFIG"
"""By this coverage.py starts in each process that a measured one starts."""
T = TypeVar("T")


def one_in() -> int:
    """Of how many tests one is measured."""
    return int(os.environ.get(ONE_IN, "1"))


def is_measured(test: str) -> bool:
    """Whether a test is one of those. The same ones in each process and run, from all over the tests."""
    return crc32(test.encode()) % one_in() == 0


def measured_first(items: Sequence[T], is_one: Callable[[T], bool], processes: int) -> list[T]:
    """The items in an order in which each process, which gets an equal part of them as they stand, begins with those
    that are measured: then it can stop for good, and need not begin again, of which coverage.py makes a lot of work."""
    found: list[T] = []
    for process in range(processes):
        part = items[len(found) : len(found) + (len(items) - len(found)) // (processes - process)]
        found += sorted(part, key=lambda item: not is_one(item))
    return found


def measures_processes() -> bool:
    """Whether a process that is started now is measured."""
    return _PROCESSES in os.environ


def stop() -> None:
    """Measure neither this process from now on, nor one that it starts from now on. What was measured is kept."""
    os.environ.pop(_PROCESSES, None)
    if "coverage" not in sys.modules:
        return
    from coverage import Coverage

    while (running := Coverage.current()) is not None:  # one of the interpreter, under the one of pytest
        running.stop()
