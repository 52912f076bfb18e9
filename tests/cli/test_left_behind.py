"""What is said of a job whose process has ended: nothing runs, and how to go on. Looking writes nothing."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phaseflow import PhaseFlow, Reader
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import Action, JobPhase, JobStatus, PhaseStatus, WaitingOn
from tests.cli.commands import Shell
from tests.cli.forked import Forked, program
from tests.engine.components import CountingEmbedder, write_folder

ENGINE = """
import asyncio, sys
from phaseflow import PhaseFlow
from tests.engine.components import CountingEmbedder

async def main(database, folder):
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder, slots=1) as flow:
        job = await flow.start("kb", {"type": "folder", "path": folder})
        await embedder.until_called()
        await flow.start("other", {"type": "folder", "path": folder})
        async for status in job.watch():
            if status.phase_details[1].status == "completed":
                break
        print("embedding", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""
PROGRAM = """
import asyncio, sys
from phaseflow import PhaseTracker

async def main(database):
    async with PhaseTracker.open(database) as tracker:
        await tracker.initialize_phases("job", "kb")
        await tracker.start_phase("job", "loading")
        await tracker.update_progress("job", "loading", 3, 10)
        print("loading", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@contextmanager
def process(code: str, *arguments: Path) -> Iterator[Forked]:
    """A program that has printed its first line."""
    running = program(code, *arguments)
    try:
        assert running.stdout.readline(), running.stderr.read()
        yield running
    finally:
        running.close()


def kill(running: Forked) -> None:
    running.kill()
    running.wait(60)


async def look(database: Path, kb_id: str = "kb") -> JobStatusResponse:
    """What every way of asking a reader says: the same."""
    async with Reader(database) as reader:
        status = await reader.status(kb_id)
        ways = [
            (await reader.kb(kb_id)).job,
            next(kb.job for kb in (await reader.kbs()).items if kb.kb_id == kb_id),
            (await reader.jobs(kb_id)).items[0],
            await reader.job_status(status.job_id),
            next(one for one in await reader.latest() if one.kb_id == kb_id),
        ]
    assert status.status is not JobStatus.PAUSED or ways == [status] * len(ways)
    return status


def contents(database: Path) -> list[str]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return list(connection.iterdump())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kb.db"


async def test_a_killed_engine_leaves_an_interrupted_job_and_its_clocks_stand_still(database: Path) -> None:
    folder = write_folder(database.parent / "docs", 12)
    with process(ENGINE, database, folder) as engine:
        assert (await look(database)).status is JobStatus.RUNNING
        kill(engine)
    before = contents(database)
    first, queued = await look(database), await look(database, "other")
    assert (first.status, first.waiting_on) == (JobStatus.PAUSED, WaitingOn.INTERRUPTED)
    assert first.allowed_actions == [Action.RESUME, Action.CANCEL]
    assert (first.eta_seconds, first.requested) == (None, None)
    assert "phaseflow resume kb" in first.message
    embedding = first.phase_details[JobPhase.EMBEDDING.position]
    assert (embedding.status, embedding.waiting_on) == (PhaseStatus.PAUSED, WaitingOn.INTERRUPTED)
    assert (queued.status, queued.waiting_on) == (JobStatus.PAUSED, WaitingOn.INTERRUPTED)
    assert queued.allowed_actions == [Action.RESUME, Action.CANCEL]
    said = Shell(database.parent)("status", "kb", "--db", str(database))
    assert f"phaseflow resume kb --db {database} goes on with it" in " ".join((said.stdout + said.stderr).split())
    for words, at in ((("status", "kb"), ()), (("jobs", "kb"), ("items", 0)), (("status",), ("items", 0, "job"))):
        told = json.loads(Shell(database.parent)(*words, "--db", str(database), "--json").stdout)
        for key in at:
            told = told[key]
        assert f"phaseflow resume kb --db {database} goes on with it" in told["message"]
    assert await look(database) == first  # time has passed meanwhile, also for a clock that runs on
    assert contents(database) == before
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        final = await (await flow.job("kb")).wait()
    assert final.status is JobStatus.COMPLETED
    assert final.phase_details[2].active_seconds >= embedding.active_seconds


async def test_what_opens_the_file_in_between_leaves_an_interrupted_job_to_the_next_engine(database: Path) -> None:
    with process(ENGINE, database, write_folder(database.parent / "docs", 12)) as engine:
        kill(engine)
    shell = Shell(database.parent)
    assert shell("settings", "other", "chunk_size=500", "--db", str(database)).returncode == 0
    assert (await look(database)).waiting_on == WaitingOn.INTERRUPTED
    async with PhaseFlow(database, embedder=CountingEmbedder(), auto_resume=False) as flow:
        assert (await flow.status("kb")).waiting_on == WaitingOn.INTERRUPTED
        await flow.pause("other")
    assert (await look(database)).waiting_on == WaitingOn.INTERRUPTED
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        final = await (await flow.job("kb")).wait()
        assert (await flow.status("other")).waiting_on == WaitingOn.PAUSE, "a pause asked for meanwhile stays"
    assert final.status is JobStatus.COMPLETED


async def test_a_killed_program_with_its_own_pipeline_is_not_running_either(database: Path) -> None:
    with process(PROGRAM, database) as program:
        assert (await look(database)).status is JobStatus.RUNNING
        kill(program)
    status = await look(database)
    assert (status.status, status.waiting_on) == (JobStatus.PAUSED, WaitingOn.INTERRUPTED)
    assert status.allowed_actions == [Action.CANCEL]  # nobody but its program can go on with it
    assert status.phase_details[0].status is PhaseStatus.PAUSED
    assert await look(database) == status


async def test_what_its_user_has_paused_is_said_to_be_paused_by_its_user(database: Path) -> None:
    folder = write_folder(database.parent / "docs", 2)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.start("kb", {"type": "folder", "path": str(folder)}, hold=list(JobPhase))
    status = await look(database)
    assert (status.status, status.waiting_on) == (JobStatus.PAUSED, WaitingOn.PAUSE)


REFUSED = {
    "ingest another folder": ("ingest", "elsewhere", "--kb", "kb"),
    "ingest with other settings": ("ingest", "docs", "--kb", "kb", "--chunk-size", "333"),
    "retry": ("retry", "kb"),
    "resume a phase that is over": ("resume", "kb", "--phase", "loading"),
    "pause a phase that is over": ("pause", "kb", "--phase", "loading"),
    "resume an unknown one": ("resume", "unknown"),
    "cancel an unknown one": ("cancel", "unknown"),
}


def _all_rows(database: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(database)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    connection.close()
    return rows


def test_a_command_that_is_refused_resumes_nothing(shell: Shell) -> None:
    database = shell.here / "phaseflow.db"
    folder = write_folder(shell.here / "docs", 12)
    (shell.here / "elsewhere").mkdir()
    with process(ENGINE, database, folder) as engine:
        kill(engine)
    before = _all_rows(database)
    for name, words in REFUSED.items():
        done = shell(*words)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), (name, done.stderr)
        assert _all_rows(database) == before, name


@pytest.mark.thorough
def test_pausing_one_phase_of_an_interrupted_job_promises_no_slot(shell: Shell) -> None:
    database = shell.here / "phaseflow.db"
    with process(ENGINE, database, write_folder(shell.here / "docs", 12)) as engine:
        kill(engine)
    for words in (("pause", "kb", "--phase", "indexing"), ("status", "kb")):
        done = shell(*words)
        assert done.returncode == 0, done.stderr
        assert "Interrupted in " in done.stderr, words
