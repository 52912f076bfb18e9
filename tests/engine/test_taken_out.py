"""Documents that are skipped or deleted while a job has them in hand: no phase goes on, and nothing more is paid."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import DocumentStatus, JobStatus, PhaseFlow, UploadSource
from phaseflow.actors import embedding_calls
from phaseflow.actors.release import OrderedRelease
from phaseflow.domain.status import JobStatusResponse, KnowledgeBase
from phaseflow.domain.vocabulary import JobPhase
from tests.engine.components import CountingEmbedder, SpinningChunker
from tests.proof.turnstile import queued
from tests.stopwatch import fail_soon
from tests.store.probes import select, until_removed

COUNT, WORDS = 6, 200
PASSAGES = 4
"""Of each document."""
SETTINGS = {"chunk_size": 500}


class Embedder(CountingEmbedder):
    """Asks for a passage or two at once, and keeps the texts in the order in which they are asked for."""

    batch_size = 2
    in_flight = 1

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked += texts
        return await super().embed_documents(texts)

    def asked_of(self, *names: str) -> int:
        return sum(any(f"{name}x" in text for name in names) for text in self.asked)


@pytest.fixture
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture
async def flow(database: Path, embedder: Embedder) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(database, embedder=embedder) as flow:
        yield flow


def pushed(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"uri": name, "text": " ".join(f"{name}x{word:03}" for word in range(WORDS))} for name in names]


NAMES = [f"d{number}" for number in range(COUNT)]


async def begun(flow: PhaseFlow, hold: Sequence[JobPhase] = ()) -> None:
    await flow.start("kb", UploadSource(), settings=SETTINGS, hold=[JobPhase.LOADING, *hold])
    await flow.add("kb", pushed(NAMES))
    await flow.resume("kb", JobPhase.LOADING)


async def until(flow: PhaseFlow, condition: Callable[[KnowledgeBase], bool]) -> None:
    with fail_soon(20):
        while True:
            hint = flow.tracker.feed.hint()
            if condition(await flow.kb("kb")):
                return
            with anyio.move_on_after(0.1):
                await hint.wait()


async def until_cut(flow: PhaseFlow) -> None:
    await until(flow, lambda kb: kb.job is not None and kb.job.phase_details[1].items_processed == COUNT)


async def paused(flow: PhaseFlow) -> JobStatusResponse:
    with fail_soon(20):
        async for status in (await flow.job("kb")).watch():
            if status.status is JobStatus.PAUSED:
                return status
    raise AssertionError


async def finished(flow: PhaseFlow) -> JobStatusResponse:
    with fail_soon(20):
        return await (await flow.job("kb")).wait()


def agrees(status: JobStatusResponse, documents: int) -> None:
    """The job has indexed what is there, and each phase has done all that it had to."""
    assert status.status is JobStatus.COMPLETED, status.error
    assert status.metrics.chunks_indexed == documents * PASSAGES
    assert all(p.items_processed + p.items_failed == p.items_total for p in status.phase_details)


@pytest.mark.parametrize("verb", ["skip", "delete"])
async def test_what_is_taken_out_while_it_is_embedded_is_not_paid_for(
    flow: PhaseFlow, embedder: Embedder, database: Path, verb: str
) -> None:
    embedder.close()
    await begun(flow)
    await embedder.until_called()
    await until_cut(flow)
    take_out = flow.skip_document if verb == "skip" else flow.delete_document
    in_hand, waiting = NAMES[0], NAMES[4]
    for name in (in_hand, waiting):
        await take_out("kb", name)
    # At once: what is taken out is gone, also from what the job has to do.
    assert select(database, "SELECT count(*) FROM documents WHERE state < 4") == [(COUNT - 2,)]
    status = await flow.status("kb")
    assert status.metrics.chunks_created == (COUNT - 2) * PASSAGES
    asked = len(embedder.asked)
    embedder.gate.set()
    agrees(await finished(flow), COUNT - 2)
    assert not any(f"{name}x" in text for text in embedder.asked[asked:] for name in (in_hand, waiting))
    kb = await flow.kb("kb")
    assert (kb.chunks, kb.documents) == ((COUNT - 2) * PASSAGES, COUNT - 2)
    assert kb.counts.skipped == (2 if verb == "skip" else 0)
    await until_removed(flow._engine.hub.database)
    assert select(database, "SELECT count(*) FROM documents") == [(COUNT - 2,)]
    assert select(database, "SELECT count(*) FROM chunks WHERE id >> 20 NOT IN (SELECT id FROM documents)") == [(0,)]


class Everything(OrderedDict[bytes, None]):
    """As if every text had been answered before, so that each is looked up once more before the call."""

    def __contains__(self, _: object) -> bool:
        return True


async def test_what_is_taken_out_during_the_last_look_before_a_call_is_not_paid_for(
    flow: PhaseFlow, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, skipped = OrderedRelease.known, list[str]()

    async def known_and_skipped(release: OrderedRelease, hashes: Sequence[bytes]) -> set[bytes]:
        found = await known(release, hashes)
        if embedder.asked and len(hashes) <= embedder.batch_size and not skipped:
            skipped.append(NAMES[0])
            await flow.skip_document("kb", NAMES[0])
        return found

    monkeypatch.setattr(embedding_calls, "OrderedDict", Everything)
    monkeypatch.setattr(OrderedRelease, "known", known_and_skipped)
    embedder.close()
    await begun(flow)
    await embedder.until_called()
    await until_cut(flow)
    embedder.gate.set()
    agrees(await finished(flow), COUNT - 1)
    assert skipped
    assert embedder.asked_of(NAMES[0]) == embedder.batch_size


@pytest.mark.parametrize("verb", ["skip", "delete"])
async def test_what_is_taken_out_of_a_paused_job_goes_when_it_goes_on(
    flow: PhaseFlow, embedder: Embedder, database: Path, verb: str
) -> None:
    await begun(flow, hold=[JobPhase.EMBEDDING])
    await until_cut(flow)
    await paused(flow)
    rows = "SELECT * FROM ingestion_phase_status ORDER BY id", "SELECT * FROM documents ORDER BY id"
    before = [select(database, sql) for sql in rows]
    key = (await flow.document("kb", "d1")).id
    if verb == "skip":
        await flow.skip_document("kb", "d1")
        found = await flow.document("kb", key)
        assert (found.status, found.chunks) == (DocumentStatus.SKIPPED, 0)
        assert (await flow.document_chunks("kb", key)).items == []
    else:
        await flow.delete_document("kb", "d1")
    assert (await flow.kb("kb")).counts.processing == COUNT - 1
    assert [select(database, sql) for sql in rows] == before  # a paused job is quiet
    await flow.resume("kb")
    agrees(await finished(flow), COUNT - 1)
    assert embedder.asked_of("d1") == 0
    assert (await flow.kb("kb")).chunks == (COUNT - 1) * PASSAGES


async def test_what_is_taken_out_while_a_batch_is_paused_in_hand_is_not_asked_for(
    flow: PhaseFlow, embedder: Embedder
) -> None:
    """The run goes on with what it has in memory."""
    embedder.close()
    await begun(flow)
    await embedder.until_called()
    await until_cut(flow)
    async with anyio.create_task_group() as tasks:
        await queued(tasks, flow, flow.pause, "kb")
        embedder.gate.set()
    await paused(flow)
    asked = len(embedder.asked)
    await flow.delete_document("kb", "d3")
    await flow.resume("kb")
    agrees(await finished(flow), COUNT - 1)
    assert not any("d3x" in text for text in embedder.asked[asked:])


async def test_what_was_taken_out_of_a_job_that_waits_for_the_next_engine_is_gone_there(
    database: Path, embedder: Embedder
) -> None:
    async with PhaseFlow(database, embedder=embedder) as flow:
        await begun(flow, hold=[JobPhase.EMBEDDING])
        await until_cut(flow)
        await paused(flow)
        await flow.skip_document("kb", "d2")
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.resume("kb")
        agrees(await finished(flow), COUNT - 1)
    assert embedder.asked_of("d2") == 0


async def test_what_is_taken_out_while_it_is_cut_is_not_stored(database: Path, embedder: Embedder) -> None:
    chunker = SpinningChunker()
    async with PhaseFlow(database, embedder=embedder, chunker=chunker) as flow:
        await flow.add("kb", pushed(NAMES[:2]))
        await anyio.to_thread.run_sync(chunker.entered.wait, 60)
        await flow.delete_document("kb", "d0")
        chunker.release.set()
        status = await finished(flow)
        assert status.metrics.chunks_indexed == 1
        assert all(p.items_processed + p.items_failed == p.items_total for p in status.phase_details)
        await until_removed(flow._engine.hub.database)
    assert embedder.asked_of("d0") == 0
    assert select(database, "SELECT count(*) FROM chunks") == [(1,)]


async def test_a_document_that_is_wanted_again_is_loaded_again(flow: PhaseFlow, embedder: Embedder) -> None:
    embedder.close()
    await begun(flow)
    await embedder.until_called()
    await until_cut(flow)
    await flow.skip_document("kb", "d5")
    await flow.retry_document("kb", "d5")
    embedder.gate.set()
    agrees(await finished(flow), COUNT - 1)
    await until(flow, lambda kb: kb.counts.indexed == COUNT)
    assert embedder.asked_of("d5") == PASSAGES
