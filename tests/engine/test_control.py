"""Pause, resume, cancel, retry, hold: each verb at moments that hurt."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from phaseflow import (
    Action,
    BudgetPolicy,
    GuardPolicy,
    Job,
    JobPhase,
    JobStatus,
    PhaseFlow,
    PhaseStatus,
    Policies,
    RateLimited,
    RetryPolicy,
    TransientError,
)
from phaseflow.components import chunker
from phaseflow.components.protocols import Span
from phaseflow.domain.errors import (
    ComponentUnavailable,
    DocumentNotFound,
    HeldBySource,
    InvalidRequest,
    JobConflict,
    SourceNotAllowed,
    WrongEventLoop,
)
from phaseflow.domain.status import JobStatusResponse
from phaseflow.store import failpoints, session
from phaseflow.store.database import Database
from phaseflow.store.jobs import JobRecord
from phaseflow.store.read_pool import ReadPool
from phaseflow.store.stop_deadline import StopDeadline
from phaseflow.store.transaction import Transaction
from phaseflow.supervisor.supervisor import Supervisor
from phaseflow.tracker import StateHub
from tests.engine.components import CountingEmbedder
from tests.matrices import first_of_each
from tests.stopwatch import NEVER_S, fail_soon

FULL = 2
"""``PRAGMA synchronous``: what is committed survives a loss of power."""
QUICK = Policies(retry=RetryPolicy(tries=4, first_s=0.01, most_s=1))


async def until(flow: PhaseFlow, condition: Callable[[JobStatusResponse], bool], kb: str = "kb") -> JobStatusResponse:
    """The first status for which ``condition`` holds."""
    with fail_soon(10):
        async for status in (await flow.job(kb)).watch():
            if condition(status):
                return status
    raise AssertionError("the job ended before")


def rows_of(database: Path) -> list[tuple[object, ...]]:
    """Every row of the tables that belong to a job."""
    connection = sqlite3.connect(database)
    tables = "ingestion_jobs", "ingestion_phase_status", "transitions", "job_entries", "documents", "chunks", "vectors"
    found = [row for table in tables for row in connection.execute(f"SELECT '{table}', * FROM {table}")]
    connection.close()
    return found


async def finished(job: Job) -> JobStatusResponse:
    with fail_soon(50):
        return await job.wait()


async def test_a_verb_takes_two_reads_and_one_write_whatever_is_stored_meanwhile(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside searches and a job each read waits for its turns of the interpreter."""
    (tmp_path / "a.md").write_text("A letter.")
    reads = list[str]()
    async with PhaseFlow(database) as flow:
        job = await flow.start("kb", tmp_path, hold=["embedding"])
        with fail_soon(10):
            await job.wait_until_idle()
        plain = ReadPool.read

        async def counted(self: ReadPool, read: Callable[..., object], **more: bool) -> object:
            reads.append(getattr(read, "__qualname__", ""))
            return await plain(self, read, **more)

        monkeypatch.setattr(ReadPool, "read", counted)
        status = await flow.pause("kb", "indexing")
        assert status.phase_details[3].waiting_on == "pause"
    asked = [name.partition(".<locals>")[0] for name in reads]
    told = [name for name in asked if name.startswith(("Control.", "StateHub.", "Feed."))]
    told.sort()
    assert told in (
        ["Control._latest", "Feed.status_of"],
        ["Control._latest", "Feed.status_of", "StateHub.record"],  # where it has not been told yet
    )


