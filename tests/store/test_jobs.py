"""Jobs and the log: compare and set, one transaction, numbers that are never used again."""

import sqlite3
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from phaseflow.domain.errors import InvalidTransition, JobNotFound, StaleRun
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import LONGEST_ERROR
from phaseflow.domain.vocabulary import PHASES, Intent, JobPhase, PhaseStatus
from phaseflow.store.database import Database
from phaseflow.store.job_sources import JobSources
from phaseflow.store.jobs import Jobs
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.progress import Done, PhaseProgress
from phaseflow.store.session import open_session
from phaseflow.store.transaction import Transaction
from phaseflow.store.transitions import TransitionLog
from tests.domain.walks import Step, steps, walk
from tests.matrices import examples
from tests.store.probes import select
from tests.store.stock import NOW, Stock, create, stock

LATER = NOW + timedelta(seconds=10)


async def save(made: Stock, before: IngestionState, after: IngestionState) -> list[tuple[str | None, str, str]]:
    logged = await made.database.write(lambda tx: Jobs(tx).save(before, after, reason="test", at=LATER))
    return [(each.phase, each.from_status, each.to_status) for each in logged]


async def test_a_state_comes_back_as_it_was_saved(database: Database) -> None:
    made = await stock(database)
    before = (await made.record()).state
    phase = replace(
        before[JobPhase.LOADING], items_processed=3, items_total=9, items_failed=1, progress=44, hold_reason="why",
        held=True,
    )  # fmt: skip
    after = replace(
        before.with_phase(phase.pause(LATER)), held=True, hold_reason="user", intent=Intent.RESUME,
        intent_phases=(JobPhase.LOADING, JobPhase.INDEXING), queued_at=LATER,
    )  # fmt: skip
    await save(made, before, after)
    assert (await made.record()).state == after


@given(taken=steps())
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_walk_of_a_job_is_stored_and_logged_step_by_step(
    tmp_path_factory: pytest.TempPathFactory, taken: list[Step]
) -> None:
    states = walk(taken)
    async with open_session(tmp_path_factory.mktemp("walk") / "kb.db") as database:
        await database.write(lambda tx: KnowledgeBases(tx).put("kb", None, "{}", NOW))
        await database.write(lambda tx: Jobs(tx).create(states[0], sources=None, settings="{}", full=False, at=NOW))
        for before, after in pairwise(states):
            await database.write(partial(_save, before=before, after=after))
            assert await database.read(lambda tx: Jobs(tx).record("job").state) == after
        log = await database.read(lambda tx: TransitionLog(tx).of_job("job", 0, 1000))
    for phase in PHASES:
        story = ["not_started", *(t.to_status for t in log if t.phase is phase)]
        assert story == ["not_started", *_changes([s[phase].status for s in states])]
    assert [t.to_status for t in log if t.phase is None] == _changes([s.get_overall_status() for s in states])


def _save(tx: Transaction, before: IngestionState, after: IngestionState) -> None:
    Jobs(tx).save(before, after, reason=None, at=LATER)


def _changes(statuses: list[str]) -> list[str]:
    return [str(after) for before, after in pairwise(statuses) if after != before]


async def test_phases_are_logged_before_the_job_and_with_its_error(database: Database) -> None:
    made = await stock(database)
    before = (await made.record()).state
    after = before.with_phase(before[JobPhase.CHUNKING].fail("it broke", LATER))
    assert await save(made, before, after) == [("chunking", "running", "failed"), (None, "running", "failed")]
    last = await database.read(lambda tx: TransitionLog(tx).of_job(made.job_id, 0, 100)[-1])
    assert (last.error, last.reason) == ("it broke", "test")


async def test_the_log_of_a_job_goes_on_behind_a_number_and_has_nothing_of_others(database: Database) -> None:
    made = await stock(database)
    await stock(database, "other", "another")
    state = (await made.record()).state
    await save(made, state, state.each(lambda p: p.pause(LATER)))

    async def log(after: int, limit: int) -> list[int]:
        page = await database.read(lambda tx: TransitionLog(tx).of_job(made.job_id, after, limit))
        assert {each.job_id for each in page} == {made.job_id}
        return [each.seq for each in page]

    whole = await log(0, 100)
    assert whole == sorted(whole)
    assert len(whole) > 5
    assert await log(0, 2) == whole[:2]
    assert await log(whole[2], 100) == whole[3:]
    assert await log(whole[2], 2) == whole[3:5]


