"""A job that is reported as paused is quiet: what was on its way to the writer by then changes no row."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import JobPhase, JobStatus, PhaseFlow, PhaseStatus, RateLimited
from phaseflow.actors import requests
from phaseflow.domain.policy import LONGEST_WAIT_S
from phaseflow.domain.vocabulary import WaitingOn
from phaseflow.store import failpoints
from phaseflow.store.states import DocumentState
from tests.engine.components import CountingEmbedder, write_folder
from tests.proof import outcome
from tests.proof.test_seams import until_paused, until_quiet_writer
from tests.proof.turnstile import VERB, Turnstile, queued, until
from tests.stopwatch import NEVER_S, fail_soon
from tests.store.probes import select, until_merged

NOTE = {"uri": "a", "text": "The letter a."}
RUNNING = "SELECT 1 FROM ingestion_phase_status WHERE status = 'running'"


async def says_paused(flow: PhaseFlow) -> bool:
    """The job says that it is paused and waits for its user alone."""
    status = await flow.status("kb")
    return status.status is JobStatus.PAUSED and status.is_idle


async def test_what_a_guard_holds_while_a_pause_is_written_is_part_of_that_pause(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(texts: Sequence[str]) -> None:
        raise RateLimited("come back tomorrow", retry_after_s=2 * LONGEST_WAIT_S)

    told: list[object] = []

    def note_rows() -> None:
        if not told and not select(database, RUNNING):
            told.append(outcome.rows(database))

    monkeypatch.setattr(requests, "LINGER_S", NEVER_S)  # loading runs, and has nothing in hand
    embedder = CountingEmbedder(refuse)
    embedder.close()
    with Turnstile.at_commit() as turnstile:
        failpoints.install("supervisor.paused", note_rows)
        async with PhaseFlow(database, embedder=embedder) as flow:
            job = await flow.add("kb", [NOTE])
            await embedder.until_called()
            await until_quiet_writer(flow)
            supervisor = flow._engine.scheduler._supervisors[str(job.job_id)]
            assert supervisor is not None
            embedding = supervisor._actors[JobPhase.EMBEDDING.position]
            turnstile.close(VERB)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.pause, "kb")
                await turnstile.arrival()
                embedder.gate.set()
                await until(lambda: embedding.hold_reason is not None)
                turnstile.open()
            await until_paused(flow)
            await until_quiet_writer(flow)
            assert await says_paused(flow)
            assert told == [outcome.rows(database)]
            reasons = select(database, "SELECT hold_reason FROM ingestion_phase_status WHERE phase_name = 'embedding'")
            assert "come back tomorrow" in reasons[0][0]


async def test_a_pause_before_the_run_leaves_in_the_inbox_what_an_older_job_had_taken(database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=embedder) as flow:
            await flow.add("kb", [NOTE])
            await embedder.until_called()
            await flow.cancel("kb")
            await until_quiet_writer(flow)
            turnstile.close("prepare_run.")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.add, "kb", [{"uri": "b", "text": "The letter b."}])
                await turnstile.arrival()  # the new job has a slot
                await queued(tasks, flow, flow.pause, "kb")
                turnstile.pass_one()
                await turnstile.arrival()  # what was taken would be given back
                assert await says_paused(flow)
                before = outcome.rows(database)
                turnstile.open()
            await until_quiet_writer(flow)
            assert outcome.rows(database) == before
            embedder.gate.set()
            await flow.resume("kb")
            with fail_soon(20):
                while {hit.uri for hit in await flow.search("kb", "letter")} != {"a", "b"}:  # noqa: ASYNC110  # nobody tells when
                    await anyio.sleep(0.05)


async def test_a_job_that_stays_paused_in_its_turn_takes_nothing_away(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=embedder) as flow:
            await flow.start("kb", folder)
            await embedder.until_called()
            await flow.cancel("kb")
            await flow.start("kb", folder, hold=["loading", "embedding"])
            await until_quiet_writer(flow)
            turnstile.close("Clearing.")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.resume, "kb", "embedding")
                await turnstile.arrival()  # what the older job has left would go to the janitor
                assert await says_paused(flow)
                before = outcome.rows(database)
                turnstile.open()
            await until_quiet_writer(flow)
            assert outcome.rows(database) == before
            embedder.gate.set()
            await flow.resume("kb")
            assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED


def words(database: Path, table: int) -> list[object]:
    """All rows of one table of the full-text index, and what is noted of it."""
    parts = ("data", "idx", "docsize", "config")
    of_table = select(database, f"SELECT * FROM index_tables WHERE shard = {table}")
    return [of_table, *(select(database, f"SELECT * FROM passages_{table}_{part}") for part in parts)]


async def test_upkeep_of_the_file_beside_a_paused_job_changes_no_row_and_no_words_of_its_own(
    folder: Path, database: Path
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        for kb in ("kb", "other"):
            await (await flow.start(kb, folder)).wait()
        write_folder(folder, 6, words=60)
        for kb in ("kb", "other"):
            await (await flow.start(kb, folder)).wait()
        await until_merged(flow._engine.hub.database)
        await flow.start("kb", folder, hold=["loading"])
        removed = "UPDATE index_tables SET removed = 1"
        await flow._engine.hub.database.write(lambda tx: tx.run(removed))  # that of the paused job would be first
        before = outcome.rows(database), words(database, 1)
        await until(lambda: select(database, "SELECT removed FROM index_tables WHERE shard = 2") == [(0,)])
        await until_merged(flow._engine.hub.database)
        with fail_soon(10):
            while not await flow._engine.hub.database.give_back_wal():  # noqa: ASYNC110  # nobody tells when no reader needs it
                await anyio.sleep(0.01)
        assert (await flow.vacuum()).waits_for == ["kb"]
        assert (outcome.rows(database), words(database, 1)) == before
        await flow.set_metadata("kb", "doc000.md", {"number": 1})
        assert outcome.rows(database) != before[0], "a row that is written is seen"
        await flow.cancel("kb")
        await until(lambda: select(database, "SELECT removed FROM index_tables WHERE shard = 1") == [(0,)])


async def test_what_a_paused_phase_has_handed_over_is_indexed_before_the_job_says_paused(
    folder: Path, database: Path
) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_full()  # then whole documents are inside
        await flow.pause("kb", "embedding")
        embedder.gate.set()
        await until_paused(flow)
        before = outcome.rows(database)
        indexing = (await job.status()).phase_details[3]
        assert (indexing.status, indexing.waiting_on) == (PhaseStatus.PAUSED, WaitingOn.UPSTREAM)
        assert indexing.items_processed > 0
        handed = f"SELECT count(*) FROM documents WHERE state = {DocumentState.EMBEDDED}"
        assert select(database, handed) == [(0,)]
        await until_quiet_writer(flow)
        assert outcome.rows(database) == before
        await flow.resume("kb", "embedding")
        assert (await job.wait()).status is JobStatus.COMPLETED


async def test_a_job_that_has_nothing_to_embed_stays_paused_before_a_phase_that_is_held(
    folder: Path, database: Path
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", folder)).wait()
        job = await flow.start("kb", folder, hold=["embedding"])
        await until_paused(flow)
        before = outcome.rows(database)
        await until_quiet_writer(flow)
        assert outcome.rows(database) == before
        await flow.resume("kb")
        assert (await job.wait()).status is JobStatus.COMPLETED
