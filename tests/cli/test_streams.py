"""Outputs that nobody reads, that are closed, or that are full: the work is done all the same."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from phaseflow.cli.streams import LIMIT_BYTES, Output
from tests.cli.commands import Shell
from tests.cli.embedding_server import EmbeddingServer
from tests.cli.forked import Forked
from tests.matrices import first_of_each
from tests.stopwatch import Stopwatch, patience

F_SETPIPE_SZ = 1031


def _fill(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    with suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x" * 512)
    os.set_blocking(descriptor, True)


@contextmanager
def unread_pipe() -> Iterator[int]:
    """The writing end of a small pipe that is full and that nobody reads."""
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
        _fill(writing)
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def unread_terminal() -> Iterator[int]:
    """A terminal that nobody looks at: after some kilobytes it takes no more."""
    master, slave = pty.openpty()
    try:
        _fill(slave)
        yield slave
    finally:
        os.close(master)
        os.close(slave)


@contextmanager
def started(shell: Shell, *words: str, **streams: int) -> Iterator[Forked]:
    process = Forked(words, shell.here, shell.environment(), **streams)
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.close()


def in_a_shell(shell: Shell, line: str) -> "subprocess.CompletedProcess[bytes]":
    environment = shell.environment() | {"PF": f"{sys.executable} -m phaseflow"}
    return subprocess.run(
        ["bash", "-c", line], cwd=shell.here, env=environment, capture_output=True, timeout=100, check=False
    )


def documents_of(shell: Shell) -> int:
    return len(shell.answer("documents", "waf", "--status", "indexed")["items"])


@pytest.mark.parametrize("place", [unread_pipe, unread_terminal])
def test_a_job_whose_output_nobody_reads_is_done(library: Shell, place: Any) -> None:
    with place() as stderr, started(library, "ingest", "docs", "--kb", "waf", "-vv", stderr=stderr) as process:
        assert process.wait(60) == 0
    assert documents_of(library) == 3


@pytest.mark.thorough
@pytest.mark.parametrize(
    "how", first_of_each(["<&- >&- 2>&-", "2>&-", "2>/dev/full", ">&- 2>&-", "--json 2>&- >/dev/null"])
)
def test_a_job_without_a_place_to_show_itself_is_done(library: Shell, how: str) -> None:
    assert in_a_shell(library, f"$PF ingest docs --kb waf -v {how}").returncode == 0
    assert documents_of(library) == 3


@pytest.mark.thorough
def test_json_that_cannot_be_written_is_one_line_and_an_exit_code_and_the_job_is_done(library: Shell) -> None:
    done = in_a_shell(library, "$PF ingest docs --kb waf --json >/dev/full")
    assert (done.returncode, done.stderr) == (1, b"phaseflow: cannot write to stdout: No space left on device\n")
    assert documents_of(library) == 3


@pytest.mark.parametrize(
    "words", first_of_each(["documents waf --json", "status --json", "search waf region --json", "--help"])
)
def test_an_answer_that_cannot_be_written_is_one_line_and_an_exit_code(ingested: Shell, words: str) -> None:
    full = in_a_shell(ingested, f"$PF {words} >/dev/full")
    assert (full.returncode, full.stderr) == (1, b"phaseflow: cannot write to stdout: No space left on device\n")
    closed = in_a_shell(ingested, f"$PF {words} >&-")
    assert (closed.returncode, closed.stderr) == (1, b"phaseflow: cannot write to stdout: Bad file descriptor\n")
    assert in_a_shell(ingested, f"$PF {words.removesuffix(' --json')} 2>/dev/full >/dev/full").returncode == 1


@pytest.mark.parametrize("words", first_of_each(["documents waf --json", "ingest docs --kb waf --json"]))
def test_a_reader_that_has_had_enough_is_no_error(ingested: Shell, words: str) -> None:
    done = in_a_shell(ingested, f"{{ sleep 0.2; $PF {words}; echo $? >code; }} | true")
    assert (done.stderr, (ingested.here / "code").read_text()) == (b"", "0\n")


def _url_of(process: Forked) -> str:
    url: str = json.loads(process.stdout.readline())["url"]
    return url


def _ask(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - of the service started here
        return int(answer.status)


def test_a_service_answers_and_ends_though_nobody_reads_its_log(library: Shell) -> None:
    words = ["serve", "--port", "0", "--json", "-vv"]
    with unread_pipe() as stderr, started(library, *words, stderr=stderr) as process:
        url = _url_of(process)
        assert {_ask(f"{url}/healthz") for _ in range(100)} == {200}
        watch = Stopwatch()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert watch.within(2)


@pytest.mark.parametrize("place", first_of_each([unread_pipe, unread_terminal]))
@pytest.mark.parametrize("options", first_of_each([["--json"], []]))
def test_a_job_that_nobody_reads_can_be_stopped(
    library: Shell, embedding_server: EmbeddingServer, place: Any, options: list[str]
) -> None:
    words = ["ingest", "docs", "--kb", "waf", *embedding_server.options, *options]
    with place() as out, started(library, *words, stdout=out, stderr=out) as process:
        assert embedding_server.asked.wait(60)
        watch = Stopwatch()
        process.send_signal(signal.SIGTERM)
        embedding_server.gate.set()
        assert process.wait(60) in {3, -signal.SIGTERM}
        assert watch.within(2)


def test_the_second_ctrl_c_leaves_a_terminal_that_is_stuck(library: Shell, embedding_server: EmbeddingServer) -> None:
    words = ["ingest", "docs", "--kb", "waf", *embedding_server.options]
    with unread_terminal() as out, started(library, *words, stdout=out, stderr=out) as process:
        assert embedding_server.asked.wait(60)
        deadline = time.monotonic() + patience(10)
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)  # one person's second press; how soon the first was seen shows nowhere
        assert process.returncode == 3


def test_what_is_written_where_nothing_is_open_is_as_good_as_written() -> None:
    output = Output(1, "test", is_closed=True)
    assert (output.put("a line\n"), output.isatty()) == (True, False)
    assert output.error is not None


def test_what_does_not_fit_is_counted_where_it_is_missing() -> None:
    reading, writing = os.pipe()
    output = Output(writing, "test")
    output.in_background = True
    line = "x" * 1023 + "\n"
    put = [output.put(line) for _ in range(3 * LIMIT_BYTES // len(line))]
    assert False in put
    assert output.put("the end\n", must=True)
    shown: list[bytes] = []

    def read() -> None:
        while data := os.read(reading, 65536):
            shown.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    output.drain(60)
    output.put("after it\n")
    output.drain(60)
    os.close(writing)
    reader.join()
    os.close(reading)
    text = b"".join(shown).decode()
    assert text.count(line) == put.count(True)
    assert "the end\n" in text
    # In more than one place, when the pipe took some lines in between.
    left_out = re.findall(r"^phaseflow: ([\d,]+) lines? left out here: nobody read them$", text, re.MULTILINE)
    assert sum(int(number.replace(",", "")) for number in left_out) == put.count(False)
    assert text.endswith("after it\n")


def test_a_pipe_that_somebody_made_non_blocking_is_written_whole() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    output, shown = Output(writing, "test"), [b""]

    def read() -> None:
        while data := os.read(reading, 65536):
            shown[0] += data

    reader = threading.Thread(target=read)
    reader.start()
    output.write("x" * 1_000_000)
    os.close(writing)
    reader.join()
    os.close(reading)
    assert len(shown[0]) == 1_000_000
