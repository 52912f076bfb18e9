"""The endpoints that show documents: where each stands, its text, its passages."""

from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import Field
from starlette.responses import StreamingResponse

from phaseflow.domain.documents import DocumentChunk, DocumentInfo, PushedDocument
from phaseflow.domain.errors import DocumentNotFound, KnowledgeBaseNotFound, NoText
from phaseflow.domain.new_document import LONGEST_ORIGIN
from phaseflow.domain.status import Page
from phaseflow.domain.vocabulary import DocumentStatus
from phaseflow.flow.document_queries import LONGEST_PART
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.ingestion import KB
from phaseflow.http.requests import DocumentPath, KbPath, Limit, NumberCursor, TextCursor

DOCUMENTS = f"{KB}/documents"
DOCUMENT = f"{DOCUMENTS}/{{document_id}}"
TEXT = "text/plain; charset=utf-8"


class _DocumentList(KbPath):
    """A page of the documents of a knowledge base."""

    limit: Limit = 100
    cursor: TextCursor = None
    q: Annotated[
        str, Field(max_length=LONGEST_PART, description="A part of the uri, in upper or lower case; empty: all.")
    ] = ""
    status: Annotated[DocumentStatus | None, Field(description="Only the documents with this status.")] = None
    source: Annotated[str | None, Field(max_length=63, description="Only the documents of this source.")] = None


async def _list_documents(call: RequestContext[_DocumentList, None]) -> JsonResult:
    at = call.at
    found = await call.state.flow.documents(at.kb_id, at.limit, at.cursor, at.q, status=at.status, source=at.source)
    return JsonResult(found)


class _PushedList(KbPath):
    """A page of what was pushed."""

    limit: Limit = 100
    cursor: TextCursor = None
    origin: Annotated[
        str | None, Field(max_length=LONGEST_ORIGIN, description="Only what came from there, as its sender called it.")
    ] = None


async def _list_pushed(call: RequestContext[_PushedList, None]) -> JsonResult:
    at = call.at
    return JsonResult(await call.state.flow.pushed_documents(at.kb_id, at.limit, at.cursor, origin=at.origin))


async def _get_document(call: RequestContext[DocumentPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.document(call.at.kb_id, call.at.document_id))


async def _get_document_text(call: RequestContext[DocumentPath, None]) -> StreamingResponse:
    pieces = call.state.flow.text_pieces(call.at.kb_id, call.at.document_id)
    first = await anext(pieces)  # what is not there is answered before a status is sent
    return StreamingResponse(_encoded(first, pieces), media_type=TEXT, headers={"x-content-type-options": "nosniff"})


class _ChunkList(DocumentPath):
    """A page of the passages of a document."""

    limit: Limit = 100
    cursor: NumberCursor = None


async def _list_document_chunks(call: RequestContext[_ChunkList, None]) -> JsonResult:
    at = call.at
    return JsonResult(await call.state.flow.document_chunks(at.kb_id, at.document_id, at.limit, at.cursor))


async def _encoded(first: str, pieces: AsyncIterator[str]) -> AsyncIterator[bytes]:
    yield first.encode()
    async for piece in pieces:
        yield piece.encode()


_NO_DOCUMENT = (KnowledgeBaseNotFound, DocumentNotFound)
ENDPOINTS = [
    Endpoint("GET", DOCUMENTS, "The documents, by uri", _list_documents, {200: Page[DocumentInfo]},
             _DocumentList, problems=(KnowledgeBaseNotFound,)),
    Endpoint("GET", f"{KB}/pushed", "What is kept of the documents that were pushed, by uri", _list_pushed,
             {200: Page[PushedDocument]}, _PushedList, problems=(KnowledgeBaseNotFound,)),
    Endpoint("GET", DOCUMENT, "One document", _get_document, {200: DocumentInfo}, DocumentPath,
             problems=_NO_DOCUMENT, is_tagged=True),
    Endpoint("GET", f"{DOCUMENT}/text", "The text that was extracted from a document", _get_document_text, {200: TEXT},
             DocumentPath, problems=(*_NO_DOCUMENT, NoText)),
    Endpoint("GET", f"{DOCUMENT}/chunks", "The passages of a document", _list_document_chunks,
             {200: Page[DocumentChunk]}, _ChunkList, problems=_NO_DOCUMENT),
]  # fmt: skip
