"""A document that cannot be made again when an index is made anew stays searchable, as it was."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import FolderSource, JobPhase, JobStatus, PhaseFlow
from phaseflow.actors import carry_over
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.errors import PhaseflowError
from phaseflow.domain.vocabulary import DocumentStatus
from phaseflow.store import failpoints
from phaseflow.store.documents import StagedDocuments
from tests.engine.components import CountingEmbedder, write_folder
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.probes import select

UNREADABLE = b"\x7fELF\x02\x01\x01" + bytes(100)


@pytest.fixture(autouse=True)
def no_failpoints() -> Iterator[None]:
    yield
    failpoints.clear()


def other(fault: Callable[[Sequence[str]], None] | None = None) -> CountingEmbedder:
    embedder = CountingEmbedder(fault)
    embedder.fingerprint = "other"
    return embedder


def rejects(*words: str) -> Callable[[Sequence[str]], None]:
    def fault(texts: Sequence[str]) -> None:
        if any(word in text for word in words for text in texts):
            raise ValueError("a text like this cannot be embedded")

    return fault


def closing(embedder: CountingEmbedder) -> anyio.Event:
    """Keep the calls inside from when the first copies are made, which the event tells."""
    carried = anyio.Event()

    def arrive() -> None:
        embedder.close()
        carried.set()

    failpoints.install("embedding.carried", arrive)
    return carried


async def ingested(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        assert (await (await flow.start("kb", folder)).wait()).status is JobStatus.COMPLETED


async def agree(flow: PhaseFlow) -> dict[str, DocumentInfo]:
    """The documents by uri. Their statuses, the counts, and what search and the index hold, are the same."""
    documents = {each.uri: each for each in (await flow.documents("kb")).items}
    kb = await flow.kb("kb")
    counted = {status: sum(each.status == status for each in documents.values()) for status in DocumentStatus}
    assert kb.counts.model_dump() == counted
    searchable = {each.uri for each in documents.values() if each.searchable}
    hits = await flow.search("kb", "document", mode="words", limit=100)
    assert ({hit.uri for hit in hits}, kb.documents) == (searchable, len(searchable))
    return documents


async def test_one_that_cannot_be_read_stays_searchable_and_failed(database: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", 3)
    await ingested(database, folder)
    (folder / "doc001.md").write_bytes(UNREADABLE)
    async with PhaseFlow(database, embedder=other()) as flow:
        final = await (await flow.start("kb")).wait()
        assert (final.status, final.metrics.documents_failed) == (JobStatus.COMPLETED, 1)
        document = (await agree(flow))["doc001.md"]
        assert (document.status, document.searchable) == (DocumentStatus.FAILED, True)
        assert document.phase is JobPhase.LOADING
        found = await flow.search("kb", "word1x4", mode="vectors", limit=100)
        assert (found.degraded, "doc001.md" in {hit.uri for hit in found}) == (None, True)
        again = await (await flow.start("kb")).wait()
        assert (again.metrics.documents_failed, again.metrics.embeddings_computed) == (1, 0)
        write_folder(folder, 3, words=60)
        await (await flow.start("kb")).wait()
        assert (await agree(flow))["doc001.md"].status is DocumentStatus.INDEXED
    assert select(database, "SELECT count(*) FROM documents WHERE state = 4") == [(3,)]


async def test_a_source_that_is_down_is_carried_over_and_read_when_it_is_back(database: Path, tmp_path: Path) -> None:
    sizes = {"default": 40, "wiki": 50}
    two = {name: FolderSource(str(write_folder(tmp_path / name, 4, words))) for name, words in sizes.items()}
    first = CountingEmbedder()
    async with PhaseFlow(database, embedder=first) as flow:
        await (await flow.start("kb", sources=two)).wait()
    (tmp_path / "wiki").rename(tmp_path / "elsewhere")
    second = other()
    async with PhaseFlow(database, embedder=second) as flow:
        final = await (await flow.start("kb")).wait()
        assert (final.status, "'wiki'" in str(final.error)) == (JobStatus.COMPLETED, True)
        documents = await agree(flow)
        assert {each.status for each in documents.values()} == {DocumentStatus.INDEXED}
        assert (len(documents), final.metrics.documents_deleted) == (8, 0)
        assert second.paid == first.paid
        (tmp_path / "elsewhere").rename(tmp_path / "wiki")
        again = await (await flow.start("kb")).wait()
        assert (again.error, again.metrics.documents_loaded, again.metrics.embeddings_computed) == (None, 4, 0)
        assert len(await agree(flow)) == 8


class Site:
    """A page that leads to others, and can be out of order."""

    follows_links = True

    def __init__(self) -> None:
        self.is_down = False

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry("/"), Entry("/other")]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        if self.is_down and entry.uri == "/":
            raise PhaseflowError("the server does not know what to say")
        links = (Entry("/a", depth=1), Entry("/b", depth=1)) if entry.uri == "/" else ()
        text = f"Document {entry.uri}."
        return Document(entry, text, entry.uri, "text/plain", entry.uri.encode().ljust(16), links=links)


async def test_pages_that_a_page_may_have_led_to_are_carried_over(database: Path) -> None:
    site = Site()
    async with PhaseFlow(database, embedder=CountingEmbedder(), loader=site) as flow:
        await (await flow.start("kb", "https://pages.test/")).wait()
    site.is_down = True
    async with PhaseFlow(database, embedder=other(), loader=site) as flow:
        final = await (await flow.start("kb")).wait()
        documents = await agree(flow)
    assert (final.status, final.metrics.documents_failed) == (JobStatus.COMPLETED, 1)
    statuses = {uri: (each.status, each.searchable) for uri, each in documents.items()}
    indexed = (DocumentStatus.INDEXED, True)
    assert statuses == {"/": (DocumentStatus.FAILED, True), "/other": indexed, "/a": indexed, "/b": indexed}


async def test_one_whose_new_text_cannot_be_embedded_is_found_as_it_was(database: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", 3)
    await ingested(database, folder)
    (folder / "doc001.md").write_text("# Document\n\nunspeakable")
    async with PhaseFlow(database, embedder=other(rejects("unspeakable"))) as flow:
        final = await (await flow.start("kb")).wait()
        document = (await agree(flow))["doc001.md"]
        assert (final.metrics.documents_failed, document.phase) == (1, JobPhase.EMBEDDING)
        assert "doc001.md" in {hit.uri for hit in await flow.search("kb", "word1x4", mode="vectors", limit=100)}


async def test_a_passage_that_the_new_embedder_rejects_is_still_found_by_words(database: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", 3)
    await ingested(database, folder)
    async with PhaseFlow(database, embedder=other(rejects("word1x4 "))) as flow:
        final = await (await flow.start("kb")).wait()
        assert (final.status, final.metrics.documents_failed) == (JobStatus.COMPLETED, 1)
        embedding = final.phase_details[JobPhase.EMBEDDING.position]
        assert embedding.items_processed + embedding.items_failed == embedding.items_total
        document = (await agree(flow))["doc001.md"]
        assert (document.status, document.searchable) == (DocumentStatus.FAILED, True)
        assert (await flow.search("kb", "word1x4"))[0].uri == "doc001.md"


@pytest.mark.thorough
async def test_what_is_pushed_again_while_it_waits_is_not_seen_as_it_was(database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        for name in ("a.md", "b.md"):
            await flow.add("kb", [{"uri": name, "text": f"document of old, {name}"}])
        await (await flow.job("kb")).wait()
        await flow.start("kb", hold=["loading"])
        await flow.add_documents("kb", [("a.md", UNREADABLE)])
    embedder = other()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.cancel("kb")
        carried = closing(embedder)
        job = await flow.start("kb")
        with fail_soon(5):
            await carried.wait()
            await embedder.until_called()
        assert (await agree(flow))["a.md"].searchable
        await flow.delete_document("kb", "a.md")
        await flow.add("kb", [{"uri": "a.md", "text": "something new"}])
        failpoints.clear()
        embedder.gate.set()
        await job.wait()
        assert "a.md" not in {hit.uri for hit in await flow.search("kb", "old", mode="words")}


async def test_one_that_a_retry_makes_after_all_takes_the_place_of_its_copy(database: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", 3)
    await ingested(database, folder)
    (folder / "doc001.md").write_text("# Document\n\nunspeakable")
    embedder = other(rejects("unspeakable"))
    async with PhaseFlow(database, embedder=embedder) as flow:
        failpoints.install("embedding.carried", _break)
        job = await flow.start("kb")
        assert (await job.wait()).status is JobStatus.FAILED
        failpoints.clear()
        embedder.fault = None
        await flow.retry("kb")
        assert (await job.wait_until_idle()).status is JobStatus.COMPLETED
        assert (await agree(flow))["doc001.md"].status is DocumentStatus.INDEXED
        assert (await flow.search("kb", "unspeakable"))[0].uri == "doc001.md"
        assert not await flow.search("kb", "word1x4", mode="words")


async def test_what_is_gone_is_counted_once_also_by_a_run_that_goes_on_behind_the_switch(
    database: Path, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "docs", 5)
    await ingested(database, folder)
    for number in range(2):
        (folder / f"doc{number:03}.md").unlink()
    async with PhaseFlow(database, embedder=other()) as flow:
        failpoints.install("indexing.switched", _break)
        job = await flow.start("kb")
        assert (await job.wait()).status is JobStatus.FAILED
        failpoints.clear()
        await flow.retry("kb")
        final = await job.wait_until_idle()
        assert (final.status, final.metrics.documents_deleted) == (JobStatus.COMPLETED, 2)
        assert len(await agree(flow)) == 3


async def test_what_a_cancelled_job_has_left_of_it_is_not_taken_for_a_copy(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "docs", 3)
    await ingested(database, folder)
    (folder / "doc001.md").write_bytes(UNREADABLE)
    monkeypatch.setattr(StagedDocuments, "purge_older", lambda *_: 0)  # as if a verb had kept the next run from it
    embedder = other()
    async with PhaseFlow(database, embedder=embedder) as flow:
        carried = closing(embedder)
        await flow.start("kb")
        with fail_soon(5):
            await carried.wait()
            await embedder.until_called()
        await flow.cancel("kb")
        failpoints.clear()
        embedder.gate.set()
        await (await flow.start("kb")).wait()
        assert (await agree(flow))["doc001.md"].searchable


def _break() -> None:
    raise PhaseflowError("broken")


@pytest.mark.parametrize(
    ("segments", "chunks", "least"), [(1, 50, 2), (32, 50, 1), (1, 10**6, 2)], ids=["both", "passages", "text"]
)
async def test_a_large_one_is_copied_in_steps(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segments: int, chunks: int, least: int
) -> None:
    folder = write_folder(tmp_path / "docs", 2, words=8000)
    (folder / "doc000.md").write_text("A short one.")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", folder)).wait()
        before = [await flow.document_text("kb", "doc001.md"), await flow.document_chunks("kb", "doc001.md")]
    monkeypatch.setattr(carry_over, "SEGMENTS", segments)
    monkeypatch.setattr(carry_over, "CHUNKS", chunks)
    (folder / "doc001.md").write_bytes(UNREADABLE)
    steps: list[None] = []
    failpoints.install("embedding.carried_some", lambda: steps.append(None))
    async with PhaseFlow(database, embedder=other()) as flow:
        await (await flow.start("kb")).wait()
        after = [await flow.document_text("kb", "doc001.md"), await flow.document_chunks("kb", "doc001.md")]
    assert (len(steps) >= least, after) == (True, before)


@pytest.mark.parametrize(("segments", "parts"), first_of_each([(2, 3), (32, 1)]))
async def test_small_ones_are_copied_together_up_to_a_size(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segments: int, parts: int
) -> None:
    folder = write_folder(tmp_path / "docs", 4, words=10)
    await ingested(database, folder)
    monkeypatch.setattr(carry_over, "SEGMENTS", segments)
    monkeypatch.setattr(carry_over, "SEGMENT", size := 70)
    for n in (1, 2, 3):
        (folder / f"doc00{n}.md").write_bytes(UNREADABLE)
    steps: list[None] = []
    failpoints.install("embedding.carried", lambda: steps.append(None))
    async with PhaseFlow(database, embedder=other()) as flow:
        assert (await (await flow.start("kb")).wait()).metrics.documents_failed == 3
        characters = [len(await flow.document_text("kb", f"doc00{n}.md")) for n in (1, 2, 3)]
    assert [size < each < 2 * size for each in characters] == [True] * 3
    assert len(steps) == parts


async def test_a_job_that_makes_no_index_anew_copies_nothing(database: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", 2)
    await ingested(database, folder)
    before = select(database, "SELECT id, uri FROM documents WHERE state = 4 ORDER BY uri")
    (folder / "doc001.md").write_bytes(UNREADABLE)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        assert (await (await flow.start("kb")).wait()).metrics.documents_failed == 1
    assert select(database, "SELECT id, uri FROM documents WHERE state = 4 ORDER BY uri") == before
    assert select(database, "SELECT count(*) FROM documents WHERE carried_from IS NOT NULL") == [(0,)]
