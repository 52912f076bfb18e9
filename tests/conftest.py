"""What all tests share: the event loop they run on, a time limit for each, and the shared test data if present."""

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

LONGEST_S = 120
"""No test may take longer, its fixtures included: one that hangs fails, says where it stood, and the others run."""
LONGEST_SLOW_S = 1800
"""The same for those marked ``slow``."""
# Compiled once for all processes that the tests start, whatever the environment says: compiling again takes long.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

AGAIN_S = 10
"""An event loop may swallow what a signal handler raises; it is raised again this often until the test has ended."""


class TookTooLong(Exception):
    """A test went on for longer than any may."""


def pytest_configure() -> None:
    """Hear of a closed terminal, which the commands respect when they are told to ignore it, also under ``nohup``."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test with its fixtures, for at most its time. A ``with fail_after`` in it is shorter, and says more."""
    marker = item.get_closest_marker("longest")
    most_s = marker.args[0] if marker else LONGEST_SLOW_S if item.get_closest_marker("slow") else LONGEST_S

    def stop(signum: int, frame: FrameType | None) -> None:
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        raise TookTooLong(f"{item.nodeid} took more than {most_s} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, most_s, AGAIN_S)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of shared test data, named by PHASEFLOW_CORPORA."""
    named = os.environ.get("PHASEFLOW_CORPORA")
    if not named or not Path(named).is_dir():
        pytest.skip("PHASEFLOW_CORPORA names no folder with the shared test data")
    return Path(named)
