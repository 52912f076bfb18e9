"""What was asked for while a job was paused is loaded before the command that goes on with it ends."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import Shell
from tests.matrices import first_of_each


@pytest.fixture
def waiting(shell: Shell) -> Shell:
    """A knowledge base whose job is paused after its loading, and a document that waits for its end."""
    shell.write("docs/a.md", "Of letters.")
    shell.write("docs/b.md", "Of numbers.")
    shell.write("one.md", "Of one thing.")
    assert shell("ingest", "docs", "--kb", "k", "--hold", "embedding").returncode == 3
    assert shell("add", "one.md", "--kb", "k").returncode == 3
    return shell


def _status(shell: Shell, uri: str) -> str:
    return str(shell.answer("document", "k", uri)["status"])


def test_a_resume_loads_what_was_pushed_meanwhile(waiting: Shell) -> None:
    done = waiting("resume", "k", "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["status"] == "completed"
    assert last["job_id"] == waiting.answer("jobs", "k")["items"][0]["job_id"]
    assert (_status(waiting, "one.md"), len(waiting.answer("jobs", "k")["items"])) == ("indexed", 2)


def test_an_ingest_that_goes_on_loads_what_was_pushed_meanwhile(waiting: Shell) -> None:
    done = waiting("ingest", "docs", "--kb", "k")
    assert done.returncode == 0, done.stderr
    assert (_status(waiting, "one.md"), len(waiting.answer("jobs", "k")["items"])) == ("indexed", 2)


@pytest.mark.thorough
def test_a_resume_loads_a_document_anew_that_was_asked_for_meanwhile(waiting: Shell) -> None:
    waiting.write("docs/a.md", "Of letters, once more.")
    assert waiting("retry", "k", "a.md").returncode == 3
    assert waiting("resume", "k").returncode == 0
    assert waiting("document", "k", "a.md", "--text").stdout.strip() == "Of letters, once more."


@pytest.mark.thorough
def test_the_exit_code_is_that_of_the_last_job(shell: Shell) -> None:
    shell.write("docs/a.md", "Of letters.")
    shell.write("bad.pdf", "%PDF-1.7 and nothing more")
    assert shell("ingest", "docs", "--kb", "k", "--hold", "embedding").returncode == 3
    assert shell("add", "bad.pdf", "--kb", "k").returncode == 3
    done = shell("resume", "k", "--json")
    statuses = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [one["status"] for one in statuses if one["status"] in {"completed", "failed"}]
    assert (ends[0], done.returncode) == ("completed", 0 if ends[-1] == "completed" else 1)
    assert _status(shell, "bad.pdf") == "failed"


@pytest.mark.parametrize("source", first_of_each(["more", "docs"]))
def test_an_ingest_begins_after_the_job_for_what_waited(waiting: Shell, source: str, tmp_path: Path) -> None:
    _leave_queued(waiting)
    waiting.write("docs/c.md", "Of colours.")
    waiting.write("more/c.md", "Of colours.")
    done = waiting("ingest", source, "--kb", "k")
    assert done.returncode == 0, done.stderr
    assert (_status(waiting, "one.md"), _status(waiting, "c.md")) == ("indexed", "indexed")
    assert len(waiting.answer("jobs", "k")["items"]) == 3


def _leave_queued(shell: Shell) -> None:
    """End the paused job as a program does that stops before the next one can be made."""
    import anyio

    from phaseflow import PhaseFlow

    async def end() -> None:
        async with PhaseFlow(shell.here / "phaseflow.db", slots=0, auto_resume=False) as flow:
            await flow.cancel("k")
            await flow.add("k", [{"uri": "one.md", "text": "Of one thing, later."}])

    anyio.run(end)
