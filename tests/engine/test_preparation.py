"""A job that has its slot says what it waits for before its run begins, and every verb has its way with it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import FolderSource, PhaseFlow, Reader
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.flow.job import Job
from phaseflow.supervisor import preparation
from tests.engine.components import CountingEmbedder
from tests.indexes.file_index import FileIndex
from tests.stopwatch import Stopwatch, fail_soon


class HangingIndex(FileIndex):
    """Its opening takes until it is let."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may_open = anyio.Event()

    async def open(self) -> None:
        await self.may_open.wait()
        await super().open()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "SHOWN_AFTER_S", 0.0)


@pytest.fixture
def docs(tmp_path: Path) -> FolderSource:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nall about a\n")
    return FolderSource(str(tmp_path / "docs"))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kb.db"


def engine(database: Path, **more: Any) -> PhaseFlow:
    return PhaseFlow(database, embedder=CountingEmbedder(), **more)


async def waits_on(job: Job, reason: WaitingOn) -> JobStatusResponse:
    with fail_soon(5):
        async for status in job.watch():
            if status.waiting_on is reason:
                return status
    raise AssertionError("the engine has stopped")


async def test_an_index_that_hangs_as_it_is_opened_is_what_a_job_waits_on(database: Path, docs: FolderSource) -> None:
    index = HangingIndex(database.with_name("index.db"))
    async with engine(database, index=index) as flow:
        job = await flow.start("kb", docs)
        status = await waits_on(job, WaitingOn.INDEX)
        assert (status.status, status.phase) == ("pending", JobPhase.LOADING)
        assert status.message == "Starting: the index cannot be reached, trying again"
        assert [phase.waiting_on for phase in status.phase_details] == ["index", "upstream", "upstream", "upstream"]
        async with Reader(database) as reader:  # whoever looks from beside sees the same
            assert (await reader.status("kb")).waiting_on == "index"
        index.may_open.set()
        done = await job.wait()
    assert (done.status, done.waiting_on) == ("completed", None)


async def test_a_job_that_has_its_slot_waits_for_what_it_needs_and_not_for_a_slot(
    database: Path, docs: FolderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = anyio.Event()

    async def slow(*_: object) -> None:
        await may_go_on.wait()

    async with engine(database, slots=0) as flow:
        await flow.start("kb", docs)
    flow = engine(database)
    # Of a run, which looks up the addresses of an embedding server and imports what it needs.
    monkeypatch.setattr(flow._engine.components, "check_settings", slow)
    async with flow:
        status = await waits_on(job := await flow.job("kb"), WaitingOn.COMPONENT)
        assert (status.status, status.message) == ("pending", "Starting: waiting for a component to answer")
        may_go_on.set()
        assert (await job.wait()).status == "completed"


async def test_a_pause_and_a_resume_find_it_where_it_waits(database: Path, docs: FolderSource) -> None:
    index = HangingIndex(database.with_name("index.db"))
    async with engine(database, index=index) as flow:
        job = await flow.start("kb", docs)
        await waits_on(job, WaitingOn.INDEX)
        paused = await flow.pause("kb")
        assert (paused.status, paused.waiting_on) == ("paused", "pause")
        assert (await flow.resume("kb")).status == "paused"
        index.may_open.set()
        assert (await job.wait()).status == "completed"


async def test_a_job_that_resumes_is_not_idle_while_its_index_hangs(database: Path, docs: FolderSource) -> None:
    async with engine(database, index=FileIndex(database.with_name("index.db"))) as flow:
        job = await flow.start("kb", docs, hold=[JobPhase.EMBEDDING])
        await job.wait_until_idle()
    index = HangingIndex(database.with_name("index.db"))
    async with engine(database, index=index) as flow:
        await flow.resume("kb")
        status = await waits_on(await flow.job("kb"), WaitingOn.INDEX)
        assert (status.status, status.is_idle) == ("paused", False)
        index.may_open.set()


async def test_a_cancel_ends_it_at_once(database: Path, docs: FolderSource) -> None:
    index = HangingIndex(database.with_name("index.db"))
    async with engine(database, index=index) as flow:
        job = await flow.start("kb", docs)
        await waits_on(job, WaitingOn.INDEX)
        cancelled = await flow.cancel("kb")
        assert (cancelled.status, cancelled.waiting_on) == ("cancelled", None)
        index.may_open.set()


@pytest.fixture
def away() -> Iterator[threading.Event]:
    """Set once a folder that hangs (a network file system whose server is away) answers again."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_source_that_hangs_as_it_is_looked_at_is_what_a_job_waits_on(
    database: Path, docs: FolderSource, away: threading.Event
) -> None:
    away.set()

    def check(_: object) -> None:
        assert away.wait(60)

    async with engine(database, check_source=check, slots=0) as flow:
        await flow.start("kb", docs)
    away.clear()
    async with engine(database, check_source=check) as flow:
        status = await waits_on(await flow.job("kb"), WaitingOn.UPSTREAM)
        assert (status.status, status.message) == ("pending", "Starting: waiting for the source")
        away.set()
        assert (await (await flow.job("kb")).wait()).status == "completed"


async def test_a_stop_does_not_wait_for_it(database: Path, docs: FolderSource) -> None:
    index = HangingIndex(database.with_name("index.db"))
    async with engine(database, index=index) as flow:
        await waits_on(await flow.start("kb", docs), WaitingOn.INDEX)
        watch = Stopwatch()
    assert watch.within(3)
    async with Reader(database) as reader:
        assert (await reader.status("kb")).waiting_on == "interrupted"
