"""What a component has answered is its own to use again: nothing that was taken from it changes with that."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phaseflow import PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known, MetadataValue

NAMES = [f"{number}.txt" for number in range(12)]


class OnePage:
    """Yields one list again and again, and gives all documents one mapping, one list of links and one of parts."""

    def __init__(self) -> None:
        self._page: list[Entry] = []
        self._tags: list[str] = []
        self._metadata: dict[str, MetadataValue] = {"tags": self._tags}
        self._parts: list[tuple[int, str]] = []

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        for name in NAMES:
            self._page[:] = [Entry(name)]
            yield self._page
        self._page.clear()

    async def load(self, entry: Entry, known: Known | None) -> Document:
        self._metadata["name"] = f"it is {entry.uri}"
        self._tags[:] = [entry.uri]
        self._parts[:] = [(0, f"part of {entry.uri}")]
        text, hashed = f"All about {entry.uri}.", entry.uri.encode()
        return Document(entry, text, "t", "text/plain", hashed, metadata=self._metadata, parts=self._parts)  # type: ignore[arg-type]  # as a program may give it


class OneBuffer:
    """Answers into one array, as what computes on other processors does."""

    fingerprint = "one buffer"
    batch_size = 3

    def __init__(self) -> None:
        self._rows = np.zeros((self.batch_size, len(NAMES)), np.float32)
        self._query = np.zeros(len(NAMES), np.float32)

    async def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        for row, text in zip(self._rows, texts, strict=False):
            row[:] = [f"about {name}." in text for name in NAMES]
        return self._rows[: len(texts)]

    async def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        self._query[:] = [name == text for name in NAMES]
        return self._query


async def test_answers_whose_memory_is_used_again_stay_what_they_were(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db", loader=OnePage(), embedder=OneBuffer()) as flow:
        final = await (await flow.start("kb")).wait()
        nearest = {name: (await flow.search("kb", name, mode="vectors", limit=1))[0] for name in NAMES}

    assert (final.status, final.metrics.documents_failed) == ("completed", 0)
    found = {name: (hit.uri, round(hit.score, 3), hit.metadata, hit.title) for name, hit in nearest.items()}
    assert found == {
        name: (name, 1.0, {"name": f"it is {name}", "tags": [name]}, f"t · part of {name}") for name in NAMES
    }
