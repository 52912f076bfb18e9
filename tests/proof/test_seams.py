"""A verb between two steps of the engine: between slot and run, between looking and moving, without its caller."""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import JobPhase, JobStatus, PhaseFlow, PhaseStatus
from phaseflow.actors import loading
from phaseflow.actors.gate import Gate
from phaseflow.actors.handoff import Handoff
from phaseflow.components.protocols import Loader
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from phaseflow.store.documents import StagedDocument
from phaseflow.store.jobs import JobRecord
from phaseflow.store.progress import Attempt
from phaseflow.store.session import open_session
from phaseflow.store.states import IS_GONE, DocumentState
from phaseflow.supervisor import clearing, draining
from phaseflow.supervisor.draining import Draining
from phaseflow.supervisor.supervisor import Supervisor
from tests.engine.components import CountingEmbedder, vector_of
from tests.proof import outcome
from tests.proof.turnstile import MOVE, VERB, Turnstile, queued, until
from tests.stopwatch import NEVER_S, fail_soon
from tests.store.probes import select, until_removed


async def until_paused(flow: PhaseFlow, phase: JobPhase | None = None) -> None:
    with fail_soon(10):
        async for status in (await flow.job("kb")).watch():
            is_drained = status.status is JobStatus.PAUSED
            if is_drained if phase is None else status.phase_details[phase.position].status is PhaseStatus.PAUSED:
                return


async def test_a_pause_whose_caller_was_cancelled_takes_effect(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=embedder) as flow:
            await flow.start("kb", folder)
            await embedder.until_called()
            await until_quiet_writer(flow)
            turnstile.close(VERB)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.pause, "kb")
                await turnstile.arrival()
                tasks.cancel_scope.cancel()
            turnstile.open()
            embedder.gate.set()
            await until_paused(flow)


async def test_no_batch_begins_once_a_pause_is_being_written(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=embedder) as flow:
            job = await flow.start("kb", folder)
            await embedder.until_called()
            await until_quiet_writer(flow)
            supervisor = flow._engine.scheduler._supervisors[job.job_id]
            assert supervisor is not None
            gates = [actor.gate for actor in supervisor._actors]
            assert any(gate.is_open for gate in gates)
            turnstile.close(VERB)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.pause, "kb")
                await turnstile.arrival()
                calls = embedder.calls
                assert not any(gate.is_open for gate in gates)
                await has_looked(supervisor)
                assert not any(gate.is_open for gate in gates), "opened again while the pause was being written"
                turnstile.open()
                embedder.gate.set()
            await until_paused(flow)
            assert embedder.calls == calls


async def test_a_look_that_began_before_a_pause_was_stored_opens_no_gate_after_it(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    has_read, go_on = anyio.Event(), anyio.Event()
    opened: list[Gate] = []

    def note(gate: Gate) -> None:
        opened.append(gate)

    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_called()
        await until_quiet_writer(flow)
        supervisor = flow._engine.scheduler._supervisors[job.job_id]
        assert supervisor is not None
        read = supervisor._hub.record

        async def late(job_id: str) -> JobRecord:
            found = await read(job_id)
            has_read.set()
            await go_on.wait()
            return found

        with monkeypatch.context() as patch:
            patch.setattr(supervisor._hub, "record", late)
            supervisor.wake()
            await has_read.wait()  # the job as it was before the pause
        await flow.pause("kb")
        monkeypatch.setattr(Gate, "open", note)
        go_on.set()
        embedder.gate.set()
        await until_paused(flow)
        assert opened == []


async def has_looked(supervisor: Supervisor) -> None:
    """Have the supervisor look at what is wanted, and wait until it has set the gates by it and waits again."""
    mailbox = supervisor._mail[1]
    await until(lambda: mailbox.statistics().tasks_waiting_receive == 1)
    supervisor.wake()
    assert mailbox.statistics().tasks_waiting_receive == 0
    await until(lambda: mailbox.statistics().tasks_waiting_receive == 1)


async def test_a_cancel_whose_caller_was_cancelled_frees_the_slot(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=embedder, slots=1) as flow:
            job = await flow.start("kb", folder)
            await embedder.until_called()
            await until_quiet_writer(flow)
            turnstile.close(VERB)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.cancel, "kb")
                await turnstile.arrival()
                tasks.cancel_scope.cancel()
            turnstile.open()
            with fail_soon(5):
                assert (await job.wait()).status is JobStatus.CANCELLED
                await until(lambda: embedder.inside == 0)


async def test_a_start_whose_caller_was_cancelled_runs(folder: Path, database: Path) -> None:
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
            turnstile.close("Starting.")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.start, "kb", folder)
                await turnstile.arrival()
                tasks.cancel_scope.cancel()
            turnstile.open()
            await until(lambda: flow.tracker.feed.revision("kb") > 0)
            with fail_soon(10):
                assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED


