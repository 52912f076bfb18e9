"""Documents whose chunks are being embedded: which chunks still need a vector, and which documents can be released."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from phaseflow.store.documents import StagedDocument
from phaseflow.store.pieces import piece_number


class Chunk(NamedTuple):
    """One chunk that needs a vector. A tuple, which is made in a third of the time of a dataclass."""

    document_id: int
    chunk_id: int
    text_hash: bytes
    document: StagedDocument

    @property
    def text(self) -> str:
        """The text that is embedded. Made anew each time: most chunks find their vector and are never asked for it."""
        return self.document.embedded_text(piece_number(self.chunk_id))

    @classmethod
    def open_of(cls, document: StagedDocument) -> "list[Chunk]":
        """The chunks of a document that need a vector. Of thousands it takes long: made in a thread."""
        chunks = zip(document.hashes, document.embedded, strict=True)
        return [
            cls(document.id, chunk_id, text_hash, document)
            for chunk_id, (text_hash, is_embedded) in enumerate(chunks, document.chunk_id(0))
            if not is_embedded
        ]


@dataclass(slots=True)
class _Pending:
    document: StagedDocument
    open: set[int]


class PendingDocuments:
    """Documents in the order of their ids, until they are handed over. They leave in that order, whatever the order in
    which their chunks are done, so that the next phase's cursor misses none."""

    def __init__(self) -> None:
        self._pending: OrderedDict[int, _Pending] = OrderedDict()
        self._open: set[int] = set()  # chunks of all of them: asked for each chunk several times
        self._waiting: dict[bytes, list[Chunk]] = {}
        self._outcomes: dict[int, str | None] = {}
        self._undecided: deque[int] = deque()

    def add(self, document: StagedDocument, chunks: list[Chunk] | None = None) -> list[Chunk]:
        """Take a document in; its chunks that need a vector, ``Chunk.open_of`` where they are not given."""
        chunks = Chunk.open_of(document) if chunks is None else chunks
        self._undecided.append(document.id)
        pending = _Pending(document, {chunk.chunk_id for chunk in chunks})
        self._pending[document.id] = pending
        self._open |= pending.open
        return chunks

    def still_open(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Those of these chunks whose document has not failed meanwhile, and that are not done."""
        still = self._open
        return [chunk for chunk in chunks if chunk.chunk_id in still]

    def wait(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Let chunks wait for the vectors of their texts; those that are the first to want theirs."""
        first = []
        for chunk in chunks:
            waiting = self._waiting.setdefault(chunk.text_hash, [])
            waiting.append(chunk)
            if len(waiting) == 1:
                first.append(chunk)
        return first

    def still_wanted(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Those of these chunks (each the first of its text) whose text some chunk still waits for."""
        chunks = list(chunks)
        texts = [chunk.text_hash for chunk in chunks]
        waited_for = self.waited_for(texts)
        for text_hash in waited_for.symmetric_difference(texts):
            self._waiting.pop(text_hash, None)
        return [chunk for chunk in chunks if chunk.text_hash in waited_for]

    def waited_for(self, text_hashes: Iterable[bytes]) -> set[bytes]:
        """Those of these texts for whose vector any chunk waits."""
        still, found = self._open, set()
        for text_hash in text_hashes:
            waiting = self._waiting.get(text_hash)
            # The first one mostly: this is asked four times of each text.
            if waiting and (waiting[0].chunk_id in still or any(chunk.chunk_id in still for chunk in waiting)):
                found.add(text_hash)
        return found

    def take(self, text_hashes: Iterable[bytes]) -> list[Chunk]:
        """The chunks that wait for these texts, which thereby wait no more."""
        taken = [chunk for text_hash in text_hashes for chunk in self._waiting.pop(text_hash, ())]
        return self.still_open(taken)

    def is_open(self, document_id: int) -> bool:
        """Neither handed over nor failed."""
        return document_id in self._pending

    def document(self, document_id: int) -> StagedDocument:
        """An open document."""
        return self._pending[document_id].document

    def open_chunks(self, document_id: int) -> int:
        """How many chunks of a document need a vector."""
        return len(self._pending[document_id].open)

    def settle(self, chunks: Sequence[Chunk]) -> None:
        """These chunks are done and stored."""
        # By document, whose chunks mostly come in a row, and not one by one: thousands come at once.
        for document_id, those in groupby(chunks, itemgetter(0)):
            if (pending := self._pending.get(document_id)) is not None:
                pending.open.difference_update(map(itemgetter(1), those))
        self._open.difference_update(map(itemgetter(1), chunks))

    def fail(self, document_id: int, error: str) -> None:
        """This document will not be handed over."""
        self._forget(document_id)
        self._outcomes[document_id] = error

    @property
    def ids(self) -> list[int]:
        """The documents that are open."""
        return list(self._pending)

    def drop(self, ids: Iterable[int]) -> bool:
        """Nobody wants these documents any more; whether any of them was open."""
        dropped = [key for key in ids if key in self._pending]
        for key in dropped:
            self._forget(key)
            self._undecided.remove(key)
        return bool(dropped)

    def _forget(self, document_id: int) -> None:
        self._open -= self._pending.pop(document_id).open

    def ready(self, done: Iterable[Chunk] = (), failed: Iterable[int] = ()) -> Sequence[StagedDocument]:
        """The documents that can be handed over once ``done`` and ``failed`` are stored: none before them is open."""
        settled = {chunk.chunk_id for chunk in done}
        lost = set(failed)
        found = []
        for document_id, pending in self._pending.items():
            if document_id in lost:
                continue
            if not pending.open <= settled:
                break
            found.append(pending.document)
        return found

    def close(self, handed_over: Sequence[StagedDocument]) -> None:
        """These documents were handed over."""
        for document in handed_over:
            self._forget(document.id)
            self._outcomes[document.id] = None

    def decided(self) -> Iterator[str | None]:
        """What became of the documents, each once and in order: an error, or None for one that was handed over.

        One that failed while those before it are open comes after them: a budget that goes by rows must not depend on
        the order in which batches that ran side by side were answered.
        """
        while self._undecided and self._undecided[0] in self._outcomes:
            yield self._outcomes.pop(self._undecided.popleft())
