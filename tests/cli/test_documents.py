"""add, skip, remove and retry of one document, on a database of this machine."""

from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest

from phaseflow import PhaseFlow
from phaseflow.cli import documents
from tests.cli.commands import Shell
from tests.cli.statuses import job
from tests.engine.components import CountingEmbedder


def test_a_file_is_pushed_left_out_loaded_anew_and_removed(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Of letters.")
    shell = Shell(tmp_path)

    def said(*words: str) -> str:
        done = shell(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert "a.md: indexed" in said("add", "a.md", "--kb", "notes", "--metadata", "author=Ada", "--metadata", "n=2")
    shown = shell.answer("document", "notes", "a.md")
    assert (shown["source"], shown["metadata"]) == ("push", {"author": "Ada", "n": 2})
    changed = said("metadata", "notes", "a.md", "author=", "team=core", "tag=x", "tag=y", "done=true")
    assert changed == 'n = 2\nteam = core\ntag = ["x", "y"]\ndone = true\n'
    assert shell.answer("metadata", "notes", "a.md") == {"n": 2, "team": "core", "tag": ["x", "y"], "done": True}
    assert "a.md: skipped" in said("skip", "notes", "a.md")
    assert "a.md: indexed" in said("retry", "notes", "a.md")
    assert "removed a.md" in said("remove", "notes", "a.md")


def test_metadata_that_cannot_be_kept_is_a_mistake_of_usage(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Of letters.")
    shell = Shell(tmp_path)
    for wrong in ("author", "uri=x"):
        assert shell("add", "a.md", "--kb", "notes", "--metadata", wrong).returncode == 2
        assert shell("metadata", "notes", "a.md", wrong).returncode == 2
    assert not (tmp_path / "phaseflow.db").exists()


def test_a_document_that_failed_fails_the_command_that_added_it(tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_text("%PDF-1.7 and nothing more")
    (tmp_path / "a.md").write_text("Of letters.")
    shell = Shell(tmp_path)
    assert shell("add", "bad.pdf", "a.md", "--kb", "notes").returncode == 1
    assert shell("add", "a.md", "--kb", "notes").returncode == 0
    assert shell("retry", "notes", "bad.pdf").returncode == 1


async def test_a_retry_that_waits_for_a_start_is_neither_done_nor_failed(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    async with PhaseFlow(shell.here / "phaseflow.db", embedder=CountingEmbedder()) as flow:
        await flow.add("notes", [{"uri": "a.md", "text": "Of letters."}])
        await (await flow.job("notes")).wait()
        await flow.start("notes", hold=["loading"])
        await flow.cancel("notes")
    told = await anyio.to_thread.run_sync(partial(shell, "retry", "notes", "a.md"))
    assert (told.returncode, "a.md: waits for the next start or push" in told.stderr) == (3, True), told.stderr


def test_a_push_whose_job_fails_says_why_and_what_to_type_next() -> None:
    lines = "\n".join(documents._how_to_go_on([], job(status="failed", error="the server answered 404")))
    assert "waf: failed: the server answered 404" in lines
    assert "phaseflow retry waf tries what failed again" in lines


@pytest.mark.thorough
def test_the_retry_of_a_document_waits_after_a_cancelled_job_and_says_so(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.write("a.md", "Of letters.")
    shell.write("docs/b.md", "Of numbers.")
    assert shell("add", "a.md", "--kb", "notes").returncode == 0
    assert shell("ingest", "docs", "--kb", "notes", "--hold", "loading").returncode == 3
    assert shell("cancel", "notes").returncode == 0
    told = shell("retry", "notes", "a.md")
    assert told.returncode == 3, told.stderr
    assert "a.md: waits for the next start or push" in told.stdout + told.stderr
    assert shell.answer("status", "notes")["status"] == "cancelled"


def test_the_text_of_a_document_is_one_json_document_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Of letters.")
    shell = Shell(tmp_path)
    assert shell("add", "a.md", "--kb", "notes").returncode == 0
    assert shell.answer("document", "notes", "a.md", "--text") == {"text": "Of letters."}


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["a.md", "b.eml"])
def test_a_document_that_is_loaded_alone_keeps_its_size(tmp_path: Path, name: str) -> None:
    shell = Shell(tmp_path)
    texts = {"a.md": "Of apples.", "b.eml": "From: ada@example.org\nSubject: Bears\n\nOf bears.\n"}
    for each, text in texts.items():
        shell.write(f"docs/{each}", text)
    assert shell("ingest", "docs", "--kb", "notes").returncode == 0
    shell.write(f"docs/{name}", texts[name] + "More of them.\n")
    done = shell("retry", "notes", name)
    assert done.returncode == 0, done.stderr
    sizes = {one["uri"]: one["size"] for one in shell.answer("documents", "notes")["items"]}
    assert sizes == {each: (tmp_path / "docs" / each).stat().st_size for each in texts}


def test_several_files_are_told_as_one_json_document(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.write("a.md", "Of letters.")
    shell.write("b.md", "Of numbers.")
    added = shell.answer("add", "a.md", "b.md", "--kb", "notes")
    assert [one["uri"] for one in added["documents"]] == ["a.md", "b.md"]
    assert added["job"]["status"] == "completed"


def test_a_document_shows_its_metadata_as_the_command_for_it_does(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.write("a.md", "---\nauthor: [Ada, Bob]\n---\n# A\n\nOf letters.")
    shell.answer("add", "a.md", "--kb", "notes")
    (shown,) = (line for line in shell("document", "notes", "a.md").stderr.splitlines() if "metadata.author" in line)
    (told,) = shell("metadata", "notes", "a.md").stderr.splitlines()
    assert shown.split(maxsplit=1)[1].strip() == told.removeprefix("author = ") == '["Ada", "Bob"]'


def test_two_files_of_one_name_are_refused_and_named(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.write("x/n.md", "Of letters.")
    shell.write("y/n.md", "Of numbers.")
    refused = shell("add", "x/n.md", "y/n.md", "--kb", "notes")
    assert refused.returncode == 2
    assert "x/n.md and y/n.md have the same name" in " ".join(refused.stderr.split())
    twice = shell("add", "x/n.md", "x/n.md", "--kb", "notes")
    assert (twice.returncode, "x/n.md is named twice" in twice.stderr) == (2, True)
    assert not (tmp_path / "phaseflow.db").exists()


def test_a_setting_that_does_not_fit_with_another_is_told_without_a_field(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.write("a.md", "Of letters.")
    assert shell("add", "a.md", "--kb", "notes").returncode == 0
    assert "Error: chunk_overlap (100) must" in shell("settings", "notes", "chunk_size=50").stderr
    told = shell("status", "notes", "--server", "foo").stderr
    assert told.count("such as") == 1, told
