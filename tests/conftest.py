"""What all tests share: the event loop they run on, a time limit for each, and the shared test data if present."""

import faulthandler
import gc
import os
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests import compiled_once, matrices, measured
from tests.hanging import tasks_of_the_loop
from tests.stopwatch import Stopwatch
from tests.waiting import LONG, LONG_S, TOO_LONG, Waiting, long_ones_first

LONGEST_S = 120
"""No test may take longer, its fixtures included: one that hangs fails, says where it stood, and the others run.

In seconds of a quick machine that does nothing else, like all limits here.
"""
LONGEST_SLOW_S = 1800
"""The same for those marked ``slow``."""
# Compiled once for all processes that the tests start, whatever the environment says: compiling again takes long.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

MEMORY = Path("/dev/shm")  # noqa: S108  # pytest makes a folder of its own there, closed to others
ROOM = 2 << 30
"""Bytes that must be free there. A run takes some 100 MB, and pytest keeps the last three."""


def _in_memory() -> bool:
    """Whether the tests' folders can be in memory. On a disk most engines wait for it: each transition is synced."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        return False
    return not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # some tests run what they write


if _in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

MOST_PROCESSES = 6
SELDOM = 7_000
"""New objects before garbage is collected; Python's 700 makes that a thirtieth of what an engine's test takes."""
AGAIN_S = 10
"""An event loop may swallow what a signal handler raises; it is raised again this often until the test has ended."""


class TookTooLong(BaseException):
    """A test went on for longer than any may.

    Not an ``Exception``: a property would take it for a fault of its example, and look for a shorter one for minutes.
    """


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three for each processor, since many tests wait; each takes seconds to collect, so no more than six."""
    return min(3 * (os.cpu_count() or 1), MOST_PROCESSES)


def pytest_configure(config: pytest.Config) -> None:
    """Hear of a closed terminal and of Ctrl-C, which the commands respect when they are told to ignore them.

    A shell tells so what it starts under ``nohup`` and, from a script, with ``&``.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    matrices.is_thorough = "not thorough" not in config.option.markexpr
    if not hasattr(config, "workerinput"):
        compiled_once.compile_program()
    gc.disable()  # collecting makes objects that stay, and to look at them again and again takes a third of its time


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Begin with the tests that take longest: last, one of them would keep the others' processors waiting."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/proof/"))
    if matrices.is_thorough and "hypothesis" in sys.modules:
        from hypothesis import is_hypothesis_test

        for item in items:
            if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj):
                item.add_marker("thorough")
    with compiled_once.parsed_by_one():
        yield
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = long_ones_first(items, lambda item: item.get_closest_marker("longest") is not None, processes)
    if measured.one_in() > 1:
        items[:] = measured.measured_first(items, lambda item: measured.is_measured(item.nodeid), processes)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Before a module makes the first property: no example has a limit on its time, and there are fewer by default.

    A property keeps what holds when it is made.
    """
    if "hypothesis" in sys.modules or b"hypothesis" not in module_path.read_bytes():
        return  # importing it takes longer than most tests
    from hypothesis import settings

    settings.register_profile("no pace", deadline=None, max_examples=matrices.examples(settings().max_examples))
    settings.load_profile("no pace")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Import each module of tests once it is compiled, or compile it."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with compiled_once.compiled_by_one(collector.path):
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Have garbage collected again, but seldom, and never look at the modules and tests that are there now.

    And have no test make the tables of a new database that need not.
    """
    if "phaseflow.store.schema" in sys.modules:
        from tests.new_databases import copy_new_databases

        copy_new_databases()
    gc.freeze()
    gc.set_threshold(SELDOM)
    gc.enable()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test with its fixtures, for at most its time. A ``with fail_after`` in it is shorter, and says more."""
    if not measured.is_measured(item.nodeid):
        measured.stop()
    marker = item.get_closest_marker("longest")
    most_s = marker.args[0] if marker else LONGEST_SLOW_S if item.get_closest_marker("slow") else LONGEST_S

    watch = Stopwatch()

    def stop(signum: int, frame: FrameType | None) -> None:
        if _reporting or watch.within(most_s):
            return  # it is looked again soon
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        print(tasks_of_the_loop(), file=sys.__stderr__)
        raise TookTooLong(f"{item.nodeid} took more than {most_s} s: {watch}")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, most_s, min(most_s, AGAIN_S))
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A default test that waits for long is named at the end, and fails where that is not the machine's doing: it waits
    for what it is not about."""
    waiting = Waiting()
    yield
    if matrices.is_thorough or item.get_closest_marker("longest") or not waiting.is_long():
        return
    said = f"waited for {waiting.seconds:.1f} s"
    if waiting.is_for_processes or not waiting.is_long(TOO_LONG):
        item.user_properties.append((LONG, said))
        return
    pytest.fail(
        f"{said}: a default test may for {TOO_LONG * LONG_S:g} s of a quick machine. Make the wait shorter"
        " (tests/short_waits.py), or mark the test with longest(seconds) and the reason",
        pytrace=False,
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that waited for long, those that have failed for it excepted."""
    for report in terminalreporter.stats.get("passed", []):
        for name, said in report.user_properties:
            if name == LONG:
                terminalreporter.write_line(f"{report.nodeid} {said}")


_reporting: list[pytest.Item] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Stop no test while its report is made, which takes long on a slow machine: that would end the whole run."""
    _reporting.append(item)
    try:
        return (yield)
    finally:
        _reporting.clear()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of shared test data, named by PHASEFLOW_CORPORA."""
    named = os.environ.get("PHASEFLOW_CORPORA")
    if not named or not Path(named).is_dir():
        pytest.skip("PHASEFLOW_CORPORA names no folder with the shared test data")
    return Path(named)
