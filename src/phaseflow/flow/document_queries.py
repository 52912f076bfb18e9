"""What can be asked about documents: which there are, where each stands, its text and its passages."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial

from phaseflow.domain.documents import DocumentChunk, DocumentInfo, PushedDocument
from phaseflow.domain.errors import DocumentNotFound, InvalidRequest, NoText
from phaseflow.domain.status import Page
from phaseflow.domain.vocabulary import DocumentStatus
from phaseflow.flow.inputs import (
    MOST_ITEMS,
    as_count,
    as_cursor_name,
    as_cursor_number,
    as_names,
    as_text,
    cursor_after,
)
from phaseflow.flow.readings import Readings
from phaseflow.store import document_status, missed_documents, texts
from phaseflow.store.document_status import View, Wanted
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.pushed import PushedDocuments
from phaseflow.store.texts import Texts
from phaseflow.store.transaction import Transaction
from phaseflow.store.transitions import TransitionLog

LONGEST_PART = 200
"""Characters of a uri that a list of documents is asked for."""
_PIECE_SEGMENTS = 16
"""Segments of a text read at once: a million characters."""


class DocumentQueries:
    """The answers about documents. ``name`` is the id of a document or its uri."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    async def page(
        self,
        kb_id: str,
        limit: int,
        cursor: str | None,
        q: str,
        *,
        status: DocumentStatus | str | None,
        source: str | None,
    ) -> Page[DocumentInfo]:
        """Documents by uri, those that match."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after = as_cursor_name(cursor)
        if len(as_text("q", q)) > LONGEST_PART:
            raise InvalidRequest("q", f"must have at most {LONGEST_PART} characters")
        wanted = Wanted(_as_status(status), None if source is None else as_text("source", source), q)

        def read(tx: Transaction) -> Page[DocumentInfo]:
            found, following = _view(tx, kb_id).page(tx, wanted, limit, after)
            return Page(items=found, next_cursor=None if following is None else cursor_after(following))

        return await self._readings.read(read)

    async def pushed(
        self, kb_id: str, limit: int = 100, cursor: str | None = None, *, origin: str | None = None
    ) -> Page[PushedDocument]:
        """What is kept of the documents that were pushed, by uri: of all, or of those of one ``origin``."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after = as_cursor_name(cursor)
        of = None if origin is None else as_text("origin", origin)

        def read(tx: Transaction) -> list[PushedDocument]:
            kb = KnowledgeBases(tx).get(as_text("kb_id", kb_id))
            found = PushedDocuments(tx, kb.key).by_uri(of, limit + 1, after)
            return [PushedDocument(uri=p.uri, size=p.size, digest=p.digest, origin=p.origin) for p in found]

        found = await self._readings.read(read)
        return Page(items=found[:limit], next_cursor=cursor_after(found[limit - 1].uri) if len(found) > limit else None)

    async def named(self, kb_id: str, uris: Sequence[str]) -> list[DocumentInfo]:
        """Those of these documents that are known, in the order given."""
        names = as_names("uris", uris)

        def read(tx: Transaction) -> list[DocumentInfo]:
            found = _view(tx, kb_id).some(tx, names)
            return [found[uri] for uri in names if uri in found]

        return await self._readings.read(read)

    async def changed_after(self, kb_id: str, seq: int, limit: int, overlap_s: float) -> list[str]:
        """The first ``limit`` documents by uri that have changed since so long before transition number ``seq``."""

        def read(tx: Transaction) -> list[str]:
            kb = KnowledgeBases(tx).get(as_text("kb_id", kb_id))
            moment = TransitionLog(tx).moment_of(seq)
            after = None if moment is None else moment - timedelta(seconds=overlap_s)
            return missed_documents.since(tx, kb.key, after, limit)

        return await self._readings.read_long(read)

    async def one(self, kb_id: str, name: str) -> DocumentInfo:
        """One document."""
        return await self._readings.read(lambda tx: _found(tx, _view(tx, kb_id), kb_id, name))

    async def text(self, kb_id: str, name: str) -> AsyncIterator[str]:
        """The extracted text, in pieces. Raises NoText, and DocumentNotFound also when it goes meanwhile."""

        def begin(tx: Transaction) -> tuple[int, str, int]:
            version = _version(tx, kb_id, name)
            if version is None:
                status = _found(tx, _view(tx, kb_id), kb_id, name).status
                raise NoText(kb_id, name, is_skipped=status is DocumentStatus.SKIPPED)
            return version

        number, uri, characters = await self._readings.read(begin)
        for first in range(0, characters // texts.SEGMENT + 1, _PIECE_SEGMENTS):
            piece = await self._readings.read_long(partial(_piece, number=number, first=first))
            if len(piece) != min(_PIECE_SEGMENTS * texts.SEGMENT, characters - first * texts.SEGMENT):
                raise DocumentNotFound(kb_id, uri)  # a newer version has taken its place, and the janitor was quick
            yield piece

    async def chunks(self, kb_id: str, name: str, limit: int, cursor: str | None) -> Page[DocumentChunk]:
        """The passages of a document, by position."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after = as_cursor_number(cursor) or 0

        def read(tx: Transaction) -> list[DocumentChunk]:
            version = _version(tx, kb_id, name)
            return [] if version is None else document_status.chunks(tx, version[0], limit + 1, after)

        found = await self._readings.read_long(read)
        return Page(items=found[:limit], next_cursor=str(found[limit].position) if len(found) > limit else None)


def _view(tx: Transaction, kb_id: str) -> View:
    kb = KnowledgeBases(tx).get(as_text("kb_id", kb_id))
    return View.now(tx, kb.key, kb.index_version)


def _found(tx: Transaction, seen: View, kb_id: str, name: str) -> DocumentInfo:
    document = seen.find(tx, as_text("document", name))
    if document is None:
        raise DocumentNotFound(kb_id, name)
    return document


def _piece(tx: Transaction, number: int, first: int) -> str:
    return Texts(tx).piece(number, first, _PIECE_SEGMENTS)


def _version(tx: Transaction, kb_id: str, name: str) -> tuple[int, str, int] | None:
    seen = _view(tx, kb_id)
    return seen.version_of(tx, _found(tx, seen, kb_id, name).uri)


def _as_status(status: DocumentStatus | str | None) -> DocumentStatus | None:
    try:
        return None if status is None else DocumentStatus(status)
    except ValueError:
        raise InvalidRequest("status", f"must be one of {', '.join(DocumentStatus)}") from None
