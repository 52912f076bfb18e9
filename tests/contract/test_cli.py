"""The commands as the contract names them: output, exit codes, errors."""

import json
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from phaseflow import PhaseFlow
from tests.cli.commands import Shell
from tests.contract.outsiders import Complete
from tests.contract.test_status_json import TOP
from tests.contract.watching import write_notes

INGEST = ("ingest", "docs", "--kb", "waf")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Two jobs of one knowledge base are over; one of its files cannot be read."""
    shell = Shell(tmp_path_factory.mktemp("done"))
    write_notes(shell.here / "docs", 6, lines=2)
    (shell.here / "docs" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    for _ in range(2):
        assert shell(*INGEST).returncode == 0
    return shell


def test_ingest_completes_with_0_and_says_nothing_on_stdout(shell: Shell) -> None:
    ended = shell(*INGEST)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "Traceback" not in ended.stderr


def test_ingest_prints_one_status_a_line_the_last_one_final(shell: Shell) -> None:
    ended = shell(*INGEST, "--json")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0
    assert all(set(line) == TOP for line in lines)
    assert (lines[-1]["status"], lines[-1]["metrics"]["documents_loaded"]) == ("completed", 6)
    assert lines[-1] == shell.answer("status", "waf")


async def test_search_works_beside_a_holder(done: Shell) -> None:
    async with PhaseFlow(done.here / "phaseflow.db"):
        answer = await anyio.to_thread.run_sync(done.answer, "search", "waf", "topic 35")
    assert answer["hits"]


async def test_the_command_line_and_the_library_show_the_same_status(done: Shell) -> None:
    async with PhaseFlow(done.here / "phaseflow.db", embedder=Complete()) as flow:
        assert (await flow.status("waf")).model_dump(mode="json") == done.answer("status", "waf")


def test_status_without_a_name_is_a_list_of_all(done: Shell) -> None:
    answer = done.answer("status")
    assert set(answer) == {"items", "next_cursor"}
    assert "waf" in json.dumps(answer["items"])


def test_jobs_come_newest_first_and_in_pages(done: Shell) -> None:
    whole = done.answer("jobs", "waf")
    first = done.answer("jobs", "waf", "--limit", "1")
    second = done.answer("jobs", "waf", "--limit", "1", "--cursor", first["next_cursor"])
    created = [job["created_at"] for job in whole["items"]]
    assert (set(whole), len(created), whole["next_cursor"]) == ({"items", "next_cursor"}, 2, None)
    assert created == sorted(created, reverse=True)
    assert first["items"] + second["items"] == whole["items"]
    assert second["next_cursor"] is None


def test_failures_name_document_phase_error_attempts_and_time(done: Shell) -> None:
    (failure,) = done.answer("failures", "waf")["items"]
    assert {"uri", "phase", "error", "attempts", "at"} <= set(failure)
    assert (failure["uri"], failure["phase"]) == ("picture.png", "loading")
    assert "unsupported_format" in json.dumps(failure)


def test_search_prints_hits_with_exact_slices(done: Shell) -> None:
    answer = done.answer("search", "waf", "topic 35", "--limit", "3")
    assert set(answer) == {"hits", "mode", "degraded"}
    assert (answer["mode"], answer["degraded"]) == ("hybrid", None)
    assert len(answer["hits"]) == 3
    for hit in answer["hits"]:
        assert set(hit) >= {"uri", "title", "text", "score", "start", "end"}
        assert (done.here / "docs" / hit["uri"]).read_text()[hit["start"] : hit["end"]] == hit["text"]


@pytest.mark.parametrize("words", [("status", "waf"), ("search", "waf", "note")])
def test_without_json_a_person_reads_stderr(done: Shell, words: tuple[str, ...]) -> None:
    ended = done(*words)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.strip()


@pytest.mark.parametrize(
    "words", [("status", "no"), ("jobs", "no", "--json"), ("failures", "no"), ("search", "no", "q", "--json")]
)
def test_a_reading_command_ends_with_1_and_one_line_when_there_is_no_such_kb(
    done: Shell, words: tuple[str, ...]
) -> None:
    ended = done(*words)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    assert "'no'" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "docs"),
        ("ingest", "--kb", "waf"),
        ("ingest", "docs", "--kb", "waf", "--hold", "sleeping"),
        ("ingest", "docs", "--kb", "waf", "--chunk-size", "many"),
        ("ingest", "docs", "--kb", "waf", "--embedder", "other"),
        ("search", "waf"),
        ("search", "waf", "q", "--limit", "101"),
        ("jobs",),
        ("dance",),
        ("status", "--nonsense"),
    ],
)
def test_a_command_line_that_cannot_be_understood_ends_with_2(done: Shell, words: tuple[str, ...]) -> None:
    ended = done(*words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr


def test_a_folder_that_is_not_there_is_one_line(shell: Shell) -> None:
    ended = shell("ingest", "nowhere", "--kb", "waf")
    assert ended.returncode in (1, 2)
    assert "nowhere" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_paused_job_cannot_be_retried_nor_begun_with_other_settings(shell: Shell) -> None:
    other = ("--embedder", "openai", "--embedding-url", "http://127.0.0.1:9/v1", "--embedding-model", "m")
    assert shell(*INGEST, "--hold", "embedding").returncode == 3
    assert shell("retry", "waf").returncode == 1
    refused = shell(*INGEST, *other)
    assert refused.returncode in (1, 2)
    assert "Traceback" not in refused.stderr


def test_hold_ends_with_3_and_resume_goes_on(shell: Shell) -> None:
    for _ in range(2):  # the same command again leaves it held
        held = shell(*INGEST, "--hold", "embedding", "--json")
        stood = json.loads(held.stdout.splitlines()[-1])
        assert (held.returncode, stood["status"]) == (3, "paused")
    assert (stood["metrics"]["chunks_created"] > 0, stood["metrics"]["embeddings_computed"]) == (True, 0)
    resumed = shell("resume", "waf", "--json")
    final = json.loads(resumed.stdout.splitlines()[-1])
    assert (resumed.returncode, final["status"], final["job_id"]) == (0, "completed", stood["job_id"])


def test_the_options_of_ingest_are_taken(tmp_path: Path, shell: Shell) -> None:
    shell.write("docs/deep/other.md", "# Other\n")
    chosen = ("--include", "**/*.md", "--include", "note00*", "--exclude", "note001*")
    ended = shell(*INGEST, *chosen, "--chunk-size", "40", "--chunk-overlap", "0", "--db", "other.db", "--json")
    found = shell.answer("search", "waf", "note other", "--limit", "100", "--db", "other.db")
    hits: list[dict[str, Any]] = found["hits"]
    assert json.loads(ended.stdout.splitlines()[-1])["metrics"]["documents_found"] == 6
    assert len(hits) == 11
    assert all(len(hit["text"]) <= 40 for hit in hits)
    assert (tmp_path / "other.db").is_file()
    assert not (tmp_path / "phaseflow.db").exists()


def test_reading_commands_make_no_database(tmp_path: Path) -> None:
    assert Shell(tmp_path)("status", "waf").returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_verbs_that_cannot_apply_name_the_status_and_what_is_allowed(done: Shell) -> None:
    for verb in ("retry", "pause"):
        ended = done(verb, "waf")
        assert ended.returncode == 1
        assert "completed" in ended.stderr
        assert "start" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["resume", "cancel"])
def test_a_verb_on_a_kb_that_never_ran_is_one_line(done: Shell, verb: str) -> None:
    ended = done(verb, "never")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
