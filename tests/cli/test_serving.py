"""The command that runs the service: how it ends when it cannot begin."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.commands import Shell
from tests.matrices import first_of_each

_AT_ITS_FIRST_LINE = """
import builtins, os, runpy, signal, sys
load, wanted, number = builtins.__import__, sys.argv.pop(1), int(sys.argv.pop(1))
if number != signal.SIGINT:
    signal.signal(number, signal.SIG_DFL)
def interrupted(name, *more, **named):
    if name == wanted:
        os.kill(os.getpid(), number)
    return load(name, *more, **named)
builtins.__import__ = interrupted
sys.argv[0] = "phaseflow"
runpy.run_module("phaseflow.__main__", run_name="__main__")
"""

_SAYS_THAT_IT_LISTENS = """
import signal, sys
set_handler = signal.signal
def marking(number, handler):
    signal.signal = set_handler
    before = set_handler(number, handler)
    print("listens", flush=True)
    return before
signal.signal = marking
sys.argv[0] = "phaseflow"
from phaseflow.__main__ import run
run()
"""
"""Before that line a signal meets the interpreter, which no code of ours has prepared for it."""


def test_a_host_that_others_reach_without_a_token_is_a_usage_error(shell: Shell) -> None:
    done = shell("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104  # it must not get so far
    told = "Error: host: 0.0.0.0 can be reached by other machines: set a token, or serve on 127.0.0.1\n"
    assert (done.returncode, done.stdout) == (2, "")
    assert (done.stderr[:22], done.stderr[-len(told) :]) == ("Usage: phaseflow serve", told)
    assert list(shell.here.iterdir()) == []


def test_a_port_that_is_taken_is_no_usage_error(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = shell("serve", "--port", port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"phaseflow: port: cannot listen on 127.0.0.1:{port}")


def test_a_token_that_no_header_can_carry_is_a_usage_error(shell: Shell) -> None:
    done = shell("serve", "--token", "tök", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: token: a token is made of ASCII letters" in done.stderr


@pytest.mark.parametrize(
    "module",
    first_of_each(["phaseflow.cli", "uvicorn", "click", "anyio", "phaseflow.http.app", "phaseflow.flow"]),
)
def test_ctrl_c_amid_the_imports_ends_with_the_code_of_an_interruption(tmp_path: Path, module: str) -> None:
    assert _interrupted(tmp_path, module, signal.SIGINT, "serve", "--port", "0") == (3, "", "")


AMID_IMPORTS = [
    (words, module, number)
    for turn, words in enumerate(["serve --port 0", "ingest . --kb kb", "resume kb", "retry kb"])
    for module in sorted(["phaseflow.cli", "phaseflow.flow"], reverse=bool(turn % 2))
    for number in sorted([signal.SIGTERM, signal.SIGHUP], reverse=bool(turn % 2))
]


@pytest.mark.parametrize(("words", "module", "number"), first_of_each(AMID_IMPORTS, lambda case: case[2]))
def test_another_signal_amid_the_imports_ends_with_the_same_code(
    tmp_path: Path, words: str, module: str, number: signal.Signals
) -> None:
    assert _interrupted(tmp_path, module, number, *words.split()) == (3, "", "")


def _interrupted(here: Path, module: str, number: signal.Signals, *words: str) -> tuple[int, str, str]:
    given = [sys.executable, "-c", _AT_ITS_FIRST_LINE, module, str(int(number)), *words]
    done = subprocess.run(given, cwd=here, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("steps", first_of_each(range(0, 10, 2), lambda steps: steps > 0))
def test_ctrl_c_soon_after_the_start_ends_with_it_or_in_order(tmp_path: Path, steps: int) -> None:
    words = [sys.executable, "-c", _SAYS_THAT_IT_LISTENS, "serve", "--port", "0"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"
        time.sleep(0.05 * steps)  # whatever it does then, what follows holds
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=100)
    assert process.returncode == (0 if "serves at" in err else 3)
    assert "Traceback" not in err