async def test_a_pause_between_the_slot_and_the_run_starts_nothing(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=embedder) as flow:
            await flow.start("kb", folder)
            await embedder.until_called()
            embedder.gate.set()
            await flow.pause("kb")
            await until_paused(flow)
            await until_quiet_writer(flow)
            log, changes = flow.tracker.feed.last_seq, flow.tracker.feed.revision("kb")
            turnstile.close("prepare_run.")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.resume, "kb")
                await turnstile.arrival()  # the job has a slot, and what it failed at before is being queued again
                await queued(tasks, flow, flow.pause, "kb")
                turnstile.open()  # the pause is written, then the run would begin
            await until_quiet_writer(flow)
            assert flow.tracker.feed.last_seq == log
            assert (await flow.status("kb")).status is JobStatus.PAUSED
            assert flow.tracker.feed.revision("kb") > changes, "the resume and the pause were both committed"


async def test_a_phase_that_is_held_while_it_is_about_to_start_stays_held(folder: Path, database: Path) -> None:
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
            turnstile.close(MOVE)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.start, "kb", folder)
                for _ in range(100):
                    await turnstile.arrival()
                    if documents_in(database, flow) == 0:
                        turnstile.pass_one()
                        continue
                    break
                await queued(tasks, flow, flow.pause, "kb", JobPhase.INDEXING)
                turnstile.open()
            await until_settled(flow)
            indexing = (await flow.status("kb")).phase_details[3]
            assert (indexing.status, indexing.waiting_on) in {
                (PhaseStatus.NOT_STARTED, "pause"),
                (PhaseStatus.PAUSED, "pause"),
            }
            await flow.resume("kb")
            with fail_soon(10):
                assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED


async def test_a_start_takes_the_place_of_a_retry_that_waits_in_the_queue(folder: Path, database: Path) -> None:
    broken = True

    def fault(texts: Sequence[str]) -> None:
        if broken:
            raise ComponentUnavailable("the key was refused")

    embedder = CountingEmbedder(fault)
    async with PhaseFlow(database, embedder=embedder, slots=1) as flow:
        failed = await flow.start("kb", folder)
        with fail_soon(10):
            assert (await failed.wait()).status is JobStatus.FAILED
        broken = False
        embedder.close()
        other = await flow.start("other", folder)
        await embedder.until_called()
        await flow.retry("kb")
        new = await flow.start("kb")
        embedder.gate.set()
        with fail_soon(10):
            assert (await other.wait()).status is JobStatus.COMPLETED
            assert (await new.wait()).status is JobStatus.COMPLETED
        assert (await failed.status()).status is JobStatus.FAILED
        assert (await failed.status()).waiting_on is None


async def test_what_is_committed_after_a_phase_was_given_up_disturbs_nobody(database: Path) -> None:
    async with open_session(database) as opened:
        handover = Handoff(opened, Attempt("job", 1, "kb", 1), DocumentState.LOADED)
        handover.sender.close(complete=False)
        handover.sender.offer([StagedDocument(1, "a", "a", "text/plain", "a")])
        handover.receiver.close()


async def test_documents_that_a_retry_gives_back_are_not_passed_by(folder: Path, database: Path) -> None:
    """Those behind them have gone further already: a cursor that has seen those must not miss these."""
    bad = True

    def fault(texts: Sequence[str]) -> None:
        if bad and any("word0x" in text for text in texts):
            raise DocumentError("cannot embed this")
        if bad and any("word9x" in text for text in texts):
            raise ComponentUnavailable("the key was refused")

    embedder = CountingEmbedder(fault)
    embedder.in_flight, embedder.batch_size = 1, 3
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder, hold=["indexing"])
        with fail_soon(10):
            assert (await job.wait()).status is JobStatus.FAILED
        bad = False
        embedder.close()
        await flow.retry("kb")
        await embedder.until_called()
        await until_quiet_writer(flow)  # indexing has looked, and found those behind
        embedder.gate.set()
        await flow.resume("kb")
        with fail_soon(10):
            final = await job.wait()
        assert final.status is JobStatus.COMPLETED
        assert (await flow.kb("kb")).documents == 12
        assert final.phase_details[3].items_processed == final.metrics.chunks_created


class HalfWay:
    """A chunker that cuts no more from some document on, until it may."""

    fingerprint = "half way"

    def __init__(self) -> None:
        self.may = threading.Event()

    def spans(self, text: str, media_type: str) -> list[tuple[int, int]]:
        if "word6x" in text:
            assert self.may.wait(120)
        return [(0, len(text))]


