"""The main job, end to end, on real files."""

from collections import Counter
from functools import partial
from pathlib import Path

import anyio
import pytest

from phaseflow import FolderSource, PhaseFlow, PhaseStatus, Reader
from phaseflow.actors import loading
from phaseflow.domain.errors import InvalidRequest, JobConflict, JobNotFound, KnowledgeBaseNotFound
from phaseflow.domain.vocabulary import PHASES, JobStatus
from phaseflow.store import failpoints
from phaseflow.store.texts import SEGMENT
from phaseflow.store.transaction import Transaction
from tests.engine.components import CountingEmbedder, SpinningChunker, write_folder
from tests.stopwatch import fail_soon
from tests.store.probes import until_removed


async def ingest(flow: PhaseFlow, folder: Path, kb: str = "kb", **options):  # type: ignore[no-untyped-def]  # passed on
    job = await flow.start(kb, FolderSource(str(folder)), **options)
    with fail_soon(20):
        return await job.wait()


async def test_a_folder_becomes_searchable_through_four_completed_phases(folder: Path, database: Path) -> None:
    async with PhaseFlow(database) as flow:
        final = await ingest(flow, folder)
        hits = await flow.search("kb", "word7x3", limit=3)
    assert final.status is JobStatus.COMPLETED
    assert [detail.status for detail in final.phase_details] == [PhaseStatus.COMPLETED] * 4
    assert [detail.progress for detail in final.phase_details] == [100] * 4
    assert final.progress == 100
    assert final.metrics.documents_loaded == 12
    assert final.metrics.chunks_created == final.metrics.chunks_indexed == final.metrics.embeddings_computed > 12
    assert hits[0].uri == "doc007.md"
    assert hits[0].text == (folder / "doc007.md").read_text()[hits[0].start : hits[0].end]