async def test_whoever_compares_with_an_old_state_has_lost_the_job_and_changes_nothing(database: Database) -> None:
    made = await stock(database)
    old = (await made.record()).state
    paused = old.each(lambda p: p.pause(LATER))
    await save(made, old, paused)
    before = select(database.path, "SELECT max(seq) FROM transitions")
    with pytest.raises(StaleRun, match="phase loading of job job is no longer running"):
        await save(made, old, old.with_phase(old[JobPhase.LOADING].complete(LATER)))
    assert (await made.record()).state == paused
    assert select(database.path, "SELECT max(seq) FROM transitions") == before


async def test_a_move_of_the_job_that_the_table_forbids_changes_nothing(database: Database) -> None:
    made = await stock(database)
    before = (await made.record()).state
    fresh = IngestionState(before.job_id, before.kb_id)
    with pytest.raises(InvalidTransition, match="job is running: it cannot become pending"):
        await save(made, before, fresh)
    assert (await made.record()).state == before


async def test_a_number_of_the_log_is_never_used_again(database: Database) -> None:
    made = await stock(database)
    last = await database.read(lambda tx: TransitionLog(tx).last())
    await database.write(lambda tx: KnowledgeBases(tx).remove("kb"))
    assert await database.read(lambda tx: TransitionLog(tx).last()) == last
    assert await database.read(lambda tx: TransitionLog(tx).oldest()) == last + 1
    other = await stock(database, job_id="other")
    assert other.seq == made.seq + 1
    assert await database.read(lambda tx: [t.seq for t in TransitionLog(tx).after(0, 1)]) == [last + 1]


async def test_the_log_of_an_empty_file_begins_with_one(database: Database) -> None:
    assert await database.read(lambda tx: (TransitionLog(tx).last(), TransitionLog(tx).oldest())) == (0, 1)


async def test_a_new_job_has_four_phases_and_no_transition(database: Database) -> None:
    await database.write(lambda tx: KnowledgeBases(tx).put("kb", None, "{}", NOW))
    state = IngestionState("job", "kb").queue(Intent.START, NOW)
    await database.write(lambda tx: Jobs(tx).create(state, sources=None, settings="{}", full=True, at=NOW))
    assert (await Stock(database, "kb", "job", 1).record()).state == state
    assert select(database.path, "SELECT count(*) FROM transitions") == [(0,)]


async def test_a_job_that_does_not_exist_is_said_not_to(database: Database) -> None:
    with pytest.raises(JobNotFound, match="nobody"):
        await database.read(lambda tx: Jobs(tx).record("nobody"))


async def test_the_queue_is_first_come_first_served(database: Database) -> None:
    for n, seconds in enumerate([5, 3, 4]):
        made = await stock(database, f"kb{n}", f"job{n}")
        before = (await made.record()).state
        await save(made, before, before.queue(Intent.RESUME, NOW + timedelta(seconds=seconds)))
    assert await database.read(lambda tx: Jobs(tx).queued()) == [("job1", "kb1"), ("job2", "kb2"), ("job0", "kb0")]


async def test_what_is_unfinished_is_open_or_queued_or_said_to_run(database: Database) -> None:
    rows = {
        # job: (over, waits in the queue, a phase is said to run, its knowledge base is deleted)
        "open": (False, False, False, False), "queued": (True, True, False, False), "over": (True, False, False, False),
        "left running": (True, False, True, False), "deleted": (False, False, True, True),
    }  # fmt: skip
    for job in rows:
        await stock(database, f"kb of {job}", job)

    def arrange(tx: Transaction) -> None:
        tx.run("UPDATE ingestion_phase_status SET status = 'completed'")
        for job, (is_over, waits, runs, is_deleted) in rows.items():
            tx.run("UPDATE ingestion_jobs SET completed_at = ? WHERE id = ?", "2026-01-01" if is_over else None, job)
            tx.run("UPDATE ingestion_jobs SET intent = ? WHERE id = ?", "resume" if waits else None, job)
            if runs:
                sql = (
                    "UPDATE ingestion_phase_status SET status = 'running' WHERE job_id = ? AND phase_name = 'chunking'"
                )
                tx.run(sql, job)
            if is_deleted:
                tx.run("UPDATE knowledge_bases SET name = NULL WHERE name = ?", f"kb of {job}")

    await database.write(arrange)
    found = await database.read(lambda tx: Jobs(tx).unfinished())
    assert [record.state.job_id for record in found] == ["open", "queued", "left running"]


