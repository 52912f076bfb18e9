"""The documents by status and the counts of the job agree at every instant, also while a source is being listed."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources import FolderLoader
from tests.engine.components import CountingEmbedder, write_folder


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
    with anyio.fail_after(20):
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
