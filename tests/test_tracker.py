"""The tracker on its own, as a program with its own pipeline uses it."""

import asyncio
import gc
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import create_task_group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseflow import PhaseFlow, PhaseTracker
from phaseflow.domain.errors import (
    DatabaseHeld,
    EngineStopped,
    InvalidRequest,
    InvalidTransition,
    JobConflict,
    JobNotFound,
    NotADatabase,
)
from phaseflow.domain.status import JobStatusResponse, Transition
from phaseflow.domain.vocabulary import JobPhase, JobStatus, PhaseStatus
from phaseflow.store import failpoints
from phaseflow.tracker import Changed
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.probes import nobody_writes, select, until_nobody_reads

FULL = 2
"""``PRAGMA synchronous``: what is committed survives a loss of power."""
PHASES = ["loading", "chunking", "embedding", "indexing"]
Call = Callable[[PhaseTracker], Awaitable[JobStatusResponse]]
MOVES: dict[str, Call] = {
    "start": lambda t: t.start_phase("job", "loading"),
    "pause": lambda t: t.pause_phase("job", "loading"),
    "resume": lambda t: t.resume_phase("job", "loading"),
    "complete": lambda t: t.complete_phase("job", "loading"),
    "fail": lambda t: t.fail_phase("job", "loading", "it broke"),
    "retry": lambda t: t.retry_phase("job", "loading"),
}
WAY_TO = {
    PhaseStatus.NOT_STARTED: [],
    PhaseStatus.RUNNING: ["start"],
    PhaseStatus.PAUSED: ["start", "pause"],
    PhaseStatus.COMPLETED: ["start", "complete"],
    PhaseStatus.FAILED: ["start", "fail"],
}
LEGAL = {
    (PhaseStatus.NOT_STARTED, "start"), (PhaseStatus.RUNNING, "pause"), (PhaseStatus.RUNNING, "complete"),
    (PhaseStatus.RUNNING, "fail"), (PhaseStatus.PAUSED, "resume"), (PhaseStatus.PAUSED, "fail"),
    (PhaseStatus.FAILED, "retry"),
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kb.db"


@pytest.fixture
async def tracker(path: Path, anyio_backend: str) -> AsyncIterator[PhaseTracker]:
    async with PhaseTracker.open(path) as opened:
        await opened.initialize_phases("job", "kb")
        yield opened
        failpoints.clear()


async def log(tracker: PhaseTracker, count: int) -> list[Transition]:
    """The first transitions, which must be there."""
    found: list[Transition] = []
    with fail_soon(5):
        async for transition in tracker.feed.transitions(0):
            found.append(transition)
            if len(found) == count:
                break
    return found


async def test_a_new_job_is_pending_with_four_phases_in_order(tracker: PhaseTracker) -> None:
    status = await tracker.get_consolidated_status("job")
    assert (status.status, status.phase, status.progress) == (JobStatus.PENDING, JobPhase.LOADING, 0)
    assert [phase.name for phase in status.phase_details] == PHASES
    assert {phase.status for phase in status.phase_details} == {PhaseStatus.NOT_STARTED}
    assert (status.kb_id, status.allowed_actions, status.waiting_on) == ("kb", ["cancel"], None)


async def test_a_whole_run_ends_completed_and_is_in_the_log_in_order(tracker: PhaseTracker) -> None:
    for phase in PHASES:
        await tracker.start_phase("job", phase)
        await tracker.update_progress("job", phase, 5, 10)
        await tracker.complete_phase("job", phase)
    status = await tracker.get_consolidated_status("job")
    assert (status.status, status.progress, status.phase) == (JobStatus.COMPLETED, 100, JobPhase.INDEXING)
    assert status.completed_at is not None
    told = await log(tracker, 10)
    assert [(t.phase, t.to_status) for t in told] == [
        ("loading", "running"), (None, "running"), ("loading", "completed"),
        ("chunking", "running"), ("chunking", "completed"), ("embedding", "running"), ("embedding", "completed"),
        ("indexing", "running"), ("indexing", "completed"), (None, "completed"),
    ]  # fmt: skip
    assert all(after.seq == before.seq + 1 for before, after in pairwise(told))


@pytest.mark.parametrize("move", first_of_each(MOVES, lambda move: move in {"start", "resume"} and move))
@pytest.mark.parametrize("status", PhaseStatus)
async def test_a_legal_move_is_made_and_an_illegal_one_changes_nothing(
    tracker: PhaseTracker, path: Path, status: PhaseStatus, move: str
) -> None:
    for step in WAY_TO[status]:
        await MOVES[step](tracker)
    if (status, move) in LEGAL:
        assert (await MOVES[move](tracker)).phase_details[0].status is not status
        return
    rows = "SELECT * FROM ingestion_phase_status, ingestion_jobs, (SELECT max(seq) FROM transitions)"
    before = select(path, rows)
    with pytest.raises(InvalidTransition, match=f"phase loading is {status}: it cannot {move}"):
        await MOVES[move](tracker)
    assert select(path, rows) == before


async def test_a_failed_phase_shows_its_error_in_the_job(tracker: PhaseTracker) -> None:
    await tracker.start_phase("job", "loading")
    status = await tracker.fail_phase("job", JobPhase.LOADING, "the disk is gone")
    assert (status.status, status.error) == (JobStatus.FAILED, "the disk is gone")
    assert status.phase_details[0].error == "the disk is gone"
    assert status.message == "Loading failed: the disk is gone"
    assert [(t.phase, t.error) for t in (await log(tracker, 4))[2:]] == [
        ("loading", "the disk is gone"), (None, "the disk is gone"),
    ]  # fmt: skip


@pytest.mark.parametrize(("raised", "told"), [(ValueError("no room"), "no room"), (TimeoutError(), "TimeoutError")])
async def test_what_was_raised_says_why_a_phase_failed(tracker: PhaseTracker, raised: Exception, told: str) -> None:
    await tracker.start_phase("job", "loading")
    assert (await tracker.fail_phase("job", "loading", raised)).error == told


@pytest.mark.parametrize("wrong", [None, 5, ["no"]])
async def test_a_phase_does_not_fail_without_a_reason(tracker: PhaseTracker, wrong: Any) -> None:
    await tracker.start_phase("job", "loading")
    with pytest.raises(InvalidRequest, match="error: a text or an exception"):
        await tracker.fail_phase("job", "loading", wrong)


async def test_a_failed_phase_that_runs_again_has_no_error(tracker: PhaseTracker) -> None:
    await tracker.start_phase("job", "loading")
    await tracker.fail_phase("job", "loading", "it broke")
    status = await tracker.retry_phase("job", "loading")
    assert (status.status, status.error, status.completed_at) == (JobStatus.RUNNING, None, None)


@pytest.mark.parametrize("phase", ["Loading", "upload", ""])
async def test_an_unknown_phase_names_those_there_are(tracker: PhaseTracker, phase: str) -> None:
    with pytest.raises(InvalidRequest, match="loading, chunking, embedding, indexing"):
        await tracker.start_phase("job", phase)


@pytest.mark.parametrize("call", [*MOVES.values(), lambda t: t.get_consolidated_status("job")])
async def test_an_unknown_job_is_said_to_be(path: Path, call: Call) -> None:
    async with PhaseTracker.open(path) as tracker:
        with pytest.raises(JobNotFound, match="'job'"):
            await call(tracker)


async def test_a_job_can_be_initialized_once(tracker: PhaseTracker) -> None:
    await tracker.start_phase("job", "loading")
    with pytest.raises(InvalidRequest, match="a job 'job' exists already; choose another id"):
        await tracker.initialize_phases("job", "other")
    assert (await tracker.get_consolidated_status("job")).status is JobStatus.RUNNING


async def test_a_knowledge_base_has_one_job_that_is_not_over(tracker: PhaseTracker) -> None:
    with pytest.raises(JobConflict) as refused:
        await tracker.initialize_phases("second", "kb")
    assert refused.value.status == "pending"
    with pytest.raises(JobNotFound):
        await tracker.get_consolidated_status("second")
    await tracker.start_phase("job", "loading")
    await tracker.fail_phase("job", "loading", "it broke")
    assert (await tracker.initialize_phases("second", "kb")).status is JobStatus.PENDING


async def test_jobs_of_two_knowledge_bases_do_not_meet(tracker: PhaseTracker) -> None:
    await tracker.initialize_phases("other", "other-kb")
    await tracker.start_phase("other", "loading")
    assert (await tracker.get_consolidated_status("job")).status is JobStatus.PENDING


@pytest.mark.parametrize("kb_id", ["", "Waf", "-a", "a" * 64, "a/b", "ä"])
async def test_a_name_that_is_none_is_refused(tracker: PhaseTracker, kb_id: str) -> None:
    with pytest.raises(InvalidRequest, match="kb_id"):
        await tracker.initialize_phases("new", kb_id)


async def test_an_id_that_no_path_can_hold_is_refused(tracker: PhaseTracker, path: Path) -> None:
    wrong: list[Any] = ["", "a/b", "/", ".", "..", ".a", "a" * 201, "\ud800", 5, None, b"a", ["a"]]
    for job_id in wrong:
        for call in (tracker.initialize_phases, tracker.get_consolidated_status):
            with pytest.raises(InvalidRequest, match="must be 1 to 200 characters") as refused:
                await call(job_id)
            assert refused.value.field == "job_id"
        with pytest.raises(InvalidRequest, match="must be 1 to 200 characters"):
            await tracker.start_phase(job_id, "loading")
    assert select(path, "SELECT id FROM ingestion_jobs") == [("job",)]


async def test_progress_never_goes_back_and_is_below_a_hundred_until_the_end(tracker: PhaseTracker) -> None:
    await tracker.start_phase("job", "loading")
    seen = []
    for done, total in [(0, None), (1, 3), (2, 3), (1, 3), (3, 3), (3, 30), (9, 3)]:
        seen.append((await tracker.update_progress("job", "loading", done, total)).phase_details[0].progress)
    assert seen == [0, 33, 66, 66, 99, 99, 99]
    assert (await tracker.complete_phase("job", "loading")).phase_details[0].progress == 100


async def test_what_is_no_count_is_named_and_changes_nothing(tracker: PhaseTracker) -> None:
    before = await tracker.start_phase("job", "loading")
    wrong: list[Any] = [-1, 2**53 + 1, True, False, 1.0, "5", [5], {}]
    refused_counts: list[tuple[str, tuple[Any, Any]]] = [("items_processed", (None, 1))]
    for each in wrong:
        refused_counts += [("items_processed", (each, 10)), ("items_total", (5, each))]
    for field, counts in refused_counts:
        with pytest.raises(InvalidRequest, match="must be a whole number, 0 to 9007199254740992, not") as refused:
            await tracker.update_progress("job", "loading", *counts)
        assert refused.value.field == field
    after = (await tracker.get_consolidated_status("job")).phase_details[0]
    assert (after.items_processed, after.items_total) == (before.phase_details[0].items_processed, None)


async def test_a_total_is_never_less_than_what_was_done(tracker: PhaseTracker) -> None:
    await tracker.start_phase("job", "loading")
    seen = []
    for done, total in [(5, 10), (50, 10), (60, None), (60, 100), (60, 0)]:
        shown = (await tracker.update_progress("job", "loading", done, total)).phase_details[0]
        seen.append((shown.items_processed, shown.items_total, shown.progress))
    assert seen == [(5, 10, 50), (50, 50, 99), (60, 60, 99), (60, 100, 99), (60, 60, 99)]


async def test_only_a_running_phase_takes_progress(tracker: PhaseTracker) -> None:
    with pytest.raises(InvalidTransition, match="phase loading is not_started: it cannot progress"):
        await tracker.update_progress("job", "loading", 1, 10)


async def test_a_hundred_updates_at_once_leave_the_highest(tracker: PhaseTracker, path: Path) -> None:
    await tracker.start_phase("job", "loading")
    with fail_soon(20):
        async with create_task_group() as tasks:
            for n in range(1, 101):
                tasks.start_soon(tracker.update_progress, "job", "loading", n, 100)
    status = await tracker.get_consolidated_status("job")
    assert (status.phase_details[0].items_processed, status.phase_details[0].progress) == (100, 99)
    assert nobody_writes(path)


async def test_of_many_that_make_one_move_at_once_one_makes_it(tracker: PhaseTracker) -> None:
    refused: list[InvalidTransition] = []

    async def start() -> None:
        try:
            await tracker.start_phase("job", "loading")
        except InvalidTransition as error:
            refused.append(error)

    with fail_soon(20):
        async with create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(start)
    assert len(refused) == 19
    assert [t.to_status for t in await log(tracker, 2)] == ["running", "running"]


async def test_a_call_that_is_cancelled_natively_leaves_no_transaction_and_no_stuck_writer(
    tracker: PhaseTracker, path: Path
) -> None:
    await tracker.start_phase("job", "loading")
    for hops in range(15):
        task = asyncio.create_task(_update(tracker, hops))
        for _ in range(hops):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with fail_soon(5):
            await tracker.update_progress("job", "loading", 1, 1000)
    with fail_soon(5):
        await tracker.complete_phase("job", "loading")
    assert nobody_writes(path)
    await until_nobody_reads(path)


async def _update(tracker: PhaseTracker, n: int) -> None:
    while True:
        await tracker.update_progress("job", "loading", n, 1000)


async def test_a_move_whose_caller_is_cancelled_during_the_commit_is_made_and_told(tracker: PhaseTracker) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert go_on.wait(60)

    failpoints.install("store.before_commit", hold)
    task = asyncio.create_task(_quietly(tracker.start_phase("job", "loading")))
    with fail_soon(10):
        await anyio.to_thread.run_sync(reached.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        failpoints.clear()
        go_on.set()
        assert [t.to_status for t in await log(tracker, 2)] == ["running", "running"]


async def test_who_watches_a_job_sees_what_becomes_of_it_and_of_no_other(tracker: PhaseTracker) -> None:
    await tracker.initialize_phases("other", "neighbour")
    with tracker._hub.watching("job") as watch, fail_soon(5):
        await tracker.start_phase("job", "loading")
        await tracker.start_phase("other", "loading")
        await watch.until(lambda state: state.job_id == "job" and state[JobPhase.LOADING].status is PhaseStatus.RUNNING)
    assert not tracker._hub._watches


async def test_those_who_watch_are_told_before_anybody_acts_on_what_was_committed(tracker: PhaseTracker) -> None:
    hub, order = tracker._hub, list[str]()
    before = hub.feed.last_seq

    def acts(changed: Changed) -> None:
        assert changed.logged
        order.append(f"acts, {hub.feed.last_seq - before} told")

    hub.then = lambda changed: order.append("hears")
    await hub.change("job", lambda s: s.with_phase(s[JobPhase.LOADING].start(hub.clock.now())), then=acts)
    assert order == ["hears", "acts, 2 told"]


async def _quietly(call: Awaitable[object]) -> None:
    await call


async def test_a_second_tracker_is_told_who_has_the_file(tracker: PhaseTracker, path: Path) -> None:
    with pytest.raises(DatabaseHeld, match="in use by this program itself"):
        async with PhaseTracker.open(path):
            pass
    await tracker.start_phase("job", "loading")


async def test_a_file_that_cannot_be_opened_says_so_outside_any_group(path: Path) -> None:
    path.write_bytes(b"notes")
    with pytest.raises(NotADatabase):
        async with PhaseTracker.open(path):
            pass


async def test_the_state_outlives_the_tracker(path: Path) -> None:
    async with PhaseTracker.open(path) as tracker:
        await tracker.initialize_phases("job", "kb")
        await tracker.start_phase("job", "loading")
        before = await tracker.update_progress("job", "loading", 7, 10)
    async with PhaseTracker.open(str(path)) as tracker:
        after = await tracker.get_consolidated_status("job")
        assert after.phase_details[0].items_processed == before.phase_details[0].items_processed == 7
        assert [t.seq for t in await log(tracker, 2)] == [1, 2]


async def test_a_call_after_the_end_is_refused(path: Path) -> None:
    async with PhaseTracker.open(path) as tracker:
        await tracker.initialize_phases("job", "kb")
    with fail_soon(5), pytest.raises(EngineStopped):
        await tracker.start_phase("job", "loading")
    with fail_soon(5), pytest.raises(EngineStopped):
        await tracker.get_consolidated_status("job")


async def test_an_error_in_the_block_is_raised_as_it_is(path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with PhaseTracker.open(path):
            raise KeyError("mine")


async def test_nothing_is_left_of_a_tracker(path: Path) -> None:
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    async with PhaseTracker.open(path) as tracker:
        await tracker.initialize_phases("job", "kb")
        await tracker.start_phase("job", "loading")
    gc.collect()
    assert asyncio.all_tasks() == tasks
    left = [t for t in threading.enumerate() if t not in threads and "AnyIO" not in t.name]
    for thread in left:
        thread.join(60)
    assert not any(thread.is_alive() for thread in left)


PLANS = st.lists(st.tuples(st.sampled_from([*MOVES, "progress"]), st.sampled_from(PHASES)), max_size=25)


@given(plan=PLANS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_called_the_log_tells_the_story_of_the_state(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, str]]
) -> None:
    async with PhaseTracker.open(tmp_path_factory.mktemp("plan") / "kb.db") as tracker:
        await tracker.initialize_phases("job", "kb")
        for move, phase in plan:
            try:
                await _call(tracker, move, phase)
            except InvalidTransition:
                continue
        status = await tracker.get_consolidated_status("job")
        told = await log(tracker, tracker.feed.last_seq) if tracker.feed.last_seq else []
    now: dict[str | None, str] = {None: "pending"} | dict.fromkeys(PHASES, "not_started")
    for transition in told:
        assert now[transition.phase] == transition.from_status
        now[transition.phase] = transition.to_status
    assert now == {None: status.status} | {p.name: p.status for p in status.phase_details}


async def _call(tracker: PhaseTracker, move: str, phase: str) -> JobStatusResponse:
    if move == "progress":
        return await tracker.update_progress("job", phase, 3, 9)
    if move == "fail":
        return await tracker.fail_phase("job", phase, "it broke")
    made: JobStatusResponse = await getattr(tracker, f"{move}_phase")("job", phase)
    return made


async def test_a_failed_job_goes_on_only_while_it_is_the_newest(tracker: PhaseTracker) -> None:
    for job_id in ("old", "new"):
        await tracker.initialize_phases(job_id, "other")
        await tracker.start_phase(job_id, "loading")
        await tracker.fail_phase(job_id, "loading", "it broke")
    with pytest.raises(JobConflict, match="cannot retry: the knowledge base has a newer job") as refused:
        await tracker.retry_phase("old", "loading")
    assert (refused.value.status, refused.value.allowed_actions) == ("failed", [])
    old = await tracker.get_consolidated_status("old")
    assert (old.status, old.phase_details[0].status) == ("failed", "failed")
    assert (await tracker.retry_phase("new", "loading")).status == "running"


async def test_a_job_that_an_engine_runs_is_refused_to_the_tracker(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    async with PhaseFlow(tmp_path / "kb.db", slots=0) as flow:
        job = await flow.start("kb", tmp_path / "docs")
        with pytest.raises(JobConflict, match="an engine runs this job"):
            await flow.tracker.start_phase(job.job_id, "loading")
        assert (await job.status()).status == "pending"


async def test_every_report_is_on_the_disk_before_it_is_told(path: Path) -> None:
    levels: list[int] = []
    async with PhaseTracker.open(path) as tracker:

        def watch(connection: sqlite3.Connection) -> None:
            def ending() -> None:
                levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])

            failpoints.install("store.before_commit", ending)

        await tracker._hub.database._writer.call(watch)  # the connection that writes: nobody else knows how it does
        try:
            await tracker.initialize_phases("job", "kb")
            for move in ("start", "pause", "resume", "fail", "retry", "complete"):
                await MOVES[move](tracker)
            await tracker.renew_lease("job")
        finally:
            failpoints.clear()
    assert len(levels) >= 8
    assert set(levels) == {FULL}


async def test_what_is_asked_of_a_job_is_told_at_once(path: Path) -> None:
    async with PhaseTracker.open(path) as tracker:
        await tracker.initialize_phases("job", "kb")
        before = tracker.feed.revision("kb")
        state = (await tracker._hub.record("job")).state
        tracker._hub.tell(Changed(state, replace(state, held=True, hold_reason="user")))
        assert tracker.feed.has_moved("kb", before)


@pytest.mark.parametrize("error", ["no caf\udce9.md", OSError("no caf\udce9.md")])
async def test_an_error_with_half_a_character_is_told_all_the_same(tmp_path: Path, error: str | OSError) -> None:
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job")
        await tracker.start_phase("job", "loading")
        failed = await tracker.fail_phase("job", "loading", error)
        assert (failed.status, failed.phase_details[0].error) == ("failed", "no caf\ufffd.md")
        assert failed.model_dump_json()