async def test_history_is_newest_first_in_pages(database: Database) -> None:
    for n in range(5):
        await stock(database, job_id=f"job{n}")
    first = await database.read(lambda tx: Jobs(tx).history("kb", 2, None))
    second = await database.read(lambda tx: Jobs(tx).history("kb", 2, first[-1].seq))
    newest = await database.read(lambda tx: Jobs(tx).latest("kb"))
    assert [r.state.job_id for r in first + second] == ["job4", "job3", "job2", "job1"]
    assert [r.newest for r in first] == [True, False]
    assert newest == first[0]


async def test_times_of_a_job_are_those_of_its_moves(database: Database) -> None:
    made = await stock(database)
    before = (await made.record()).state
    await save(made, before, before.with_phase(before[JobPhase.LOADING].fail("it broke", LATER)))
    record = await made.record()
    assert (record.created_at, record.started_at, record.completed_at) == (NOW, NOW, LATER)
    failed = record.state
    await save(made, failed, failed.with_phase(failed[JobPhase.LOADING].retry(LATER)))
    assert (await made.record()).completed_at is None


async def test_counts_change_with_the_rows_they_speak_of_or_not_at_all(database: Database) -> None:
    made = await stock(database)

    def broken(tx: Transaction) -> None:
        PhaseProgress(tx, made.attempt, JobPhase.LOADING).advance(Done(processed=5, handed_over=5), NOW)
        raise ValueError("the rows could not be stored")

    with suppress(ValueError):
        await database.write(broken)
    state = (await made.record()).state
    assert (state[JobPhase.LOADING].items_processed, state[JobPhase.CHUNKING].items_available) == (0, 0)


async def test_a_batch_adds_to_its_phase_and_to_what_the_next_one_has(database: Database) -> None:
    made = await stock(database)
    for _ in range(2):
        await database.write(
            lambda tx: PhaseProgress(tx, made.attempt, JobPhase.LOADING).advance(Done(3, 1, 2, 7, 10), NOW)
        )
    state = (await made.record()).state
    loading = state[JobPhase.LOADING]
    assert (loading.items_processed, loading.items_failed, loading.items_reused) == (6, 2, 4)
    assert (loading.items_total, loading.progress) == (10, 80)
    assert state[JobPhase.CHUNKING].items_available == 14


async def test_an_old_attempt_can_write_no_more(database: Database) -> None:
    made = await stock(database)
    await database.write(lambda tx: Jobs(tx).begin_attempt(made.job_id))
    with pytest.raises(StaleRun, match="attempt 1 of job job may not write to loading any more"):
        await database.write(lambda tx: PhaseProgress(tx, made.attempt, JobPhase.LOADING).advance(Done(1), NOW))
    new = made.attempt._replace(number=2)
    await database.write(lambda tx: PhaseProgress(tx, new, JobPhase.LOADING).advance(Done(1), NOW))


@pytest.mark.parametrize("status", [s for s in PhaseStatus if s is not PhaseStatus.RUNNING])
async def test_a_phase_that_does_not_run_takes_no_counts(database: Database, status: PhaseStatus) -> None:
    made = await stock(database)
    sql = "UPDATE ingestion_phase_status SET status = ? WHERE phase_name = 'loading'"
    await database.write(lambda tx: tx.run(sql, status))
    with pytest.raises(StaleRun):
        await database.write(lambda tx: PhaseProgress(tx, made.attempt, JobPhase.LOADING).advance(Done(1), NOW))


async def test_a_second_job_of_the_same_name_is_no_job(database: Database, path: Path) -> None:
    await stock(database)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        await database.write(partial(create, kb_id="other", job_id="job"))
    assert select(path, "SELECT name FROM knowledge_bases") == [("kb",)]


async def test_what_is_said_of_a_source_adds_up_and_keeps_what_came_first(database: Database) -> None:
    made = await stock(database)

    def work(tx: Transaction) -> None:
        sources = JobSources(tx, made.seq)
        sources.fail("wiki", "is away")
        for uris in (["a", "b"], ["c"]):
            sources.add_canonical("wiki", uris)
            sources.add_canonical("site", uris)
        sources.fail("wiki", "is still away")

    await database.write(work)
    notes = (await made.record()).notes
    assert (notes.canonical, notes.errors) == ({"wiki": (3, "a"), "site": (3, "a")}, {"wiki": "is away"})


async def test_the_error_of_a_source_is_cut(database: Database) -> None:
    made = await stock(database)
    await database.write(lambda tx: JobSources(tx, made.seq).fail("wiki", "x" * 3_000_000))
    assert len((await made.record()).notes.errors["wiki"]) == LONGEST_ERROR
