"""Ctrl-C and SIGTERM."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from phaseflow.cli import interrupts, upkeep
from phaseflow.cli.exit_codes import Exit
from phaseflow.cli.interrupts import Interrupts
from phaseflow.cli.place import Place
from phaseflow.http.signals import ENDS
from phaseflow.store import copy_check, failpoints
from phaseflow.store.backup import copy_database
from phaseflow.store.session import open_session
from tests.cli.commands import Shell
from tests.matrices import first_of_each
from tests.stopwatch import Stopwatch, fail_soon

_STUCK = """
import asyncio, os, signal
from phaseflow.cli.interrupts import Interrupts

async def main():
    with Interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        print("still here", flush=True)

asyncio.run(main())
"""

_LATE = """
import os, signal, sys
number, moment = signal.Signals[sys.argv.pop(1)], sys.argv.pop(1)

def send(send=os.kill, pid=os.getpid(), number=number):  # names are gone at the very end
    send(pid, number)

class AtTheVeryEnd:
    def __del__(self, send=send):
        send()

from phaseflow import http
from phaseflow.cli import foreground, interrupts, streams

if moment == "before its output is closed":
    close = streams.close
    streams.close = lambda *args, **more: (send(), close(*args, **more))[1]
elif moment == "when the interpreter ends":
    import atexit
    atexit.register(send)
else:
    sys.modules["at_the_very_end"] = AtTheVeryEnd()
interrupts._LAST_S = 60  # what is tried is the code, not the time
sys.argv[0] = "phaseflow"
from phaseflow.__main__ import run
run()
"""
_MOMENTS = ["before its output is closed", "when the interpreter ends", "when its modules go"]
_STUCK_AT_ITS_END = """
import asyncio, os, signal, time
from phaseflow.cli.interrupts import Interrupts

async def main():
    with Interrupts():
        print("works", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(50)  # what is tried is that the signal ends it

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def handlers_of_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (*ENDS, signal.SIGALRM)}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_the_first_signal_asks(number: signal.Signals) -> None:
    with fail_soon(5), Interrupts() as interrupts:
        assert not interrupts.asked
        os.kill(os.getpid(), number)
        await interrupts.wait()
        assert interrupts.asked


async def test_a_second_sigterm_asks_for_nothing_more() -> None:
    with fail_soon(5), Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        await interrupts.wait()


@pytest.mark.parametrize("number", first_of_each([signal.SIGINT, signal.SIGTERM]))
async def test_a_backup_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    async with open_session(tmp_path / "kb.db"):
        pass
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    monkeypatch.setattr(copy_check, "_CHECK", endless)
    for limit in ("_LAST_S", "_COMMAND_S"):  # what is tried is what is left, not the time
        monkeypatch.setattr(interrupts, limit, 60)
    loop = asyncio.get_running_loop()

    def send() -> None:  # from the loop: a signal that another thread is given wakes no loop that sleeps
        loop.call_soon_threadsafe(os.kill, os.getpid(), number)

    copied = threading.Event()

    def copy(*arguments: Any, **options: Any) -> int:
        try:
            return copy_database(*arguments, **options)
        finally:  # nobody waits for the thread any more, which takes back what it has made
            copied.set()

    monkeypatch.setattr("phaseflow.flow.upkeep.copy_database", copy)
    failpoints.install("backup.checking", send)
    try:
        with fail_soon(10):
            ended = await upkeep._copy(Place(tmp_path / "kb.db"), tmp_path / "copy.db", as_json=True, check=True)
            await anyio.to_thread.run_sync(copied.wait, abandon_on_cancel=True)
    finally:
        failpoints.clear()
    assert (ended, list(tmp_path.glob("copy*"))) == (Exit.PAUSED, [])


def test_the_second_ctrl_c_leaves_at_once_also_when_the_loop_is_stuck() -> None:
    done = subprocess.run([sys.executable, "-c", _STUCK], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (3, "")


@pytest.mark.parametrize("number", first_of_each(ENDS))
@pytest.mark.parametrize("moment", first_of_each(_MOMENTS))
def test_a_signal_in_the_last_moment_of_a_job_changes_no_exit_code(
    library: Shell, number: signal.Signals, moment: str
) -> None:
    words = [sys.executable, "-c", _LATE, number.name, moment, "ingest", "docs", "--kb", "waf"]
    done = subprocess.run(
        words, cwd=library.here, env=library.environment(), capture_output=True, text=True, timeout=100, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


@pytest.mark.thorough
@pytest.mark.parametrize("moment", first_of_each(_MOMENTS[1:]))
def test_a_signal_in_the_last_moment_of_an_answer_changes_no_exit_code(shell: Shell, moment: str) -> None:
    words = [sys.executable, "-c", _LATE, "SIGINT", moment, "--version"]
    done = subprocess.run(words, cwd=shell.here, env=shell.environment(), capture_output=True, timeout=100, check=False)
    assert done.returncode == 0


def test_a_command_that_is_stuck_at_its_end_can_be_ended() -> None:
    watch = Stopwatch()
    words = [sys.executable, "-c", _STUCK_AT_ITS_END]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (3, "works\n")
    assert watch.within(10)


def test_next_to_nothing_is_imported_before_a_ctrl_c_is_heeded() -> None:
    source = Path(__file__).parents[2] / "src"
    code = f"import sys; sys.path.append({str(source)!r}); import phaseflow.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-ISc", code], capture_output=True, text=True, check=True)
    assert not {"typing", "re", "importlib", "click", "asyncio"} & set(done.stdout.split())
