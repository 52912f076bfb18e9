"""start: a job on what a knowledge base has, and what says that one is needed."""

from collections.abc import Iterator
from functools import partial

import anyio.to_thread
import pytest

from phaseflow import PhaseFlow
from tests.answering import Answers, answering
from tests.cli.commands import Shell
from tests.cli.embedding_server import EmbeddingServer
from tests.engine.components import CountingEmbedder


@pytest.fixture
def held(shell: Shell) -> Shell:
    """A knowledge base of two files, whose job is paused before anything is embedded."""
    shell.write("docs/a.md", "Of letters. " * 20)
    shell.write("docs/b.md", "Of numbers.")
    shell.write("one.md", "Of one thing.")
    assert shell("ingest", "docs", "--kb", "k", "--hold", "embedding").returncode == 3
    return shell


def _chunks(shell: Shell) -> dict[str, int]:
    return {each["uri"]: each["chunks"] for each in shell.answer("documents", "k")["items"]}


def test_a_start_reads_the_sources_with_the_settings_of_the_knowledge_base(shell: Shell) -> None:
    shell.write("docs/a.md", "Of letters. " * 20)
    assert shell("ingest", "docs", "--kb", "k").returncode == 0
    shell.write("docs/b.md", "Of numbers.")
    assert (
        "its next job does that: phaseflow start k" in shell("settings", "k", "chunk_size=60", "chunk_overlap=0").stderr
    )
    done = shell("start", "k", "--hold", "embedding")
    assert (done.returncode, "phaseflow resume k goes on" in done.stderr) == (3, True), done.stderr
    refused = shell("start", "k")
    assert (refused.returncode, "the job is paused; allowed now: resume, cancel" in refused.stderr) == (1, True)
    assert shell("cancel", "k").returncode == 0
    assert shell("start", "k").returncode == 0
    assert _chunks(shell)["a.md"] > 1
    assert _chunks(shell)["b.md"] == 1


def test_a_start_of_what_is_not_there_makes_nothing(shell: Shell) -> None:
    assert shell("start", "k").returncode == 1
    assert not list(shell.here.glob("phaseflow.db*"))
    shell.write("one.md", "Of one thing.")
    assert shell("add", "one.md", "--kb", "k").returncode == 0
    refused = shell("start", "other")
    assert (refused.returncode, "there is no knowledge base 'other'" in refused.stderr) == (1, True)


async def test_the_status_names_what_waits_for_a_start_also_once_a_push_is_done(shell: Shell) -> None:
    for name in "ab":
        shell.write(f"docs/{name}.md", f"Of {name}.")
    async with PhaseFlow(shell.here / "phaseflow.db", embedder=CountingEmbedder()) as flow:
        await (await flow.start("k", str(shell.here / "docs"), hold=["embedding"])).wait_until_idle()
        await flow.cancel("k")
        await flow.add("k", [{"uri": "one.md", "text": "Of one thing."}])
        await (await flow.job("k")).wait()
    told = await anyio.to_thread.run_sync(partial(shell, "status", "k"))
    assert "2 documents wait for a start: phaseflow start k" in told.stderr


@pytest.mark.thorough
def test_what_a_cancelled_job_left_is_said_to_wait_for_a_start_also_after_a_push(held: Shell) -> None:
    assert held("cancel", "k").returncode == 0
    assert "2 documents wait for a start: phaseflow start k" in held("status", "k").stderr
    assert held("add", "one.md", "--kb", "k").returncode == 0
    assert "2 documents wait for a start: phaseflow start k" in held("status", "k").stderr
    assert held("start", "k").returncode == 0
    assert "for a start" not in held("status", "k").stderr
    assert set(_chunks(held)) == {"a.md", "b.md", "one.md"}


def test_a_push_beside_a_paused_job_says_what_it_waits_for(held: Shell) -> None:
    done = held("add", "one.md", "--kb", "k")
    assert (done.returncode, "the job is paused" in done.stderr) == (3, True)
    assert "phaseflow resume k" in done.stderr


class _NotThere(Answers):
    def respond(self) -> None:
        self.send_error(404)


@pytest.fixture
def wrong_url() -> Iterator[str]:
    with answering(_NotThere) as url:
        yield f"{url}/v1"


@pytest.mark.thorough
def test_a_job_that_failed_keeps_its_settings_and_a_start_takes_the_new_ones(
    shell: Shell, wrong_url: str, embedding_server: EmbeddingServer
) -> None:
    embedding_server.gate.set()
    shell.write("docs/a.md", "Of letters.")
    options = embedding_server.options
    right_url = options[options.index("--embedding-url") + 1]
    wrong = [wrong_url if each == right_url else each for each in options]
    failed = shell("ingest", "docs", "--kb", "k", *wrong)
    assert (failed.returncode, "phaseflow start k makes a job with the new" in failed.stderr) == (1, True)
    told = shell("settings", "k", f"embedder.base_url={right_url}").stderr
    assert "The job that failed keeps the old settings, and so does its retry: phaseflow start k" in told
    assert shell("retry", "k").returncode == 1
    done = shell("start", "k")
    assert (done.returncode, _chunks(shell)) == (0, {"a.md": 1}), done.stderr


@pytest.mark.thorough
def test_a_push_whose_job_fails_says_why_and_what_to_type(shell: Shell, wrong_url: str) -> None:
    shell.write("a.md", "Of letters.")
    shell.write("b.md", "Of numbers.")
    assert shell("add", "a.md", "--kb", "k").returncode == 0
    wrong = ["embedder.type=openai", f"embedder.base_url={wrong_url}", "embedder.model=m"]
    assert shell("settings", "k", *wrong).returncode == 0
    failed = shell("add", "b.md", "--kb", "k", "--db", "phaseflow.db")
    assert (failed.returncode, "k: failed: " in failed.stderr) == (1, True), failed.stderr
    assert "404" in failed.stderr
    assert "phaseflow retry k --db phaseflow.db tries what failed again" in failed.stderr


@pytest.mark.thorough
def test_a_job_that_is_paused_keeps_its_settings_and_is_to_end_before_another_begins(held: Shell) -> None:
    told = held("settings", "k", "chunk_size=500").stderr
    assert "The job that is paused keeps the old settings" in told
    assert held("resume", "k").returncode == 0
    held.write("docs/a.md", "Of other letters. " * 20)
    assert held("start", "k", "--hold", "embedding").returncode == 3
    told = held("settings", "k", "chunk_size=400").stderr
    assert "finish the one that is paused with phaseflow resume k, or end it with phaseflow cancel k, then" in told