async def test_a_large_text_is_stored_in_steps_and_is_whole(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "STORE_CHARACTERS", 2 * SEGMENT)
    write_folder(tmp_path / "docs", 2, words=10)
    text = "\n\n".join(f"The paragraph {n} is about word{n}of{n}." for n in range(8000))
    (tmp_path / "docs" / "doc000large.txt").write_text(text)
    steps = Counter[str]()
    failpoints.install("loading.stored_some", lambda: steps.update(["some"]))
    try:
        async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
            final = await ingest(flow, tmp_path / "docs")
            (hit,) = await flow.search("kb", "word7999of7999", limit=1, mode="words")
            assert await flow.document_text("kb", "doc000large.txt") == text
    finally:
        failpoints.clear()
    assert steps["some"] == -(-len(text) // (2 * SEGMENT)) > 2
    assert (final.metrics.documents_loaded, final.metrics.documents_failed) == (3, 0)
    assert hit.text == text[hit.start : hit.end]


async def test_watching_ends_with_the_final_status_and_never_goes_back(folder: Path, database: Path) -> None:
    async with PhaseFlow(database) as flow:
        job = await flow.start("kb", folder)
        seen = [status async for status in job.watch()]
    assert seen[-1].status is JobStatus.COMPLETED
    for phase in range(4):
        progress = [status.phase_details[phase].progress for status in seen]
        assert progress == sorted(progress)


async def test_an_unchanged_folder_costs_no_read_no_chunk_and_no_embedding(folder: Path, database: Path) -> None:
    _age(folder)
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await ingest(flow, folder)
        paid = embedder.calls
        final = await ingest(flow, folder)
    assert embedder.calls == paid
    assert final.metrics.documents_unchanged == 12
    assert final.metrics.documents_loaded == final.metrics.chunks_created == 0
    assert final.phase_details[0].items_reused == 12


async def test_full_reads_every_document_and_still_pays_nothing_twice(folder: Path, database: Path) -> None:
    _age(folder)
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await ingest(flow, folder)
        final = await ingest(flow, folder, full=True)
    assert final.metrics.documents_unchanged == 12
    assert max(embedder.paid.values()) == 1


async def test_changed_deleted_and_renamed_documents_are_told_apart(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await ingest(flow, folder)
        (folder / "doc000.md").write_text("# New\n\nentirely other words\n")
        (folder / "doc001.md").unlink()
        (folder / "doc002.md").rename(folder / "moved.md")
        final = await ingest(flow, folder)
        kb = await flow.kb("kb")
        by_name = {hit.uri for hit in await flow.search("kb", "word2x5", limit=3)}
        gone = {hit.uri for hit in await flow.search("kb", "word1x5 word1x6", limit=20)}
        old = [hit for hit in await flow.search("kb", "word0x5", limit=20) if hit.uri == "doc000.md"]
    assert (final.metrics.documents_loaded, final.metrics.documents_deleted) == (2, 2)
    assert kb.documents == 11
    assert "moved.md" in by_name
    assert "doc001.md" not in gone
    assert all("word0x5" not in hit.text for hit in old)
    assert max(embedder.paid.values()) == 1


async def test_an_empty_document_is_no_failure_and_no_chunk(tmp_path: Path, database: Path) -> None:
    folder = write_folder(tmp_path / "docs", 1)
    (folder / "empty.txt").write_text("")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        final = await ingest(flow, folder)
        kb = await flow.kb("kb")
    assert final.status is JobStatus.COMPLETED
    assert final.metrics.documents_failed == 0
    assert kb.documents == 2


async def test_an_empty_folder_completes_with_nothing(tmp_path: Path, database: Path) -> None:
    (tmp_path / "docs").mkdir()
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        final = await ingest(flow, tmp_path / "docs")
    assert final.status is JobStatus.COMPLETED
    assert [detail.items_total for detail in final.phase_details] == [0, 0, 0, 0]


async def test_search_goes_on_with_the_old_vectors_until_another_embedder_has_done_all(
    folder: Path, database: Path
) -> None:
    old, new = CountingEmbedder(), CountingEmbedder()
    new.fingerprint = "another"
    async with PhaseFlow(database, embedder=old) as flow:
        await ingest(flow, folder)
    new.close()
    async with PhaseFlow(database, embedder=new) as flow:
        job = await flow.start("kb", folder)
        with fail_soon(10):
            await new.until_called()
        during = await flow.search("kb", "word7x3", limit=3)
        documents_during = (await flow.kb("kb")).documents
        new.gate.set()
        with fail_soon(20):
            final = await job.wait()
        after = await flow.search("kb", "word7x3", limit=3)
        kb = await flow.kb("kb")
    assert during[0].uri == after[0].uri == "doc007.md"
    assert documents_during == kb.documents == 12
    assert final.metrics.embeddings_computed == final.metrics.chunks_created


async def test_jobs_wait_their_turn_for_a_slot(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder, slots=1) as flow:
        first = await flow.start("one", folder)
        second = await flow.start("two", folder)
        with fail_soon(10):
            await embedder.until_called()
        waiting = await second.status()
        embedder.gate.set()
        with fail_soon(20):
            ends = [(await job.wait()).completed_at for job in (first, second)]
        log = [t async for t in _all(flow)]
    assert (waiting.status, waiting.waiting_on) == (JobStatus.PENDING, "queue")
    assert ends[0] is not None
    began = next(t.seq for t in log if t.kb_id == "two")
    ended = next(t.seq for t in log if t.kb_id == "one" and t.phase is None and t.to_status == "completed")
    assert began > ended


async def test_a_second_start_is_a_conflict_that_names_what_is_allowed(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder)
        await embedder.until_called()
        with pytest.raises(JobConflict) as conflict:
            await flow.start("kb", folder)
        await flow.cancel("kb")
    assert conflict.value.status == "running"
    assert conflict.value.allowed_actions == ["pause", "cancel"]


async def test_bad_input_is_refused_with_the_field(tmp_path: Path, database: Path) -> None:
    async with PhaseFlow(database) as flow:
        with pytest.raises(KnowledgeBaseNotFound):
            await flow.start("kb")
        with pytest.raises(KnowledgeBaseNotFound):
            await flow.status("kb")
        with pytest.raises(InvalidRequest, match=r"source\.path"):
            await flow.start("kb", tmp_path / "nowhere")
        with pytest.raises(InvalidRequest, match="kb_id"):
            await flow.start("Not A Name", tmp_path)
        with pytest.raises(InvalidRequest, match="settings"):
            await flow.start("kb", tmp_path, settings={"chunk_size": 10, "chunk_overlap": 10})
        await flow.put_kb("kb", tmp_path)
        with pytest.raises(JobNotFound):
            await flow.status("kb")
        with pytest.raises(JobNotFound):
            await flow.pause("kb")


async def test_a_reader_works_beside_the_engine_and_after_it(folder: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        final = await ingest(flow, folder)
        async with Reader(database) as reader:
            assert await reader.status("kb") == final
    async with Reader(database) as reader:
        assert (await reader.status("kb")).metrics == final.metrics
        assert len(await reader.search("kb", "word3x4")) > 0
        assert [job.job_id for job in (await reader.jobs("kb")).items] == [final.job_id]


async def test_a_deleted_knowledge_base_leaves_no_row(folder: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await ingest(flow, folder)
        await flow.delete_kb("kb")
        with pytest.raises(KnowledgeBaseNotFound):
            await flow.kb("kb")
        await until_removed(flow._engine.hub.database)
        for table in ("documents", "texts", "chunks", "ingestion_jobs", "ingestion_phase_status", "transitions"):
            count = partial(Transaction.value, sql=f"SELECT count(*) FROM {table}")
            assert await flow._engine.hub.database.read(count) == 0, table


async def test_a_splitter_and_embeddings_of_langchain_shape_are_taken_as_they_are(folder: Path, database: Path) -> None:
    class Splitter:
        def split_text(self, text: str) -> list[str]:
            return [part for part in text.split("\n\n") if part.strip()]

    class Embeddings:
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0, float(len(text))] for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return [1.0, float(len(text))]

    async with PhaseFlow(database, chunker=Splitter(), embedder=Embeddings()) as flow:
        final = await ingest(flow, folder)
        hits = await flow.search("kb", "word5x1")
    assert final.metrics.chunks_indexed == 24
    assert hits[0].text in (folder / hits[0].uri).read_text()


async def test_a_chunker_that_spins_does_not_hold_up_a_cancel(folder: Path, database: Path) -> None:
    chunker = SpinningChunker()
    async with PhaseFlow(database, chunker=chunker, embedder=CountingEmbedder()) as flow:
        await flow.start("kb", folder)
        with fail_soon(10):
            await anyio.to_thread.run_sync(chunker.entered.wait)
        with fail_soon(1):
            cancelled = await flow.cancel("kb")
        chunker.release.set()
    assert cancelled.status is JobStatus.CANCELLED
    assert cancelled.phase_details[1].error == "Cancelled by user"


async def test_the_transition_log_tells_each_phase_once_and_the_job(folder: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        final = await ingest(flow, folder)
        log = (await flow.transitions_of(final.job_id)).items
    for phase in (*PHASES, None):
        moves = [(t.from_status, t.to_status) for t in log if t.phase == phase]
        begin = "pending" if phase is None else "not_started"
        assert moves == [(begin, "running"), ("running", "completed")]
    assert [t.seq for t in log] == sorted(t.seq for t in log)


async def _all(flow: PhaseFlow):  # type: ignore[no-untyped-def]  # an async generator
    for transition in await flow.tracker.feed.since(0):
        yield transition


def _age(folder: Path) -> None:
    """Make files old enough for their size and mtime to be trusted."""
    import os

    for path in folder.iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))
