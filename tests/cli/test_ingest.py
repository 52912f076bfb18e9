"""A job in the foreground, from the first line to the exit code."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import zipfile
from contextlib import closing

import anyio
import anyio.to_thread
import pytest

from phaseflow import PhaseFlow
from tests.cli.commands import TIMEOUT_S, Shell, ended
from tests.cli.embedding_server import EmbeddingServer
from tests.cli.forked import Forked
from tests.engine.components import CountingEmbedder
from tests.stopwatch import fail_soon


def _statuses(done: "subprocess.CompletedProcess[str]") -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def _asked(server: EmbeddingServer) -> None:
    assert server.asked.wait(60), "the embedding server was never asked"


def test_a_folder_becomes_searchable(library: Shell) -> None:
    done = library("ingest", "docs", "--kb", "waf")
    assert (done.returncode, done.stdout) == (0, "")
    assert "waf: completed" in done.stderr
    found = library.answer("search", "waf", "how do I plan for a region outage?")
    best = found["hits"][0]
    assert best["uri"] == "regions.md"
    text = (library.here / "docs" / "regions.md").read_text(encoding="utf-8")
    assert text[best["start"] : best["end"]] == best["text"]


def test_without_a_terminal_each_transition_is_a_line(library: Shell) -> None:
    lines = library("ingest", "docs", "--kb", "waf").stderr.splitlines()
    assert any(line.startswith("waf: loading completed") for line in lines)
    assert any(line.startswith("waf: indexing completed") for line in lines)


def test_failures_are_counted_and_named_at_the_end_with_the_command_that_lists_them(library: Shell) -> None:
    shown = library("ingest", "docs", "--kb", "waf").stderr
    assert "1 document failed:" in shown
    assert "picture.png: loading: " in shown
    assert "phaseflow failures waf" in shown
    assert [item["uri"] for item in library.answer("failures", "waf")["items"]] == ["picture.png"]


def test_json_is_one_status_per_line_and_the_last_is_final(library: Shell) -> None:
    done = library("ingest", "docs", "--kb", "waf", "--json")
    statuses = _statuses(done)
    assert done.stderr == ""
    assert statuses[-1]["status"] == "completed"
    assert statuses[-1] == library.answer("status", "waf")
    assert all(status["status"] != "completed" for status in statuses[:-1])


@pytest.mark.thorough
def test_archives_are_opened_when_that_is_asked_for(library: Shell) -> None:
    with zipfile.ZipFile(library.here / "docs" / "guide.zip", "w") as archive:
        archive.writestr("zebras.md", "# Zebras\n\nZebras are striped.")
    library("ingest", "docs", "--kb", "waf")
    assert "guide.zip" in [item["uri"] for item in library.answer("failures", "waf")["items"]]
    library("ingest", "docs", "--kb", "waf", "--archives")
    assert library.answer("search", "waf", "striped zebras")["hits"][0]["uri"] == "guide.zip/zebras.md"
    assert [item["uri"] for item in library.answer("failures", "waf")["items"]] == ["picture.png"]
    assert library("ingest", "docs/guide.zip", "--kb", "one", "--archives").returncode == 0
    assert library.answer("search", "one", "zebras")["hits"][0]["title"] == "Zebras"


def test_the_same_command_again_reads_only_what_has_changed(library: Shell) -> None:
    library("ingest", "docs", "--kb", "waf")
    library.write("docs/costs.md", "# Costs\n\nA budget needs an owner.\n")
    metrics = _statuses(library("ingest", "docs", "--kb", "waf", "--json"))[-1]["metrics"]
    assert isinstance(metrics, dict)
    assert (metrics["documents_loaded"], metrics["documents_unchanged"]) == (1, 2)


def test_a_database_in_use_is_one_line_that_names_the_holder(library: Shell, embedding_server: EmbeddingServer) -> None:
    with library.running("ingest", "docs", "--kb", "waf", *embedding_server.options) as first:
        _asked(embedding_server)
        second = library("ingest", "docs", "--kb", "other")
        read = library.answer("status", "waf")
        embedding_server.gate.set()
        assert ended(first).returncode == 0
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert line.startswith("phaseflow: ")
    assert str(first.pid) in line
    assert read["status"] == "running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_pauses_and_the_same_command_goes_on(
    library: Shell, embedding_server: EmbeddingServer, number: signal.Signals
) -> None:
    command = ["ingest", "docs", "--kb", "waf", *embedding_server.options]
    with library.running(*command) as process:
        _asked(embedding_server)
        process.send_signal(number)
        library.until_requested("waf", "pause")
        embedding_server.gate.set()
        paused = ended(process)
    assert paused.returncode == 3
    assert "paused; the same command goes on" in paused.stderr
    job = library.answer("status", "waf")
    assert job["status"] == "paused"
    assert library(*command).returncode == 0
    assert library.answer("status", "waf")["job_id"] == job["job_id"]
    assert len(embedding_server.texts) == len(set(embedding_server.texts)), "a text was paid for twice"


@pytest.mark.thorough
def test_a_second_ctrl_c_leaves_at_once_and_loses_nothing(library: Shell, embedding_server: EmbeddingServer) -> None:
    command = ["ingest", "docs", "--kb", "waf", *embedding_server.options]
    with library.running(*command) as process:
        _asked(embedding_server)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "Ctrl-C again" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert ended(process).returncode == 3
    embedding_server.gate.set()
    job = library.answer("status", "waf")
    assert library(*command).returncode == 0
    assert library.answer("status", "waf")["job_id"] == job["job_id"]


@pytest.mark.thorough
def test_after_a_kill_the_same_command_goes_on_with_the_same_job(
    library: Shell, embedding_server: EmbeddingServer
) -> None:
    command = ["ingest", "docs", "--kb", "waf", *embedding_server.options]
    with library.running(*command) as process:
        _asked(embedding_server)
        process.kill()
        ended(process)
    embedding_server.gate.set()
    job = library.answer("status", "waf")
    assert library(*command).returncode == 0
    assert library.answer("status", "waf")["job_id"] == job["job_id"]


def test_another_source_does_not_take_over_a_paused_job(library: Shell) -> None:
    library("ingest", "docs", "--kb", "waf", "--hold", "embedding")
    library.write("notes/a.md", "other")
    done = library("ingest", "notes", "--kb", "waf")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "notes" in line
    assert "phaseflow resume waf" in line
    assert library.answer("status", "waf")["status"] == "paused"


@pytest.mark.thorough
def test_a_held_phase_is_left_for_later_also_by_the_same_command(library: Shell) -> None:
    command = ["ingest", "docs", "--kb", "waf", "--hold", "embedding", "--json"]
    for _ in range(2):
        done = library(*command)
        final = _statuses(done)[-1]
        assert done.returncode == 3
        assert final["status"] == "paused"
        metrics = final["metrics"]
        assert isinstance(metrics, dict)
        assert (metrics["chunks_created"], metrics["embeddings_computed"]) == (3, 0)
    assert library("resume", "waf").returncode == 0


def test_a_job_that_fails_ends_with_1_and_a_retry_goes_on(library: Shell) -> None:
    library("ingest", "docs", "--kb", "waf", "--hold", "loading")
    (library.here / "docs").rename(library.here / "elsewhere")
    failed = library("resume", "waf")
    assert failed.returncode == 1
    assert "phaseflow retry waf" in failed.stderr
    (library.here / "elsewhere").rename(library.here / "docs")
    assert library("retry", "waf").returncode == 0


def test_a_paused_job_can_be_cancelled_and_the_next_start_is_a_new_one(library: Shell) -> None:
    library("ingest", "docs", "--kb", "waf", "--hold", "embedding")
    cancelled = library.answer("cancel", "waf")
    assert cancelled["status"] == "cancelled"
    assert library("ingest", "docs", "--kb", "waf").returncode == 0
    assert len(library.answer("jobs", "waf")["items"]) == 2


async def test_a_terminal_gets_one_live_bar_per_phase(library: Shell) -> None:
    ours, theirs = pty.openpty()
    environment = library.environment() | {"TERM": "xterm-256color", "COLUMNS": "120"}
    process = Forked(["ingest", "docs", "--kb", "waf"], library.here, environment, stderr=theirs)
    os.close(theirs)
    try:
        with fail_soon(TIMEOUT_S):
            shown = await anyio.to_thread.run_sync(_all_of, ours, abandon_on_cancel=True)
            assert await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True) == 0
    finally:
        process.close()
    for phase in ("loading", "chunking", "embedding", "indexing"):
        assert phase in shown
    assert "━" in shown
    assert "waf: completed" in shown


def _all_of(fd: int) -> str:
    parts = []
    try:
        while part := os.read(fd, 65536):
            parts.append(part)
    except OSError:
        pass  # Linux says EIO when the other end is closed
    os.close(fd)
    return b"".join(parts).decode(errors="replace")


def test_a_pause_by_a_guard_ends_the_command_with_the_reason_and_a_resume_goes_on(shell: Shell) -> None:
    for number in range(100):
        shell.write(f"many/{number}.md", f"# Number {number}\n\nWhat stands in document {number}.\n")
    with EmbeddingServer() as server:
        server.gate.set()
        server.room = 1
        done = shell("ingest", "many", "--kb", "waf", *server.options)
        assert done.returncode == 3
        assert "asks to wait for 2 hours" in done.stderr
        assert "the same command goes on" in done.stderr
        status = shell.answer("status", "waf")
        assert status["status"] == "paused"
        assert "asks to wait for 2 hours" in status["message"]
        assert shell("resume", "waf").returncode == 3
        server.room = None
        assert shell("resume", "waf").returncode == 0
        assert len(server.texts) == 100


def test_an_ingest_with_other_settings_says_what_is_made_again(library: Shell) -> None:
    said = [library("ingest", "docs", "--kb", "waf", "--chunk-size", size).stderr for size in ("300", "400")]
    again = "waf was indexed with another chunk_size: every document is cut again"
    assert [again in each for each in said] == [False, True]


@pytest.mark.thorough
def test_a_plain_ingest_keeps_the_settings_and_one_with_others_says_what_is_made_again(library: Shell) -> None:
    assert library("ingest", "docs", "--kb", "waf", "--chunk-size", "300").returncode == 0
    again = library("ingest", "docs", "--kb", "waf")
    assert (again.returncode, "was indexed with another" in again.stderr) == (0, False)
    (kb,) = library.answer("status")["items"]
    assert (kb["settings"]["chunk_size"], kb["indexed_with"]["chunk_size"], kb["stale"]) == (300, 300, [])
    other = library("ingest", "docs", "--kb", "waf", "--chunk-size", "400")
    assert "waf was indexed with another chunk_size: every document is cut again" in other.stderr


def test_an_index_of_a_program_of_its_own_is_not_embedded_again_without_a_word(library: Shell) -> None:
    async def with_own_embedder() -> None:
        async with PhaseFlow(library.here / "phaseflow.db", embedder=CountingEmbedder()) as flow:
            await (await flow.start("waf", library.here / "docs")).wait()

    anyio.run(with_own_embedder)
    done = library("ingest", str(library.here / "docs"), "--kb", "waf")
    assert done.returncode == 0
    assert "waf was indexed with another embedder: every passage is embedded again" in done.stderr
    assert "every passage is embedded again: the embedder has changed" in done.stderr


def test_what_another_version_of_phaseflow_has_indexed_is_not_made_again_without_a_word(library: Shell) -> None:
    assert library("ingest", "docs", "--kb", "waf").returncode == 0
    with closing(sqlite3.connect(library.here / "phaseflow.db")) as connection, connection:
        connection.execute("UPDATE knowledge_bases SET live_settings = json_set(live_settings, '$.rules', 'older')")
    done = library("ingest", "docs", "--kb", "waf")
    assert (done.returncode, "waf was indexed with another version of phaseflow" in done.stderr) == (0, True)
    done = library("ingest", "docs", "--kb", "waf")
    assert (done.returncode, "was indexed with another" in done.stderr) == (0, False)


def test_the_status_says_that_the_index_is_older_than_the_settings(library: Shell) -> None:
    assert library("ingest", "docs", "--kb", "waf").returncode == 0

    async def change() -> None:
        async with PhaseFlow(library.here / "phaseflow.db") as flow:
            await flow.put_kb("waf", None, {"chunk_size": 300})

    anyio.run(change)
    assert (
        "the index was made with another chunk_size; in the next run every document" in library("status", "waf").stderr
    )
