"""Comparing what an index outside the database has of a space with what the database says, and putting that right.

A count cannot tell what an index lacks that the keeper has yet to compare: where the database is an older copy, it may
have as many passages that are gone here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from typing import Final, Protocol, TypeVar

from phaseflow.components.indexes import CountingIndex, Index, IndexDocument, Space
from phaseflow.components.indexes.answers import as_count, as_passages
from phaseflow.components.indexes.losses import Comparison
from phaseflow.components.indexes.registry import bounded
from phaseflow.components.stored_vectors import read_all
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from phaseflow.domain.exception_text import text_of
from phaseflow.store import failpoints, index_spaces
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.database import Database
from phaseflow.store.documents import StagedDocuments
from phaseflow.store.failures import NO_JOB, FailedDocument
from phaseflow.store.index_spaces import SpaceContents
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.patient_reads import PatientReads
from phaseflow.store.states import DocumentState
from phaseflow.store.texts import Texts
from phaseflow.store.transaction import Transaction

CALL_S: Final = 10.0
"""What one call may take, seconds."""
PAGE: Final = 1000
"""Documents compared in one step, and …"""
_PART: Final = 256
"""… passages of one put in one call, when they are missing, …"""
TOGETHER: Final = 512
"""… and of several short ones: a call for each would take several times as long."""

T = TypeVar("T")


RefusedDocument = tuple[int, FailedDocument]


class Reads(Protocol):
    """Whatever can read the database."""

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What ``work`` returns, on one snapshot."""
        ...


async def has_lost(database: Reads, index: CountingIndex, space: index_spaces.Space) -> bool | None:
    """Whether an index has fewer passages of a space than search should see. None when a count cannot tell: it may have
    others, which hide what is lost, or that changed meanwhile. Raises what the index raises."""
    before = await database.read(lambda tx: SpaceContents(tx, space).expected())
    if before is None or not before.passages:
        return False
    count = as_count(await bounded(index.count(Space(space.name, space.dimension or 0)), CALL_S))
    if before != await database.read(lambda tx: SpaceContents(tx, space).expected()):
        return None
    if before.passages <= count < before.passages + before.surplus:
        return None
    return count < before.passages


async def _passages_there(index: Index, at: Space, after: int, limit: int) -> list[tuple[int, int]]:
    """The first documents above ``after`` that an index has, with the number of their passages where it can tell.
    Raises what the index raises."""
    call = index.passages if isinstance(index, CountingIndex) else index.document_ids
    return as_passages(await bounded(call(at, after, limit), CALL_S), after, limit)


