"""The endpoints that show documents: where each stands, its text, its passages."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from phaseflow.domain.documents import DocumentChunk, DocumentInfo, PushedDocument
from phaseflow.domain.errors import DocumentNotFound, KnowledgeBaseNotFound, NoText
from phaseflow.domain.status import Page
from phaseflow.http import requests
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.ingestion import KB

DOCUMENTS = f"{KB}/documents"
DOCUMENT = f"{DOCUMENTS}/{{document_id}}"
TEXT = "text/plain; charset=utf-8"


async def _list_documents(call: RequestContext[requests.DocumentList, None]) -> JsonResult:
    at = call.at
    found = await call.state.flow.documents(at.kb_id, at.limit, at.cursor, at.q, status=at.status, source=at.source)
    return JsonResult(found)


async def _list_pushed(call: RequestContext[requests.PushedList, None]) -> JsonResult:
    at = call.at
    return JsonResult(await call.state.flow.pushed_documents(at.kb_id, at.limit, at.cursor, origin=at.origin))


async def _get_document(call: RequestContext[requests.DocumentPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.document(call.at.kb_id, call.at.document_id))


async def _get_document_text(call: RequestContext[requests.DocumentPath, None]) -> StreamingResponse:
    pieces = call.state.flow.text_pieces(call.at.kb_id, call.at.document_id)
    first = await anext(pieces)  # what is not there is answered before a status is sent
    return StreamingResponse(_encoded(first, pieces), media_type=TEXT, headers={"x-content-type-options": "nosniff"})


async def _list_document_chunks(call: RequestContext[requests.ChunkList, None]) -> JsonResult:
    at = call.at
    return JsonResult(await call.state.flow.document_chunks(at.kb_id, at.document_id, at.limit, at.cursor))


async def _encoded(first: str, pieces: AsyncIterator[str]) -> AsyncIterator[bytes]:
    yield first.encode()
    async for piece in pieces:
        yield piece.encode()


_NO_DOCUMENT = (KnowledgeBaseNotFound, DocumentNotFound)
ENDPOINTS = [
    Endpoint("GET", DOCUMENTS, "The documents, by uri", _list_documents, {200: Page[DocumentInfo]},
             requests.DocumentList, problems=(KnowledgeBaseNotFound,)),
    Endpoint("GET", f"{KB}/pushed", "What is kept of the documents that were pushed, by uri", _list_pushed,
             {200: Page[PushedDocument]}, requests.PushedList, problems=(KnowledgeBaseNotFound,)),
    Endpoint("GET", DOCUMENT, "One document", _get_document, {200: DocumentInfo}, requests.DocumentPath,
             problems=_NO_DOCUMENT, is_tagged=True),
    Endpoint("GET", f"{DOCUMENT}/text", "The text that was extracted from a document", _get_document_text, {200: TEXT},
             requests.DocumentPath, problems=(*_NO_DOCUMENT, NoText)),
    Endpoint("GET", f"{DOCUMENT}/chunks", "The passages of a document", _list_document_chunks,
             {200: Page[DocumentChunk]}, requests.ChunkList, problems=_NO_DOCUMENT),
]  # fmt: skip