@pytest.mark.usefixtures("effect_awaited")
async def test_a_resume_takes_three_writes(folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb, what is to be done before the run, and its beginning: each waits for its turns of the interpreter."""
    writes, plain = list[str](), Database.write

    async def counted(self: Database, write: Callable[..., object], **more: object) -> object:
        writes.append(getattr(write, "__qualname__", ""))
        return await plain(self, write, **more)  # type: ignore[arg-type]  # passed on

    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb", folder, hold=["loading"])
        await job.wait_until_idle()
        monkeypatch.setattr(Database, "write", counted)
        assert (await flow.resume("kb")).status is JobStatus.RUNNING
        first = [name.partition(".<locals>")[0] for name in writes[:3]]
        await finished(job)
    assert first == ["StateHub.change", "prepare_run", "Scheduler._start_run"]


async def test_a_job_is_not_looked_at_while_a_verb_is_written(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, plain = list[str](), StateHub.record

    async def counted(self: StateHub, job_id: str) -> JobRecord:
        looks.append(job_id)
        return await plain(self, job_id)

    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        with fail_soon(10):
            await embedder.until_full()
        supervisor = flow._engine.scheduler.supervisor_of("kb")
        assert supervisor is not None
        monkeypatch.setattr(StateHub, "record", counted)
        with supervisor.gates_closed():
            supervisor.wake()
            await anyio.wait_all_tasks_blocked()
            assert looks == []
        embedder.gate.set()
        await finished(job)
    assert looks


@pytest.mark.usefixtures("effect_awaited")
async def test_pause_does_not_wait_until_all_passages_of_a_large_document_are_stored(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.actors.chunking.STORE_CHUNKS", 2)
    (tmp_path / "large.txt").write_text("\n\n".join(f"Paragraph {n}. " + "word " * 150 for n in range(60)))
    steps, reached = list[None](), anyio.Event()

    def step() -> None:
        steps.append(None)
        reached.set()

    failpoints.install("chunking.stored_some", step)
    try:
        async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
            job = await flow.start("kb", tmp_path / "large.txt")
            with fail_soon(10):
                await reached.wait()
            assert (await flow.pause("kb")).status == "paused"
            stored = len(steps)
            assert stored < 20
            await flow.resume("kb")
            done = await finished(job)
    finally:
        failpoints.clear()
    assert len(steps) > stored
    assert done.metrics.chunks_indexed == done.metrics.chunks_created == 60


@pytest.mark.usefixtures("effect_awaited")
async def test_pause_does_not_wait_until_a_large_document_is_cut(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, began, may_go_on, plain = list[Span](), threading.Event(), threading.Event(), chunker.windows

    def watched(text: str, size: int, *, markdown: bool) -> Iterator[Span]:
        for window in plain(text, size, markdown=markdown):
            cut.append(window)
            began.set()
            assert may_go_on.wait(60)
            yield window

    monkeypatch.setattr(chunker, "windows", watched)
    failpoints.install("scheduler.applied", may_go_on.set)
    (tmp_path / "large.txt").write_text("\n\n".join(f"Paragraph {n}. " + "word " * 150 for n in range(300)))
    try:
        async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
            job = await flow.start("kb", tmp_path / "large.txt")
            assert await anyio.to_thread.run_sync(began.wait, 60)
            assert (await flow.pause("kb")).status == "paused"
            assert len(cut) == 1
            await flow.resume("kb")
            done = await finished(job)
    finally:
        failpoints.clear()
    assert len(cut) >= 4  # it goes on, or begins again where its run had ended
    assert done.metrics.chunks_indexed == done.metrics.chunks_created == 300


class SteppingChunker:
    """A generator; its second passage comes when it is asked to go on. ``passages`` counts those that were cut."""

    fingerprint = "stepping"

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.passages = 0

    def spans(self, text: str, media_type: str) -> Iterator[tuple[int, int]]:
        for start in range(0, 300, 100):
            self.passages += 1
            yield start, start + 100
            self.entered.set()
            assert self.go_on.wait(60)


async def test_a_pause_comes_between_two_passages_of_a_chunker_that_is_a_generator(
    folder: Path, database: Path
) -> None:
    chunker = SteppingChunker()
    async with PhaseFlow(database, chunker=chunker, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb", folder)
        with fail_soon(10):
            await anyio.to_thread.run_sync(chunker.entered.wait)
        assert (await flow.pause("kb")).requested == "pause"  # it works still
        chunker.go_on.set()
        with fail_soon(10):
            paused = await job.wait_until_idle()
        assert (paused.status, paused.phase_details[1].status, chunker.passages) == ("paused", "paused", 2)
        await flow.resume("kb")
        assert (await finished(job)).status is JobStatus.COMPLETED
        assert (await flow.kb("kb")).chunks == 3 * len([*folder.iterdir()])


async def test_pause_takes_effect_between_two_documents_that_are_cut_together(folder: Path, database: Path) -> None:
    cut, began, may_go_on = list[str](), threading.Event(), threading.Event()

    class Halting:
        fingerprint = "halting"

        def spans(self, text: str, media_type: str) -> Sequence[Span]:
            cut.append(text)
            if len(cut) == 2:
                began.set()
                assert may_go_on.wait(60)
            return [Span(0, len(text))]

    try:
        async with PhaseFlow(database, chunker=Halting(), embedder=CountingEmbedder()) as flow:
            job = await flow.start("kb", folder, hold=["chunking"])
            await job.wait_until_idle()
            await flow.resume("kb")
            assert await anyio.to_thread.run_sync(began.wait, 60)
            failpoints.install("scheduler.applied", may_go_on.set)
            await flow.pause("kb")
            await until(flow, lambda s: s.status is JobStatus.PAUSED)
            assert len(cut) == 2
            await flow.resume("kb")
            done = await finished(job)
    finally:
        may_go_on.set()
        failpoints.clear()
    assert (done.status, done.error, done.metrics.chunks_indexed) == (JobStatus.COMPLETED, None, 12)
    assert len(set(cut)) == 12


@pytest.mark.usefixtures("effect_awaited")
async def test_a_resume_waits_for_no_text_that_is_read(folder: Path, database: Path) -> None:
    begun, may_end, in_time = threading.Semaphore(0), threading.Event(), list[bool]()

    def long(_: Transaction) -> None:
        begun.release()
        in_time.append(may_end.wait(60))

    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb", folder, hold=["loading"])
        await job.wait_until_idle()
        async with anyio.create_task_group() as tasks:
            for _ in range(4):  # more than there are connections
                tasks.start_soon(flow._engine.hub.database.read_long, long)
            for _ in range(session._LONG_READERS):
                assert await anyio.to_thread.run_sync(begun.acquire, True, 60)
            assert (await flow.resume("kb")).status is JobStatus.RUNNING
            may_end.set()
        assert (await finished(job)).status is JobStatus.COMPLETED
    assert in_time == [True] * 4


async def test_pause_lets_the_calls_in_flight_finish_and_stores_them(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_called()
        asked = await flow.pause("kb")
        embedder.gate.set()
        paused = await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert embedder.inside == 0
        assert (asked.status, asked.requested) == (JobStatus.RUNNING, "pause")
        assert paused.requested is None
        assert paused.phase_details[2].items_processed == sum(embedder.paid.values()) > 0
        before = rows_of(database)
        await anyio.sleep(0.3)  # what would be written would be written within this
        assert rows_of(database) == before
        await flow.resume("kb")
        final = await finished(job)
    assert final.status is JobStatus.COMPLETED
    assert max(embedder.paid.values()) == 1


async def test_verbs_are_idempotent(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_called()
        running = await flow.resume("kb")
        assert running.status is JobStatus.RUNNING
        await flow.pause("kb")
        embedder.gate.set()
        await until(flow, lambda s: s.status is JobStatus.PAUSED)
        again, changed = await flow.act("pause", "kb")
        assert (again.status, changed) == (JobStatus.PAUSED, False)
        cancelled = await flow.cancel("kb")
        assert (await flow.cancel("kb")) == cancelled
        with pytest.raises(JobConflict):
            await flow.resume("kb")
        with pytest.raises(JobConflict):
            await flow.pause("kb")
        with pytest.raises(JobConflict):
            await flow.retry("kb")
        assert (await job.status()).allowed_actions == ["start"]


async def test_pausing_one_phase_lets_those_before_it_end(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_called()
        await flow.pause("kb", JobPhase.EMBEDDING)
        embedder.gate.set()
        status = await until(flow, lambda s: s.phase_details[2].status is PhaseStatus.PAUSED)
        loaded = await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert loaded.phase_details[1].status is PhaseStatus.COMPLETED
        assert loaded.phase_details[0].status is PhaseStatus.COMPLETED
        assert "resume" in status.allowed_actions
        assert loaded.phase_details[2].waiting_on == "pause"
        assert loaded.phase_details[3].waiting_on == "upstream"
        assert loaded.phase_details[2].items_total == loaded.metrics.chunks_created
        await flow.resume("kb", "embedding")
        final = await finished(job)
    assert final.status is JobStatus.COMPLETED
    assert max(embedder.paid.values()) == 1


async def test_hold_shows_what_embedding_would_cost_before_a_call_is_made(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder, hold=["embedding"])
        held = await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert embedder.calls == 0
        assert held.metrics.chunks_created > 12
        embedding = held.phase_details[2]
        assert (embedding.status, embedding.waiting_on) == (PhaseStatus.NOT_STARTED, "pause")
        assert embedding.items_total == held.metrics.chunks_created
        await flow.resume("kb")
        final = await finished(job)
    assert final.status is JobStatus.COMPLETED


async def test_a_hold_survives_a_restart(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder, hold=["embedding"])
        await until(flow, lambda s: s.status is JobStatus.PAUSED)
    async with PhaseFlow(database, embedder=embedder) as flow:
        status = await flow.status("kb")
        assert (status.status, status.phase_details[2].status) == (JobStatus.PAUSED, PhaseStatus.NOT_STARTED)
        assert embedder.calls == 0
        await flow.resume("kb", "embedding")
        assert (await finished(await flow.job("kb"))).status is JobStatus.COMPLETED


@pytest.mark.parametrize("phase", first_of_each(list(JobPhase), lambda phase: phase is JobPhase.LOADING))
async def test_any_phase_can_be_held_from_the_start(folder: Path, database: Path, phase: JobPhase) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb", folder, hold=[phase])
        held = await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert held.phase is phase
        assert held.phase_details[phase.position].status is PhaseStatus.NOT_STARTED
        await flow.resume("kb")
        assert (await finished(job)).status is JobStatus.COMPLETED
        log = [t for t in (await flow.transitions_of(job.job_id)).items if t.phase is None]
    moves = [(t.from_status, t.to_status) for t in log]
    assert [t.reason for t in log if t.to_status == "paused"] == ["user"]
    assert moves[0][0] == "pending", "the log of a job that began paused is whole, too"
    assert all(before[1] == after[0] for before, after in pairwise(moves))


async def test_a_pending_job_can_be_paused_resumed_and_cancelled(folder: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder(), slots=0) as flow:
        await flow.start("kb", folder)
        assert (await flow.pause("kb")).status is JobStatus.PAUSED
        resumed = await flow.resume("kb")
        assert (resumed.status, resumed.waiting_on) == (JobStatus.PAUSED, "queue")
        cancelled = await flow.cancel("kb")
    assert cancelled.status is JobStatus.CANCELLED
    assert {detail.status for detail in cancelled.phase_details} == {PhaseStatus.NOT_STARTED}


async def test_a_job_paused_before_its_turn_runs_after_resume(folder: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder(), slots=0) as flow:
        await flow.start("kb", folder)
        await flow.pause("kb")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        assert (await flow.status("kb")).status is JobStatus.PAUSED
        await flow.resume("kb")
        assert (await finished(await flow.job("kb"))).status is JobStatus.COMPLETED


async def test_cancel_takes_effect_while_the_embedder_hangs(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder)
        await embedder.until_called()
        with fail_soon(1):
            status = await flow.cancel("kb")
        assert status.status is JobStatus.CANCELLED
        assert status.phase_details[2].error == "Cancelled by user"
        assert status.phase_details[3].status is PhaseStatus.NOT_STARTED
        embedder.gate.set()
        again = await flow.start("kb")
        assert (await finished(again)).status is JobStatus.COMPLETED
        assert (await flow.job_status(status.job_id)).status is JobStatus.CANCELLED


async def test_what_was_indexed_before_a_cancel_stays_searchable(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await finished(await flow.start("kb", folder))
        for path in folder.iterdir():
            path.write_text(path.read_text().replace("word", "term"))
        embedder.close()
        await flow.start("kb")
        await embedder.until_called()
        await flow.cancel("kb")
        hits = await flow.search("kb", "word4x7", limit=2)
        assert hits[0].uri == "doc004.md"
        embedder.gate.set()
        await finished(await flow.start("kb"))
        assert (await flow.search("kb", "term4x7", limit=2))[0].uri == "doc004.md"
        assert (await flow.kb("kb")).documents == 12


async def watched(job: Job) -> JobStatusResponse:
    return [status async for status in job.watch()][-1]


async def open_later(embedder: CountingEmbedder) -> None:
    """Once whoever waits has read a status: each of them would return at the first that is over."""
    await anyio.wait_all_tasks_blocked()
    embedder.gate.set()


@pytest.mark.parametrize("end_of", [Job.wait_until_idle, *first_of_each([Job.wait, watched])])
async def test_a_failed_job_whose_retry_waits_for_a_slot_is_not_over(
    folder: Path, database: Path, end_of: Callable[[Job], Awaitable[JobStatusResponse]]
) -> None:
    broken = True

    def fault(texts: Sequence[str]) -> None:
        if broken:
            raise ComponentUnavailable("the key was refused")

    embedder = CountingEmbedder(fault)
    async with PhaseFlow(database, embedder=embedder, slots=1) as flow:
        job = await flow.start("kb", folder)
        assert (await finished(job)).status is JobStatus.FAILED
        broken = False
        embedder.close()
        await flow.start("other", folder)
        with fail_soon(10):
            await embedder.until_called()
        asked = await flow.retry("kb")
        assert (asked.status, asked.waiting_on) == (JobStatus.FAILED, "queue")
        with fail_soon(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(open_later, embedder)
                assert (await end_of(job)).status is JobStatus.COMPLETED


async def test_a_failed_phase_holds_the_others_and_a_retry_goes_on(folder: Path, database: Path) -> None:
    broken = True

    def fault(texts: Sequence[str]) -> None:
        if broken:
            raise ComponentUnavailable("the key was refused")

    embedder = CountingEmbedder(fault)
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        failed = await finished(job)
        assert failed.status is JobStatus.FAILED
        assert failed.error == "the key was refused"
        assert failed.allowed_actions == ["retry", "start"]
        assert failed.phase_details[2].status is PhaseStatus.FAILED
        broken = False
        await flow.retry("kb")
        await until(flow, lambda s: s.status is not JobStatus.FAILED)
        final = await finished(job)
    assert final.status is JobStatus.COMPLETED
    assert final.error is None
    assert final.metrics.documents_loaded == 12


async def test_a_bad_document_is_a_row_in_failures_and_its_neighbours_are_not_lost(
    folder: Path, database: Path
) -> None:
    def fault(texts: Sequence[str]) -> None:
        if any("word5x7 " in text for text in texts):
            raise RuntimeError("cannot embed this")

    async with PhaseFlow(database, embedder=CountingEmbedder(fault)) as flow:
        job = await flow.start("kb", folder)
        final = await finished(job)
        failures = (await flow.failures("kb")).items
        assert final.status is JobStatus.COMPLETED
        assert final.metrics.documents_failed == 1
        assert [(f.uri, f.phase, f.attempts) for f in failures] == [("doc005.md", JobPhase.EMBEDDING, 1)]
        assert "cannot embed this" in failures[0].error
        assert (await flow.kb("kb")).documents == 11
        embedding = final.phase_details[2]
        assert embedding.items_processed + embedding.items_failed == embedding.items_total
        again = await finished(await flow.start("kb"))
        assert again.metrics.documents_failed == 1
        assert (await flow.failures("kb")).items[0].attempts == 2


async def test_a_failed_document_is_tried_again_by_the_next_job_and_then_forgotten(
    folder: Path, database: Path
) -> None:
    bad = {"word5x7 "}

    def fault(texts: Sequence[str]) -> None:
        if any(mark in text for text in texts for mark in bad):
            raise RuntimeError("cannot embed this")

    async with PhaseFlow(database, embedder=CountingEmbedder(fault)) as flow:
        await finished(await flow.start("kb", folder))
        bad.clear()
        await finished(await flow.start("kb"))
        assert (await flow.failures("kb")).items == []
        assert (await flow.kb("kb")).documents == 12


async def test_ten_bad_documents_in_a_row_fail_the_phase_with_a_message_that_says_so(
    folder: Path, database: Path
) -> None:
    def fault(texts: Sequence[str]) -> None:
        raise RuntimeError("out of order")

    async with PhaseFlow(database, embedder=CountingEmbedder(fault)) as flow:
        final = await finished(await flow.start("kb", folder))
    assert final.status is JobStatus.FAILED
    assert final.error is not None
    assert "error budget" in final.error
    assert "out of order" in final.error


async def test_the_error_budget_can_be_set(folder: Path, database: Path) -> None:
    def fault(texts: Sequence[str]) -> None:
        if any("word5x7 " in text for text in texts):
            raise RuntimeError("no")

    policies = Policies(budget=BudgetPolicy(in_a_row=1))
    async with PhaseFlow(database, embedder=CountingEmbedder(fault), policies=policies) as flow:
        assert (await finished(await flow.start("kb", folder))).status is JobStatus.FAILED


async def test_a_retry_tries_failed_documents_again(folder: Path, database: Path) -> None:
    bad = True

    def fault(texts: Sequence[str]) -> None:
        if bad:
            raise RuntimeError("no")

    embedder = CountingEmbedder(fault)
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await finished(job)
        bad = False
        await flow.retry("kb")
        await until(flow, lambda s: s.status is not JobStatus.FAILED)
        final = await finished(job)
        assert final.status is JobStatus.COMPLETED
        assert final.metrics.documents_failed == 0
        assert (await flow.failures("kb")).items == []
        assert (await flow.kb("kb")).documents == 12


async def test_transient_faults_are_retried_and_shown(folder: Path, database: Path) -> None:
    is_broken = True

    def fault(texts: Sequence[str]) -> None:
        if is_broken:
            raise TransientError("connection reset")

    policies = Policies(retry=RetryPolicy(tries=99, first_s=0.01, most_s=60))
    async with PhaseFlow(database, embedder=CountingEmbedder(fault), policies=policies) as flow:
        job = await flow.start("kb", folder)
        shown = await until(flow, lambda s: s.phase_details[2].waiting_on == "retry")
        assert shown.phase_details[2].status is PhaseStatus.RUNNING
        is_broken = False
        final = await finished(job)
    assert (final.status, final.waiting_on) == (JobStatus.COMPLETED, None)
    assert (final.metrics.documents_loaded, final.metrics.documents_failed) == (12, 0)


async def test_a_fault_that_does_not_pass_fails_the_phase(folder: Path, database: Path) -> None:
    def fault(texts: Sequence[str]) -> None:
        raise TransientError("connection refused")

    async with PhaseFlow(database, embedder=CountingEmbedder(fault), policies=QUICK) as flow:
        final = await finished(await flow.start("kb", folder))
    assert final.status is JobStatus.FAILED
    assert "gave up after 4 attempts: connection refused" in (final.error or "")


async def test_a_pause_during_a_wait_takes_effect_at_once_and_what_was_asked_for_still_holds(
    folder: Path, database: Path
) -> None:
    def fault(texts: Sequence[str]) -> None:
        raise RateLimited("slow down", retry_after_s=NEVER_S)

    embedder = CountingEmbedder(fault)
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder)
        waiting = await until(flow, lambda s: s.phase_details[2].waiting_on == "rate_limit")
        assert waiting.status is JobStatus.RUNNING
        with fail_soon(1):
            await flow.pause("kb")
            await until(flow, lambda s: s.status is JobStatus.PAUSED)
        asked = embedder.calls
        await flow.resume("kb")
        await until(flow, lambda s: s.phase_details[2].waiting_on == "rate_limit")
        assert embedder.calls == asked
        with fail_soon(1):
            await flow.cancel("kb")


async def test_rate_limits_for_too_long_pause_the_phase_with_the_reason(folder: Path, database: Path) -> None:
    limited = True

    def fault(texts: Sequence[str]) -> None:
        if limited:
            raise RateLimited("slow down")

    policies = Policies(retry=RetryPolicy(tries=99, first_s=0.001), guard=GuardPolicy(rate_limited_s=0.05))
    async with PhaseFlow(database, embedder=CountingEmbedder(fault), policies=policies) as flow:
        job = await flow.start("kb", folder)
        paused = await until(flow, lambda s: s.phase_details[2].status is PhaseStatus.PAUSED)
        log = (await flow.transitions_of(job.job_id)).items
        assert "answers only with rate limits" in (log[-1].reason or "") + (log[-2].reason or "")
        assert "answers only with rate limits" in paused.message
        limited = False
        await flow.resume("kb")
        assert (await finished(job)).status is JobStatus.COMPLETED


async def test_a_budget_of_characters_pauses_embedding_and_each_resume_allows_as_many_again(
    folder: Path, database: Path
) -> None:
    embedder = CountingEmbedder()
    policies = Policies(guard=GuardPolicy(characters=8000))
    async with PhaseFlow(database, embedder=embedder, policies=policies) as flow:
        job = await flow.start("kb", folder)
        before = -1
        for resumes in range(1, 20):
            status = await until(
                flow, lambda s: s.status.is_terminal or s.phase_details[2].status is PhaseStatus.PAUSED
            )
            sent = sum(len(text) * times for text, times in embedder.paid.items())
            assert before < sent <= 8000 * resumes
            before = sent
            if status.status.is_terminal:
                break
            assert "budget of 8,000 characters" in status.message
            settled = await until(flow, lambda s: s.status is JobStatus.PAUSED)
            assert settled.allowed_actions == ["resume", "cancel"]
            assert "budget of 8,000 characters" in settled.message
            assert settled.phase_details[3].status in {PhaseStatus.PAUSED, PhaseStatus.NOT_STARTED}
            calls = embedder.calls
            await flow.resume("kb")
            await until(flow, partial(_has_called, embedder, calls))
        assert (await finished(job)).status is JobStatus.COMPLETED
    assert resumes > 1


def _has_called(embedder: CountingEmbedder, calls: int, _: JobStatusResponse) -> bool:
    return embedder.calls > calls


async def test_what_a_call_sent_before_the_budget_ended_takes_nothing_from_the_next(
    folder: Path, database: Path
) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    policies = Policies(guard=GuardPolicy(characters=5000))  # one batch of four passages, and no second
    async with PhaseFlow(database, embedder=embedder, policies=policies) as flow:
        job = await flow.start("kb", folder)
        with fail_soon(10):
            await embedder.until_called()
        # The second batch has met the end of the budget while the first is at the server.
        await until(flow, lambda s: s.requested is Action.PAUSE)
        embedder.gate.set()
        held = 0
        with fail_soon(10):
            async for told in flow.transitions(kb_id="kb"):
                if (told.phase, told.to_status) == (JobPhase.EMBEDDING, "paused"):
                    held += 1
                    assert "budget of 5,000 characters" in (told.reason or "")
                    assert embedder.calls == held
                    if held == 3:
                        break
                    await flow.resume("kb")
        await flow.cancel("kb")
        await finished(job)


async def test_a_stop_gives_no_new_budget(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    policies = Policies(guard=GuardPolicy(characters=8000))
    async with PhaseFlow(database, embedder=embedder, policies=policies) as flow:
        await flow.start("kb", folder)
        with fail_soon(10):
            await embedder.until_full()
        embedder.gate.set()
    assert embedder.paid
    async with PhaseFlow(database, embedder=embedder, policies=policies) as flow:
        await until(flow, lambda s: "budget of 8,000 characters" in s.message)
    assert sum(len(text) * times for text, times in embedder.paid.items()) <= 8000


async def test_a_budget_that_is_used_to_its_last_character_pauses_nothing(folder: Path, tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(tmp_path / "first.db", embedder=embedder) as flow:
        await (await flow.start("kb", folder)).wait()
    sent = sum(len(text) * times for text, times in embedder.paid.items())
    policies = Policies(guard=GuardPolicy(characters=sent))
    async with PhaseFlow(tmp_path / "second.db", embedder=CountingEmbedder(), policies=policies) as flow:
        with fail_soon(20):
            async for status in (await flow.start("kb", folder)).watch():
                assert "budget" not in status.message
        assert status.status is JobStatus.COMPLETED


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has to be written at the end of an engine may take long: a busy machine is not what these are about."""
    limit = StopDeadline.limit

    def longer(
        self: StopDeadline, within_s: float, *, shield: bool = True
    ) -> AbstractContextManager[anyio.CancelScope]:
        return limit(self, 20 * within_s, shield=shield)

    monkeypatch.setattr(StopDeadline, "limit", longer)


@pytest.mark.usefixtures("patient")
async def test_leaving_the_block_stops_after_the_batch_and_the_next_one_goes_on(
    folder: Path, database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.supervisor.supervisor.STOP_S", NEVER_S)
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_called()
        embedder.gate.set()
    async with PhaseFlow(database, embedder=embedder) as flow:
        final = await finished(await flow.job("kb"))
        log = (await flow.transitions_of(job.job_id)).items
    assert final.job_id == job.job_id
    assert final.status is JobStatus.COMPLETED
    assert max(embedder.paid.values()) == 1
    assert "shutdown" in {t.reason for t in log}
    assert "the next start will find the job interrupted" not in caplog.text


async def test_a_job_that_takes_its_turn_while_the_engine_stops_begins_no_batch(folder: Path, database: Path) -> None:
    begins, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begins.set()
        assert go_on.wait(60)

    failpoints.install("run_start.start", hold)
    embedder = CountingEmbedder()
    try:
        with fail_soon(10):
            async with PhaseFlow(database, embedder=embedder) as flow:
                job = await flow.start("kb", folder)
                await anyio.to_thread.run_sync(begins.wait)
                flow._engine.scheduler.stop()  # it has no supervisor to tell yet
                go_on.set()
    finally:
        go_on.set()
        failpoints.clear()
    assert embedder.calls == 0
    async with PhaseFlow(database, embedder=embedder, auto_resume=False) as flow:
        left = await flow.status("kb")
        assert (left.job_id, left.status) == (job.job_id, JobStatus.PAUSED)
        assert left.phase_details[0].items_processed == 0
        await flow.resume("kb")
        assert (await finished(await flow.job("kb"))).status is JobStatus.COMPLETED


@pytest.mark.usefixtures("patient")
async def test_leaving_the_block_does_not_wait_for_an_embedder_that_hangs(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with AsyncExitStack() as block:
        flow = await block.enter_async_context(PhaseFlow(database, embedder=embedder))
        job = await flow.start("kb", folder)
        with fail_soon(20):
            await embedder.until_called()
        with fail_soon(20):
            await block.aclose()
    async with PhaseFlow(database, embedder=CountingEmbedder(), auto_resume=False) as flow:
        assert (await flow.status("kb")).status is JobStatus.PAUSED
        # Dropped in time to say so: a run that is cut off with the file would be found interrupted.
        logged = (await flow.transitions_of(job.job_id)).items
        assert {t.reason for t in logged if t.to_status == "paused"} == {"shutdown"}
        await flow.resume("kb")
        assert (await finished(await flow.job("kb"))).status is JobStatus.COMPLETED


async def test_a_paused_job_stays_paused_over_a_restart(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder)
        await embedder.until_called()
        await flow.pause("kb")
        embedder.gate.set()
        await until(flow, lambda s: s.status is JobStatus.PAUSED)
    calls = embedder.calls
    async with PhaseFlow(database, embedder=embedder) as flow:
        status = await flow.status("kb")
        assert (status.status, status.waiting_on) == (JobStatus.PAUSED, "pause")
        assert embedder.calls == calls
        await flow.resume("kb")
        assert (await finished(await flow.job("kb"))).status is JobStatus.COMPLETED


async def test_a_start_after_a_failed_job_makes_a_new_one_and_the_old_cannot_be_retried(
    folder: Path, database: Path
) -> None:
    def fault(texts: Sequence[str]) -> None:
        raise ComponentUnavailable("no")

    embedder = CountingEmbedder(fault)
    async with PhaseFlow(database, embedder=embedder) as flow:
        old = await finished(await flow.start("kb", folder))
        embedder.fault = None
        new = await finished(await flow.start("kb"))
        assert new.job_id != old.job_id
        assert new.status is JobStatus.COMPLETED
        assert (await flow.job_status(old.job_id)).allowed_actions == ["start"]
        with pytest.raises(JobConflict):
            await flow.retry("kb")


async def test_the_same_text_in_two_jobs_at_once_is_paid_for_once(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        jobs = [await flow.start(kb, folder) for kb in ("one", "two")]
        finals = [await finished(job) for job in jobs]
    assert {final.status for final in finals} == {JobStatus.COMPLETED}
    assert max(embedder.paid.values()) == 1


async def test_a_source_that_is_not_allowed_any_more_is_not_read_when_the_job_goes_on(
    folder: Path, database: Path
) -> None:
    allowed = [folder]

    def check(source: object) -> None:
        if not allowed:
            raise SourceNotAllowed("this folder may not be read")

    async with PhaseFlow(database, check_source=check) as flow:
        job = await flow.start("kb", folder, hold=[JobPhase.LOADING])
        await job.wait_until_idle()
        allowed.clear()
        await flow.resume("kb")
        final = await job.wait()
    assert (final.status, final.error) == (JobStatus.FAILED, "this folder may not be read")
    assert final.metrics.documents_loaded == 0


async def test_a_call_from_another_event_loop_is_refused(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder(), slots=0) as flow:
        job = await flow.start("kb", folder)

        async def elsewhere() -> list[str]:
            refused = []
            for call in (flow.status("kb"), flow.pause("kb"), job.status(), anext(flow.transitions())):
                try:
                    await call
                except WrongEventLoop as error:
                    refused.append(str(error))
            return refused

        with fail_soon(10):
            refused = await anyio.to_thread.run_sync(lambda: asyncio.run(elsewhere()))
        assert len(refused) == 4
        assert "run_coroutine_threadsafe" in refused[0]


async def test_what_is_refused_changes_nothing_and_drops_nothing(database: Path, folder: Path) -> None:
    embedder = CountingEmbedder()
    embedder.in_flight = 1
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_called()
        await until(flow, lambda s: s.phase_details[1].status == "completed")
        calls, version = embedder.calls, flow.tracker.feed.revision("kb")
        before = rows_of(database)
        for refused in (flow.delete_kb("kb"), flow.start("kb", folder), flow.retry("kb"), flow.pause("kb", "loading"),
                        flow.add_documents("kb", [("doc000.md", b"a")]), flow.delete_document("kb", "doc000.md"),
                        flow.skip_document("kb", "none"),
                        flow.set_metadata("kb", "doc000.md", {"uri": "b"})):  # fmt: skip
            with pytest.raises((JobConflict, InvalidRequest, HeldBySource, DocumentNotFound)):
                await refused
            assert embedder.inside
        assert (embedder.calls, rows_of(database), flow.tracker.feed.revision("kb")) == (calls, before, version)
        embedder.gate.set()
        assert (await job.wait()).status == "completed"
    assert max(embedder.paid.values()) == 1


async def test_a_verb_that_is_refused_closes_no_gate(
    database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = CountingEmbedder()
    gates_closed: list[Supervisor] = []
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_called()
        monkeypatch.setattr(Supervisor, "gates_closed", gates_closed.append)
        with pytest.raises(JobConflict):
            await flow.retry("kb")
        await flow.resume("kb")
        assert not gates_closed
        embedder.gate.set()
        await job.wait()


async def test_every_transition_survives_a_loss_of_power(folder: Path, database: Path) -> None:
    levels: list[int] = []
    seen = [0]

    def watch(connection: sqlite3.Connection) -> None:
        def ending() -> None:
            last = connection.execute("SELECT coalesce(max(seq), 0) FROM transitions").fetchone()[0]
            if last > seen[0]:
                seen[0] = last
                levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])

        failpoints.install("store.before_commit", ending)

    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow._engine.hub.database._writer.call(watch)  # the connection that writes: nobody else knows how it does
        try:
            job = await flow.start("kb", folder, hold=["embedding"])
            await until(flow, lambda s: s.status is JobStatus.PAUSED)
            await flow.pause("kb")
            await flow.resume("kb")
            assert (await finished(job)).status is JobStatus.COMPLETED
            await flow.start("kb", folder, hold=["loading"])
            await flow.cancel("kb")
        finally:
            failpoints.clear()
    assert len(levels) >= 8
    assert set(levels) == {FULL}
