"""No test can hang the run, whatever it hangs in, and none depends on what the shell that starts it ignores."""

import os
import subprocess
import sys
from pathlib import Path

from tests.stopwatch import patience

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


async def test_comes_after_them():
    pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ignores_no_signal(number):
    assert signal.getsignal(number) is not signal.SIG_IGN
"""
SLOW_REPORT = """
import time

from tests.stopwatch import slowness


def pytest_runtest_makereport(item, call):
    if "slowly" in item.name and call.when == "setup":
        time.sleep(0.7 * slowness())  # more than twice the limit
"""
IN_THE_BACKGROUND = ["sh", "-c", 'trap "" INT HUP; exec "$@"', "-"]
"""A script's shell has what it starts with ``&`` ignore Ctrl-C, and ``nohup`` has it ignore the end of the terminal."""


def test_a_test_that_hangs_fails_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (tmp_path / "test_hanging.py").write_text(HANGING)
    (tmp_path / "slow_report.py").write_text(SLOW_REPORT)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = longest(seconds)\n")
    words = ["-q", "-rA", "-s", "--tb=line", "-p", "no:cacheprovider", "-p", "slow_report", str(tmp_path)]
    run = subprocess.run(
        [*IN_THE_BACKGROUND, sys.executable, "-m", "pytest", *words],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, timeout=patience(60), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    told = [line.split() for line in run.stdout.splitlines() if "::test_" in line]
    summary = {f"{words[0]} {words[1].rpartition('::test_')[2]}" for words in told}
    assert summary >= {
        "FAILED waits_for_ever", "FAILED is_reported_slowly", "FAILED cannot_be_cancelled", "FAILED holds_the_loop",
        "FAILED hangs_in_a_property", "ERROR hangs_in_a_fixture",
        "PASSED comes_after_them", "PASSED ignores_no_signal[2]", "PASSED ignores_no_signal[1]",
    }  # fmt: skip
    assert "TookTooLong" in run.stdout
    assert " test_waits_for_ever > " in run.stderr
