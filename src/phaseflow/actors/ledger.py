"""The embedding actor's book of documents: which chunks still need a vector, and which documents can be handed over."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phaseflow.store.documents import StagedDocument


@dataclass(frozen=True, slots=True)
class Item:
    """One chunk that needs a vector."""

    document_id: int
    chunk_id: int
    text_hash: bytes
    text: str


@dataclass(slots=True)
class _Account:
    document: StagedDocument
    open: set[int]


class Ledger:
    """Documents in the order of their ids, until they are handed over. They leave in that order, whatever the order in
    which their chunks are done, so that the next phase's cursor misses none."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[int, _Account] = OrderedDict()
        self._waiting: dict[bytes, list[Item]] = {}

    def add(self, document: StagedDocument) -> list[Item]:
        """Open an account; the chunks that need a vector."""
        items = [
            Item(document.id, document.chunk_id(n), document.hashes[n], text)
            for n, text in enumerate(document.passages())
            if not document.embedded[n]
        ]
        self._accounts[document.id] = _Account(document, {item.chunk_id for item in items})
        return items

    def still_open(self, items: Iterable[Item]) -> list[Item]:
        """Those of these chunks whose document has not failed meanwhile, and that are not done."""
        return [
            item
            for item in items
            if (account := self._accounts.get(item.document_id)) is not None and item.chunk_id in account.open
        ]

    def wait(self, item: Item) -> bool:
        """Let a chunk wait for the vector of its text; True when it is the first to want it."""
        waiting = self._waiting.setdefault(item.text_hash, [])
        waiting.append(item)
        return len(waiting) == 1

    def still_wanted(self, items: Iterable[Item]) -> list[Item]:
        """Those of these chunks (each the first of its text) whose text some chunk still waits for."""
        wanted = []
        for item in items:
            if self.still_open(self._waiting.get(item.text_hash, ())):
                wanted.append(item)
            else:
                self._waiting.pop(item.text_hash, None)
        return wanted

    def take(self, text_hashes: Iterable[bytes]) -> list[Item]:
        """The chunks that wait for these texts, which thereby wait no more."""
        return [item for text_hash in text_hashes for item in self.still_open(self._waiting.pop(text_hash, ()))]

    def is_open(self, document_id: int) -> bool:
        """Neither handed over nor failed."""
        return document_id in self._accounts

    def document(self, document_id: int) -> StagedDocument:
        """An open document."""
        return self._accounts[document_id].document

    def open_chunks(self, document_id: int) -> int:
        """How many chunks of a document need a vector."""
        return len(self._accounts[document_id].open)

    def settle(self, items: Iterable[Item]) -> None:
        """These chunks are done and stored."""
        for item in self.still_open(items):
            self._accounts[item.document_id].open.discard(item.chunk_id)

    def fail(self, document_id: int) -> None:
        """This document will not be handed over."""
        del self._accounts[document_id]

    def ready(self, done: Iterable[Item] = (), failed: Iterable[int] = ()) -> Sequence[StagedDocument]:
        """The documents that can be handed over once ``done`` and ``failed`` are stored: none before them is open."""
        settled, lost = {item.chunk_id for item in done}, set(failed)
        found = []
        for document_id, account in self._accounts.items():
            if document_id in lost:
                continue
            if account.open - settled:
                break
            found.append(account.document)
        return found

    def close(self, handed_over: Sequence[StagedDocument]) -> None:
        """These documents were handed over."""
        for document in handed_over:
            del self._accounts[document.id]
