"""The documents by status and the counts of the job agree at every instant, also while a source is being listed."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio

from phaseflow import FolderSource, PhaseFlow, Policies, RetryPolicy
from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources import FolderLoader
from tests.engine.components import CountingEmbedder, write_folder
from tests.stopwatch import fail_soon


class PagingLoader:
    """Lists one document a page, each when it is told to."""

    def __init__(self, folder: Path) -> None:
        self._inner = FolderLoader(FolderSource(str(folder)))
        self.turns = anyio.Semaphore(0)

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        async for page in self._inner.list():
            for entry in page:
                await self.turns.acquire()
                yield [entry]
        await self.turns.acquire()

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged:
        return await self._inner.load(entry, known)


async def _agreed(flow: PhaseFlow, documents: int, *, asked_for: int = 0) -> None:
    """Until so many are known; what is said meanwhile agrees, but for documents that the job has yet to take."""
    with fail_soon(20):
        while True:
            hint = flow.tracker.feed.hint()
            kb = await flow.kb("kb")
            counted = sum(kb.counts.model_dump().values())
            assert kb.job is not None
            found = kb.job.metrics.documents_found
            assert 0 <= counted - found <= asked_for
            if found == documents:
                return
            with anyio.move_on_after(0.05):
                await hint.wait()


async def test_what_is_listed_is_counted_page_by_page(database: Path, tmp_path: Path) -> None:
    loader = PagingLoader(write_folder(tmp_path / "docs", 3, words=20))
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb", str(tmp_path / "docs"))
        for documents in range(1, 4):
            loader.turns.release()
            await _agreed(flow, documents)
            assert (await job.status()).phase_details[0].items_total is None
        await flow.add("kb", [{"uri": "pushed.md", "text": "A letter."}])
        await _agreed(flow, 4, asked_for=1)
        loader.turns.release()
        final = await job.wait()
        assert (final.metrics.documents_found, final.phase_details[0].items_total) == (4, 4)


class Picky:
    """Reads what is not in ``bad``."""

    def __init__(self, *bad: str) -> None:
        self.bad = set(bad)

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(uri) for uri in "abc"]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        if entry.uri in self.bad:
            raise ValueError("it cannot be read")
        return Document(entry, f"The letter {entry.uri}.", entry.uri, "text/plain", entry.uri.encode().ljust(16))


async def _failed(flow: PhaseFlow) -> int:
    """How many documents have failed, as the knowledge base and its newest job say."""
    kb = await flow.kb("kb")
    assert kb.job is not None
    assert kb.job.metrics.documents_failed == kb.counts.failed
    assert ("failed" in kb.job.message) == (kb.counts.failed > 0)
    return kb.counts.failed


async def test_a_failed_document_that_is_skipped_is_no_failure_of_the_newest_job_any_more(database: Path) -> None:
    loader = Picky("a", "b")
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
        first = await flow.start("kb")
        await first.wait()
        assert await _failed(flow) == 2
        await flow.skip_document("kb", "a")
        await flow.skip_document("kb", "a")
        assert await _failed(flow) == 1
        assert (await first.status()).phase_details[0].items_failed == 2, "what the phase has met is history"
        loader.bad.clear()
        await flow.retry_document("kb", "b")
        assert await _failed(flow) == 0
        with fail_soon(10):
            while (await flow.kb("kb")).counts.indexed < 2:  # noqa: ASYNC110  # any of several changes
                await anyio.sleep(0.02)
        assert await _failed(flow) == 0


async def test_documents_that_are_asked_for_again_are_taken_once_from_those_that_failed(database: Path) -> None:
    loader, embedder = Picky("a", "b"), CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, loader=loader, embedder=embedder) as flow:
        job = await flow.start("kb")
        await embedder.until_called()
        for _ in range(2):
            await flow.retry_document("kb", "a")
            assert (await job.status()).metrics.documents_failed == 1 == (await flow.kb("kb")).counts.failed
        await flow.skip_document("kb", "b")
        assert (await job.status()).metrics.documents_failed == 0 == (await flow.kb("kb")).counts.failed
        loader.bad.clear()
        embedder.gate.set()
        with fail_soon(10):
            while (await flow.kb("kb")).counts.indexed < 2:  # noqa: ASYNC110  # any of several changes
                await anyio.sleep(0.02)
        assert await _failed(flow) == 0


async def test_a_retry_of_the_job_takes_back_only_what_still_counts_as_failed(database: Path) -> None:
    loader = Picky("a", "b", "c")

    def refuse(texts: Sequence[str]) -> None:
        raise PermissionError("no")

    policies = Policies(retry=RetryPolicy(tries=1))
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder(refuse), policies=policies) as flow:
        loader.bad.discard("c")
        job = await flow.start("kb")
        assert (await job.wait()).status == "failed"
        failed = (await flow.kb("kb")).counts.failed
        await flow.skip_document("kb", "a")
        assert (await job.status()).metrics.documents_failed == (await flow.kb("kb")).counts.failed == failed - 1
        await flow.retry("kb")
        await job.wait()
        assert (await job.status()).metrics.documents_failed == (await flow.kb("kb")).counts.failed
