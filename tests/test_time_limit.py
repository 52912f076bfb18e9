"""No test can hang the run, whatever it hangs in, and none depends on what the shell that starts it ignores."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import waiting
from tests.matrices import together
from tests.stopwatch import patience
from tests.waiting import long_ones_first

HANGING = """
import signal
import time

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = [pytest.mark.longest(0.3), pytest.mark.anyio]


async def test_waits_for_ever():
    await anyio.Event().wait()


async def test_is_reported_slowly():
    await anyio.Event().wait()


async def test_cannot_be_cancelled():
    with anyio.CancelScope(shield=True):
        await anyio.sleep(60)


async def test_holds_the_loop():
    time.sleep(60)


@given(st.integers())
def test_hangs_in_a_property(number):
    time.sleep(60)


@pytest.fixture
async def stuck():
    yield
    await anyio.Event().wait()


async def test_hangs_in_a_fixture(stuck):
    pass


@pytest.mark.longest(60)  # the limit of those that hang is short: on a busy machine even nothing may take longer
async def test_comes_after_them():
    pass


@pytest.mark.longest(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ignores_no_signal(number):
    assert signal.getsignal(number) is not signal.SIG_IGN
"""
WAITING = """
import subprocess
import sys
import time

import pytest


def test_waits_for_long():
    time.sleep(2.5)


def test_waits_a_while():
    time.sleep(0.6)


@pytest.mark.longest(60)
def test_says_that_it_waits():
    time.sleep(0.6)


def test_waits_for_a_process():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(0.6)"], check=True)
"""
SLOW_REPORT = """
import time

from tests import waiting
from tests.stopwatch import slowness

waiting.LONG_S = 0.4
waiting.slowness = lambda: 1.0


def pytest_runtest_makereport(item, call):
    if "slowly" in item.name and call.when == "setup":
        time.sleep(0.7 * slowness())  # more than twice the limit
"""
IN_THE_BACKGROUND = ["sh", "-c", 'trap "" INT HUP; exec "$@"', "-"]
"""A script's shell has what it starts with ``&`` ignore Ctrl-C, and ``nohup`` has it ignore the end of the terminal."""


@pytest.mark.longest(120)  # for as long as those that hang may
def test_a_test_that_hangs_fails_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (tmp_path / "test_hanging.py").write_text(HANGING)
    (tmp_path / "test_waiting.py").write_text(WAITING)
    (tmp_path / "slow_report.py").write_text(SLOW_REPORT)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = longest(seconds)\n")
    words = ["-q", "-rA", "-s", "--tb=line", "-p", "no:cacheprovider", "-p", "slow_report", "-m", "not thorough"]
    words += ["-p", "anyio", "-p", "hypothesispytest"]
    # With the options of a run that measures, it would put together what the others are still writing. And plugins that
    # parse modules at the end fail where a limit has broken into parsing: Python 3.11 loses count of its depth there.
    options = ("PYTEST_XDIST", "PYTEST_ADDOPTS", "COVERAGE_", "PHASEFLOW_TEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(options)}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    run = subprocess.run(
        [*IN_THE_BACKGROUND, sys.executable, "-m", "pytest", *words, str(tmp_path)],
        env=environment | {"PYTHONPATH": str(tmp_path)}, timeout=patience(60), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    told = [line.split() for line in run.stdout.splitlines() if "::test_" in line]
    summary = {f"{words[0]} {words[1].rpartition('::test_')[2]}" for words in told}
    assert summary >= {
        "FAILED waits_for_ever", "FAILED is_reported_slowly", "FAILED cannot_be_cancelled", "FAILED holds_the_loop",
        "FAILED hangs_in_a_property", "ERROR hangs_in_a_fixture",
        "PASSED comes_after_them", "PASSED ignores_no_signal[2]", "PASSED ignores_no_signal[1]",
        "FAILED waits_for_long", "PASSED waits_a_while", "PASSED says_that_it_waits",
        "PASSED waits_for_a_process",
    }, run.stdout + run.stderr  # fmt: skip
    assert "TookTooLong" in run.stdout
    assert ": a default test may for 2 s" in run.stdout
    named = {line.split("::")[-1].split()[0] for line in run.stdout.splitlines() if " waited for " in line}
    assert named >= {"test_waits_a_while", "test_waits_for_a_process"}
    assert " test_waits_for_ever > " in run.stderr


def test_work_is_no_wait_and_a_slow_machine_may_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, busy_s = 0.0, 0.0
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(waiting, "_busy_s", lambda: busy_s)
    monkeypatch.setattr(waiting, "slowness", lambda: 2.0)
    waits = waiting.Waiting()
    now_s, busy_s = 100.0, 99.0
    assert (waits.seconds, waits.is_long()) == (1.0, False)
    busy_s = 100.0 - 1.5 * waiting.LONG_S
    assert not waits.is_long()
    busy_s = 100.0 - 2.5 * waiting.LONG_S
    assert waits.is_long()
    assert not waits.is_long(2)


def test_a_process_is_busy_while_it_works() -> None:
    before_s, began_s = waiting._busy_s(), time.process_time()
    while time.process_time() < began_s + 0.05:
        pass
    assert waiting._busy_s() >= before_s + 0.05


@together("processes", [1, 3, 4])
def test_each_process_begins_with_tests_that_take_long_and_the_others_stay_together(processes: int) -> None:
    items = [f"long{n}" if n % 17 == 5 else f"{n}" for n in range(103)]  # the last of them near the end
    found = long_ones_first(items, lambda item: item.startswith("long"), processes)
    assert sorted(found) == sorted(items)
    assert [item for item in found if item.isdigit()] == [item for item in items if item.isdigit()]
    part = len(items) // processes
    long = [at for at, item in enumerate(found) if item.startswith("long")]
    assert all(min(abs(at - part * process) for process in range(processes)) < 6 for at in long), long


def test_of_many_tests_that_take_long_none_is_lost() -> None:
    assert sorted(long_ones_first(range(10), lambda item: item > 1, 4)) == list(range(10))