async def test_documents_that_a_retry_gives_back_pass_none_that_is_not_cut_yet(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their turn is behind those that have gone further, and yet before those that have not come as far."""
    bad, has_failed, plain = True, anyio.Event(), Draining.until_drained

    async def until_drained(self: Draining) -> None:
        has_failed.set()
        await plain(self)

    def fault(texts: Sequence[str]) -> None:
        if any("word0x" in text for text in texts):
            if bad:
                raise DocumentError("cannot embed this")
            chunker.may.set()
        if bad and any("word3x" in text for text in texts):
            raise ComponentUnavailable("the key was refused")

    monkeypatch.setattr(loading, "STORE_CHARACTERS", 2500)  # one document, so that each is cut and stored alone
    monkeypatch.setattr(draining, "NEIGHBOURS_S", NEVER_S)
    monkeypatch.setattr(Draining, "until_drained", until_drained)
    embedder, chunker = CountingEmbedder(fault), HalfWay()
    embedder.in_flight, embedder.batch_size = 1, 1
    async with PhaseFlow(database, embedder=embedder, chunker=chunker) as flow:
        job = await flow.start("kb", folder)
        with fail_soon(10):
            await has_failed.wait()
            chunker.may.set()  # what it has in hand is stored no more
            assert (await job.wait()).status is JobStatus.FAILED
        bad = False
        chunker.may.clear()
        await flow.retry("kb")
        with fail_soon(10):
            final = await job.wait()
        assert final.status is JobStatus.COMPLETED
        assert (await flow.kb("kb")).documents == 12
        assert final.phase_details[3].items_processed == final.metrics.chunks_created == 12


async def test_a_job_that_cannot_even_begin_fails_by_legal_moves(folder: Path, database: Path) -> None:
    """Its first phase is held, so that the queued resume of another one starts nothing."""

    def no_loader(_: object) -> Loader:
        raise ComponentUnavailable("there is nothing to load with")

    async with PhaseFlow(database, slots=0) as flow:
        await flow.start("kb", folder)
        await flow.pause("kb")
        await flow.resume("kb", "chunking")
    async with PhaseFlow(database, loader=no_loader) as flow:
        with fail_soon(10):
            failed = await (await flow.job("kb")).wait()
        assert failed.error == "there is nothing to load with"
        await flow.retry("kb")
        with fail_soon(10):
            await until(lambda: flow.tracker.feed.last_seq > 6)
    assert outcome.violations(database) == []


async def test_a_pause_does_not_wait_until_the_traces_of_an_older_job_are_cleared(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "DISCARD", 1)
    with Turnstile.at_commit() as turnstile:
        async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
            await flow.start("kb", folder, hold=["embedding"])
            await until_settled(flow)
            await flow.cancel("kb")
            turnstile.close("Clearing.")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.start, "kb")
                await turnstile.arrival()  # the first of the traces
                await queued(tasks, flow, flow.pause, "kb")
                turnstile.open()
            await until_paused(flow)
            assert select(database, f"SELECT count(*) > 6 FROM documents WHERE NOT {IS_GONE}") == [(1,)]
            await flow.resume("kb")
            with fail_soon(10):
                assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED
                await (await flow.start("kb")).wait()  # a run that was resumed before its end leaves them to the next
            await until_removed(flow._engine.hub.database)
    assert outcome.leftovers(database) == 0


async def until_settled(flow: PhaseFlow) -> None:
    """Until the job is over or paused, and waits for nobody but its user."""
    with fail_soon(10):
        while True:
            async for status in (await flow.job("kb")).watch():
                if status.is_idle and status.status in {JobStatus.PAUSED, JobStatus.COMPLETED}:
                    return


async def until_quiet_writer(flow: PhaseFlow) -> None:
    """Until every request made so far has been carried out."""

    def nothing(_: object) -> None:
        return None

    for _ in range(5):
        await flow._engine.hub.database.write(nothing)
        await anyio.sleep(0.02)  # what follows from an answer asks again


def documents_in(database: Path, flow: PhaseFlow) -> int:
    """Documents whose vectors are committed."""
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute("SELECT count(*) FROM documents WHERE state >= 3").fetchone()[0])
    finally:
        connection.close()


async def test_answers_on_their_way_when_embedding_fails_are_stored(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "NEIGHBOURS_S", NEVER_S)  # a busy machine may take longer than a job waits for them
    broken = True

    def fault(texts: Sequence[str]) -> None:
        if broken and embedder.calls > 1 and any("word5x" in text for text in texts):
            raise ComponentUnavailable("the key was refused")

    class SlowAtFirst(CountingEmbedder):
        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if self.calls == 0:
                self.calls += 1
                self.paid.update(texts)
                await second.wait()
                await anyio.sleep(0.05)
                return [vector_of(text) for text in texts]
            second.set()
            return await super().embed_documents(texts)

    second = anyio.Event()
    embedder = SlowAtFirst(fault)
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        with fail_soon(10):
            assert (await job.wait()).status is JobStatus.FAILED
        broken = False
        await flow.retry("kb")
        await until_settled(flow)
    assert max(embedder.paid.values()) == 1