class IndexAudit:
    """Brings an index in line with the database: puts what it lacks of a space, and removes what has no business there.

    ``turn`` is entered for each step, and ``spend`` is called for each document that was missing, with what the index
    says if it does not take it; both may raise. ``lacking`` is called when documents are found missing.
    """

    def __init__(
        self,
        database: Database | PatientReads,
        index: Index,
        space: index_spaces.Space,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        spend: Callable[[str | None], None] = lambda error: None,
        lacking: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._index = index
        self._space = space
        self._at = Space(space.name, space.dimension or 0)
        self._turn = turn
        self._lacking = lacking
        self._spend = spend
        self.refused: list[RefusedDocument] = []
        """Documents that the index does not take."""
        self.put = 0
        """Passages that were put."""

    async def run(self) -> None:
        """Compare all, in the order of the documents' ids. Raises what the index raises, and ``turn``."""
        after: int | None = 0
        while after is not None:
            async with self._turn():
                # The index first. What is put between the two looks is missing at worst, and put twice; the other way
                # round it would be unknown, and be removed.
                there = await _passages_there(self._index, self._at, after, PAGE)
                unknown, missing, after = await self._database.read(partial(_compared, self._space, there, after))
                if unknown:
                    await bounded(self._index.remove(self._at, unknown), CALL_S)
                if missing:
                    self._lacking()
                    await bounded(self._index.create(self._at), CALL_S)  # the space itself may be what was lost
            # In turns of its own: a long document would keep a pause, or a job, waiting for all of its parts.
            for some in _in_calls(missing):
                await self._put_together(some)

    async def put_again(self, document_ids: Sequence[int]) -> None:
        """Put documents as search sees them now, if it still does. Raises what the index raises, and ``turn``."""
        for document_id in document_ids:
            await self._put(document_id)

    async def _put_together(self, document_ids: Sequence[int]) -> None:
        """Short documents in one call; where the index refuses one of them, in halves."""
        if len(document_ids) == 1:
            await self._put(document_ids[0])
            return
        async with self._turn():
            parts = await self._database.read_long(partial(_parts, self._space, document_ids))
            failpoints.hit("index.putting_back")
            try:
                await bounded(self._index.put(self._at, parts), CALL_S)
            except DocumentError:
                is_refused = True
            else:
                is_refused = False
                self.put += sum(len(part.texts) for part in parts)
                for _ in document_ids:
                    self._spend(None)
        if is_refused:
            half = len(document_ids) // 2
            await self._put_together(document_ids[:half])
            await self._put_together(document_ids[half:])

    async def _put(self, document_id: int) -> None:
        first = 0
        while True:
            async with self._turn():
                part = await self._database.read_long(partial(_part, self._space, document_id, first))
                if part is None:
                    self._spend(None)
                    return
                failpoints.hit("index.putting_back")
                try:
                    await bounded(self._index.put(self._at, [part]), CALL_S)
                except DocumentError as error:
                    self.refused.append((document_id, FailedDocument(part.uri, error.code, text_of(error))))
                    self._spend(f"{part.uri}: {text_of(error)}")
                    return
            first += len(part.texts)
            self.put += len(part.texts)


def withdraw_refused(
    tx: Transaction, space: index_spaces.Space, refused: Sequence[RefusedDocument], at: datetime
) -> list[FailedDocument]:
    """Documents that the index has not taken are searchable no more; which of them were until now."""
    found = [(key, failed) for key, failed in refused if SpaceContents(tx, space).named(key) is not None]
    if found:
        KnowledgeBases(tx).next_search_revision(space.kb_key)
        Catalogue(tx, space.kb_key).keep_details(NO_JOB, [failed.uri for _, failed in found])
        ids = [key for key, _ in found]
        StagedDocuments(tx).move(ids, DocumentState.SEARCHABLE, DocumentState.FAILED, at)
    return [failed for _, failed in found]


def _compared(
    space: index_spaces.Space, there: Sequence[tuple[int, int]], after: int, tx: Transaction
) -> tuple[list[int], list[tuple[int, int]], int | None]:
    """(those that the index should not have; those that it lacks or has in part, with the number of their passages;
    where the next step begins: None at the end)."""
    wanted = SpaceContents(tx, space).searchable(after, PAGE)
    # Where a page is full, nobody knows what its side has behind it: only what is known of both sides is compared.
    ends = [page[-1][0] for page in (there, wanted) if len(page) >= PAGE]
    last = min(ends) if ends else None
    has = {key: count for key, count in there if last is None or key <= last}
    missing = [(key, count) for key, count in wanted if (last is None or key <= last) and has.get(key, 0) < count]
    return SpaceContents(tx, space).unknown(list(has)), missing, last


def _in_calls(documents: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Documents, by id and passages, in the order in which they are put: short ones together, a long one alone."""
    some, size = list[int](), 0
    for document_id, passages in documents:
        if some and (size + passages > TOGETHER or passages > _PART):
            yield some
            some, size = [], 0
        some.append(document_id)
        size += TOGETHER if passages > _PART else passages
    if some:
        yield some


def _parts(space: index_spaces.Space, document_ids: Sequence[int], tx: Transaction) -> list[IndexDocument]:
    """Short documents, those that search still sees."""
    found = [_part(space, document_id, 0, tx) for document_id in document_ids]
    return [part for part in found if part is not None]


def _part(space: index_spaces.Space, document_id: int, first: int, tx: Transaction) -> IndexDocument | None:
    """Passages of a document from number ``first``; None behind the last one, or when search sees it no more."""
    found = SpaceContents(tx, space).named(document_id)
    if found is None or first >= found.passages:
        return None
    rows = index_spaces.passages_of(tx, document_id, first, _PART)
    if len(rows) < min(_PART, found.passages - first):
        raise ComponentUnavailable(f"{found.uri} has lost vectors; start a job with full=true")
    vectors = read_all([row[2] for row in rows])
    slices = Texts(tx).slices([(document_id, start, stop) for start, stop, _ in rows])
    return IndexDocument(document_id, found.uri, found.title, first, [text for text, _ in slices], vectors)


async def lacks_any(database: Reads, index: Index, space: index_spaces.Space, so_far: Comparison) -> bool:
    """Whether an index lacks a document of a space that search sees, or has it in part. Changes nothing.

    Goes on where ``so_far`` has come to, and keeps there how far it comes: who cancels it has lost nothing. Raises what
    the index raises.
    """
    at = Space(space.name, space.dimension or 0)
    async with so_far.lock:
        while so_far.after is not None:
            there = await _passages_there(index, at, so_far.after, PAGE)
            unknown, missing, after = await database.read(partial(_compared, space, there, so_far.after))
            for document_id, _ in missing:
                if await _is_lacking(database, index, at, space, document_id):
                    return True
            so_far.has_unknown = so_far.has_unknown or bool(unknown)
            so_far.after = after
    return False


async def _is_lacking(database: Reads, index: Index, at: Space, space: index_spaces.Space, document_id: int) -> bool:
    """Whether that is so of a document that was searchable before the index is asked, and is so after it: what has
    become searchable, or is gone, since the index was asked first is not lost."""
    there = dict(await _passages_there(index, at, document_id - 1, 1))
    named = await database.read(lambda tx: SpaceContents(tx, space).named(document_id))
    return named is not None and there.get(document_id, 0) < named.passages
