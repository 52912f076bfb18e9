"""Ctrl-C and SIGTERM."""

import os
import signal
import subprocess
import sys

import anyio
import pytest

from phaseflow.cli.interrupts import Interrupts

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_the_first_signal_asks(number: signal.Signals) -> None:
    with anyio.fail_after(5), Interrupts() as interrupts:
        assert not interrupts.asked
        os.kill(os.getpid(), number)
        await interrupts.wait()
        assert interrupts.asked


async def test_a_second_sigterm_asks_for_nothing_more() -> None:
    with anyio.fail_after(5), Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        await interrupts.wait()


async def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_ctrl_c_leaves_at_once_also_when_the_loop_is_stuck() -> None:
    done = subprocess.run([sys.executable, "-c", _STUCK], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (3, "")
