"""Components that fail as told, and say who is at work in them."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio

from phaseflow import FolderSource, RateLimited, TransientError
from phaseflow.components.protocols import Document, Entry, Known, Skipped, Unchanged
from phaseflow.components.sources import FolderLoader
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from phaseflow.store.documents import text_hash
from tests.engine.components import vector_of
from tests.proof import outcome

TROUBLES: dict[str, type[Exception]] = {
    "transient": TransientError,
    "rate limit": RateLimited,
    "document": DocumentError,
    "fatal": ComponentUnavailable,
    "crash": RuntimeError,
}


class Piece:
    """What both have: a gate that keeps calls inside, a trouble for the next calls, and who is inside."""

    def __init__(self) -> None:
        self.inside = 0
        self.trouble: str | None = None
        self._gate = anyio.Event()
        self._gate.set()

    def close(self) -> None:
        """Keep calls inside from now on."""
        if self._gate.is_set():
            self._gate = anyio.Event()

    def open(self) -> None:
        """Let them go on."""
        self._gate.set()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def _pass(self) -> None:
        await self._gate.wait()
        if self.trouble is not None:
            raise TROUBLES[self.trouble](f"told to fail: {self.trouble}")


class PieceOfEmbedder(Piece):
    """Notes every text that it is asked for although its vector is stored."""

    fingerprint = "piece"
    batch_size = 4
    in_flight = 3

    def __init__(self, database: Path) -> None:
        super().__init__()
        self.database = database
        self.paid_again: list[str] = []
        self.unwanted: set[bytes] = set()
        """Hashes of texts of documents that were taken out; …"""
        self.paid_in_vain: list[str] = []
        """… and those that were asked for all the same, while no other document had them."""

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with self._at_work():
            stored = outcome.embedded(self.database, self.fingerprint)
            self.paid_again += [text for text in texts if text_hash(text) in stored]
            unwanted = self.unwanted and self.unwanted - outcome.waited_for(self.database)
            self.paid_in_vain += [text for text in texts if text_hash(text) in unwanted]
            await self._pass()
            return [vector_of(text) for text in texts]


class PieceOfLoader(Piece):
    """The loader of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._loader = FolderLoader(FolderSource(str(folder)))

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        async for page in self._loader.list():
            yield page

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged | Skipped:
        with self._at_work():
            await self._pass()
            return await self._loader.load(entry, known)
