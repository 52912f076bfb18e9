"""The commands that read."""

import os

import pytest

from phaseflow.domain.status import SearchHit
from tests.cli.commands import Shell
from tests.cli.embedding_server import EmbeddingServer


def test_lists_and_answers_are_the_json_of_the_service(ingested: Shell) -> None:
    kbs = ingested.answer("status")
    assert [kb["kb_id"] for kb in kbs["items"]] == ["waf"]
    assert kbs["next_cursor"] is None
    assert kbs["items"][0]["job"] == ingested.answer("status", "waf")
    assert ingested.answer("jobs", "waf")["items"] == [ingested.answer("status", "waf")]
    assert set(ingested.answer("failures", "waf")["items"][0]) >= {"uri", "phase", "error", "attempts", "at"}
    assert set(
        ingested.answer("search", "waf", "budget", "--limit", "1")["hits"][0]
    ) == SearchHit.model_fields.keys() - {"also_in"}


def test_a_search_without_the_embedding_server_says_so(library: Shell) -> None:
    with EmbeddingServer() as server:
        server.gate.set()
        library("ingest", "docs", "--kb", "waf", *server.options)
    shown = library("search", "waf", "budget")
    assert "searched by words alone: http://127.0.0.1" in shown.stderr
    found = library.answer("search", "waf", "budget")
    assert found["hits"]
    assert found["mode"] == "words"
    assert "cannot be reached" in found["degraded"]


def test_what_a_person_reads_is_on_stderr(ingested: Shell) -> None:
    for words, expected in [
        (["status"], "waf"),
        (["status", "waf"], "indexing"),
        (["jobs", "waf"], "completed"),
        (["failures", "waf"], "picture.png"),
        (["documents", "waf"], "deep/security.md"),
        (["documents", "waf", "--filter", "nothing of that name"], "no documents"),
        (["search", "waf", "least privilege"], "deep/security.md"),
    ]:
        done = ingested(*words)
        assert (done.returncode, done.stdout) == (0, "")
        assert expected in done.stderr


def test_a_page_says_where_the_next_one_begins(library: Shell) -> None:
    library("ingest", "docs", "--kb", "waf")
    library("ingest", "docs", "--kb", "waf")
    first = library.answer("jobs", "waf", "--limit", "1")
    second = library.answer("jobs", "waf", "--limit", "1", "--cursor", first["next_cursor"])
    assert first["items"][0]["job_id"] != second["items"][0]["job_id"]
    assert second["next_cursor"] is None


def test_documents_are_listed_by_uri(ingested: Shell) -> None:
    page = ingested.answer("documents", "waf")
    assert [one["uri"] for one in page["items"]] == sorted(one["uri"] for one in page["items"])
    assert {one["status"] for one in page["items"]} == {"indexed", "failed"}
    assert [one["uri"] for one in ingested.answer("documents", "waf", "--status", "failed")["items"]] == ["picture.png"]
    only = ingested.answer("documents", "waf", "--filter", "SECURITY")
    assert [one["uri"] for one in only["items"]] == ["deep/security.md"]


def test_a_document_is_shown_with_where_it_stands_and_its_text(ingested: Shell) -> None:
    one = ingested.answer("document", "waf", "deep/security.md")
    assert (one["status"], one["searchable"]) == ("indexed", True)
    assert (
        ingested("document", "waf", one["id"], "--text").stdout
        == ingested.here.joinpath("docs", one["uri"]).read_text()
    )
    shown = ingested("document", "waf", one["uri"])
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "indexed" in shown.stderr
    missing = ingested("document", "waf", "nobody.md")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


def test_an_unknown_kb_is_one_line_and_exit_1(ingested: Shell) -> None:
    for words in (
        ["status", "nope"],
        ["jobs", "nope"],
        ["failures", "nope"],
        ["documents", "nope"],
        ["search", "nope", "x"],
    ):
        done = ingested(*words)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("phaseflow: ")
        assert "nope" in line


def test_reading_without_a_database_makes_none(shell: Shell) -> None:
    done = shell("status", "waf")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("phaseflow: ")
    assert list(shell.here.iterdir()) == []


def test_an_empty_file_is_no_database_yet(shell: Shell) -> None:
    path = shell.write("phaseflow.db", "")
    for words in (["status"], ["search", "waf", "x"]):
        done = shell(*words)
        assert (done.returncode, done.stderr) == (
            1,
            f"phaseflow: {path} is an empty database; ingest something first\n",
        )
    assert list(shell.here.iterdir()) == [path]
    assert path.stat().st_size == 0


def test_a_file_that_is_no_database_is_left_as_it_is(shell: Shell) -> None:
    path = shell.write("phaseflow.db", "mine " * 1000)
    for words in (["status"], ["ingest", ".", "--kb", "waf"]):
        done = shell(*words)
        assert done.returncode == 1
        assert done.stderr.startswith("phaseflow: ")
    assert path.read_text() == "mine " * 1000


@pytest.mark.parametrize(
    "words",
    [
        ["status"], ["status", "waf"], ["jobs", "waf"], ["failures", "waf"], ["documents", "waf"],
        ["search", "waf", "x"], ["pause", "waf"], ["cancel", "waf"], ["resume", "waf"], ["retry", "waf"],
        ["ingest", ".", "--kb", "waf"], ["serve", "--port", "0"],
    ],
)  # fmt: skip
def test_what_is_no_regular_file_is_refused_in_one_line(shell: Shell, words: list[str]) -> None:
    pipe = shell.here / "pipe"
    os.mkfifo(pipe)
    done = shell(*words, "--db", "pipe")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line == f"phaseflow: {pipe} is not a regular file; name another one with --db"
    assert list(shell.here.iterdir()) == [pipe]
