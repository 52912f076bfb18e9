"""Commands that are interrupted, killed, or find somebody else in the database. Nothing is paid for twice."""

import json
import signal
import subprocess
import time
from collections import Counter
from typing import Any

import pytest

from tests.answering import Answers, answering
from tests.cli.commands import Shell, ended
from tests.cli.embedding_server import EmbeddingServer
from tests.cli.forked import LETS_GO_SOON
from tests.contract.watching import write_notes
from tests.stopwatch import Stopwatch

INGEST = ("ingest", "docs", "--kb", "waf", "--json")


def last(process: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    status: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_pauses_durably_and_the_same_command_goes_on(
    shell: Shell, server: EmbeddingServer, number: signal.Signals
) -> None:
    with shell.running(*INGEST, *server.options) as process:
        assert server.asked.wait(60)
        process.send_signal(number)
        shell.until_requested("waf", "pause")
        server.gate.set()
        stopped = ended(process)
    stood = shell.answer("status", "waf")
    again = shell(*INGEST, *server.options)
    assert (stopped.returncode, stood["status"]) == (3, "paused")
    assert "Traceback" not in stopped.stderr
    assert last(stopped) == stood
    assert (again.returncode, last(again)["status"], last(again)["job_id"]) == (0, "completed", stood["job_id"])
    assert max(Counter(server.texts).values()) == 1


@pytest.mark.parametrize(
    ("number", "json"),
    [
        (signal.SIGINT, ("--json",)),
        (signal.SIGTERM, ()),
        pytest.param(signal.SIGINT, (), marks=pytest.mark.thorough),
        pytest.param(signal.SIGTERM, ("--json",), marks=pytest.mark.thorough),
    ],
)
def test_a_call_that_hangs_is_abandoned_and_the_same_command_goes_on(
    shell: Shell, server: EmbeddingServer, number: signal.Signals, json: tuple[str, ...]
) -> None:
    write_notes(shell.here / "docs", 40, lines=1)
    words = ("ingest", "docs", "--kb", "waf", *json)
    with shell.running(*words, *server.options, env=shell.environment() | {LETS_GO_SOON: "1"}) as process:
        assert server.asked.wait(60)
        process.send_signal(number)
        watch = Stopwatch()
        stopped = ended(process)
        assert watch.within(10)  # and not a minute, the time that a call has
    in_the_air = Counter(server.texts)
    stood = shell.answer("status", "waf")
    server.gate.set()
    again = shell(*INGEST, *server.options)
    assert (stopped.returncode, stood["status"]) == (3, "paused")
    assert "Traceback" not in stopped.stderr
    assert "resume" in stood["allowed_actions"]
    if json:
        assert last(stopped)["status"] == "paused"
    else:
        assert "the same command" in stopped.stderr
    assert (again.returncode, last(again)["status"], last(again)["job_id"]) == (0, "completed", stood["job_id"])
    assert all(times <= 1 + in_the_air[text] for text, times in Counter(server.texts).items())


def test_a_second_ctrl_c_leaves_at_once_and_loses_nothing(shell: Shell, server: EmbeddingServer) -> None:
    with shell.running(*INGEST, *server.options) as process:
        assert server.asked.wait(60)
        process.send_signal(signal.SIGINT)
        shell.until_requested("waf", "pause")
        process.send_signal(signal.SIGINT)
        watch = Stopwatch()
        stopped = ended(process)
        assert watch.within(2)
    server.gate.set()
    assert stopped.returncode == 3
    assert "Traceback" not in stopped.stderr
    assert shell(*INGEST, *server.options).returncode == 0


def test_after_a_kill_the_same_command_goes_on_with_the_same_job(shell: Shell, server: EmbeddingServer) -> None:
    write_notes(shell.here / "docs", 300, lines=1)
    with shell.running(*INGEST, *server.options) as process:
        assert server.asked.wait(60)
        server.gate.set()
        while len(set(server.texts)) < 100:
            time.sleep(0.01)
        process.kill()
        ended(process)
    again = shell(*INGEST, *server.options)
    assert (again.returncode, last(again)["status"]) == (0, "completed")
    assert len(shell.answer("jobs", "waf")["items"]) == 1
    paid_twice = [text for text, times in Counter(server.texts).items() if times > 1]
    assert len(paid_twice) <= 8 * 64
    assert max(Counter(server.texts).values()) <= 2


def test_a_second_process_is_told_in_one_line_which_process_holds_the_database(
    shell: Shell, server: EmbeddingServer
) -> None:
    with shell.running(*INGEST, *server.options) as holder:
        assert server.asked.wait(60)
        for words in (INGEST, ("serve", "--port", "0")):
            second = shell(*words)
            assert (second.returncode, second.stdout) == (1, "")
            assert len(second.stderr.splitlines()) == 1
            assert str(holder.pid) in second.stderr
        server.gate.set()
        assert ended(holder).returncode == 0


def test_reading_commands_work_beside_a_holder(shell: Shell, server: EmbeddingServer) -> None:
    with shell.running(*INGEST, *server.options) as holder:
        assert server.asked.wait(60)
        status = shell.answer("status", "waf")
        jobs = shell.answer("jobs", "waf")
        server.gate.set()
        assert ended(holder).returncode == 0
    assert (status["status"], status["phase_details"][2]["status"]) == ("running", "running")
    assert jobs["items"][0]["job_id"] == status["job_id"]


def test_the_one_that_was_killed_does_not_block(shell: Shell, server: EmbeddingServer) -> None:
    with shell.running(*INGEST, *server.options) as holder:
        assert server.asked.wait(60)
        holder.kill()
        ended(holder)
    watch = Stopwatch()
    cancelled = shell("cancel", "waf", "--json")
    assert json.loads(cancelled.stdout)["status"] == "cancelled"
    assert watch.within(5)
    assert json.loads(cancelled.stdout)["allowed_actions"] == ["start"]


def test_a_refused_key_fails_at_once_with_1(shell: Shell) -> None:
    class Refusing(Answers):
        def respond(self) -> None:
            self.read()
            self.answer(401)

    with answering(Refusing) as url:
        failed = shell(*INGEST, "--embedder", "openai", "--embedding-url", f"{url}/v1", "--embedding-model", "m")
        retried = shell("retry", "waf", "--json")
        shown = shell("retry", "waf")
        detailed = shell("retry", "waf", "-vv")
    assert (failed.returncode, last(failed)["status"]) == (1, "failed")
    assert "401" in str(last(failed)["error"])
    assert (failed.stderr, retried.stderr) == ("", "")
    assert "Error" not in shown.stderr
    assert f"waf: failed: {last(failed)['error']}" in shown.stderr.splitlines()
    assert "ComponentUnavailable" in detailed.stderr
    assert (retried.returncode, last(retried)["job_id"]) == (1, last(failed)["job_id"])
