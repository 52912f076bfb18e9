"""The endpoints that take documents in and out. Files go from the socket to the disk, never into memory as a whole."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import anyio
import anyio.to_thread
from pydantic import Field
from starlette.requests import ClientDisconnect, Request

from phaseflow.domain.documents import DocumentInfo, DocumentRetried, DocumentsChanged
from phaseflow.domain.errors import (
    DocumentNotFound,
    HeldBySource,
    KnowledgeBaseNotFound,
    PreconditionFailed,
    UploadTooLarge,
)
from phaseflow.domain.new_document import Metadata, NewDocument
from phaseflow.domain.status import JobStatusResponse
from phaseflow.flow.documents import TOGETHER, Taken
from phaseflow.http.documents import DOCUMENT, DOCUMENTS
from phaseflow.http.endpoint import JSON, Endpoint, JsonResult, RequestContext, checked, received
from phaseflow.http.ingestion import check_room
from phaseflow.http.limits import Limits
from phaseflow.http.multipart import FileParts, boundary_of
from phaseflow.http.preconditions import Conditional
from phaseflow.http.problems import BodyInterrupted, BodyTooLarge, LimitReached, NotReady
from phaseflow.http.requests import Body, DocumentPath, KbPath


async def _add_documents(call: RequestContext[KbPath, None]) -> JsonResult:
    content_type = call.request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() == JSON:
        return await _add_texts(call)
    kb_id, flow = call.at.kb_id, call.state.flow
    boundary = boundary_of(content_type)
    await check_room(call.state, call.at.kb_id, makes_job=False)
    with call.state.seats.uploading() as until_stopped:
        async with flow.receiving(kb_id) as batch:
            with until_stopped:
                await _receive(call.request, FileParts(boundary, batch), call.state.limits)
            if until_stopped.cancelled_caught:
                raise NotReady("the service is stopping; send it again when it is back")
            return await _answered(call, await flow.take_in(kb_id, batch))


class _NewDocumentsBody(Body):
    """Texts to take in."""

    documents: Annotated[list[NewDocument], Field(min_length=1, max_length=TOGETHER)]


async def _add_texts(call: RequestContext[KbPath, None]) -> JsonResult:
    limit = call.state.limits.body_bytes
    if int(call.request.headers.get("content-length") or 0) > limit:
        raise BodyTooLarge(f"texts of more than {limit:,} bytes; send them in several requests, or as files")
    await check_room(call.state, call.at.kb_id, makes_job=False)
    raw = await received(call.state, call.request, limit)
    body = await anyio.to_thread.run_sync(checked, _NewDocumentsBody, raw)
    return await _answered(call, await call.state.flow.add(call.at.kb_id, body.documents))


async def _answered(call: RequestContext[KbPath, None], taken: Taken) -> JsonResult:
    flow, kb_id = call.state.flow, call.at.kb_id
    documents = await flow.documents_named(kb_id, taken.uris)
    return JsonResult(DocumentsChanged(documents=documents, job=await flow.job_status(taken.job_id)), 202)


class _DocumentQuery(KbPath):
    """One uploaded document."""

    uri: Annotated[str, Field(min_length=1, max_length=8192, description="The document, as the upload answered it.")]


async def _delete_document(call: RequestContext[_DocumentQuery, None]) -> JsonResult:
    job = await call.state.flow.remove_document(call.at.kb_id, call.at.uri)
    return _deleted(None if job is None else await job.status())


async def _delete_document_by_id(call: RequestContext[DocumentPath, None]) -> JsonResult:
    flow, kb_id = call.state.flow, call.at.kb_id
    await flow.delete_document(kb_id, call.at.document_id)
    return _deleted(await flow.newest_status(kb_id))


def _deleted(job: JobStatusResponse | None) -> JsonResult:
    return JsonResult(DocumentsChanged(documents=[], job=job), 202)


async def _retry_document(call: RequestContext[DocumentPath, None]) -> JsonResult:
    flow, kb_id = call.state.flow, call.at.kb_id
    document = await flow.document(kb_id, await flow.retry_document(kb_id, call.at.document_id))
    return JsonResult(DocumentRetried.of(document, await flow.newest_status(kb_id)), 202)


async def _skip_document(call: RequestContext[DocumentPath, None]) -> JsonResult:
    return await _changed(call, await call.state.flow.skip_document(call.at.kb_id, call.at.document_id), 202)


class _MetadataBody(Body):
    """What is said about a document, in place of all that was said before."""

    metadata: Metadata


class _DocumentChange(Conditional, DocumentPath):
    """One document, if it is as it has to be."""


async def _set_metadata(call: RequestContext[_DocumentChange, _MetadataBody]) -> JsonResult:
    at = call.at
    uri = await call.state.flow.set_metadata(
        at.kb_id, at.document_id, call.body.metadata, if_match=at.if_match, if_none_match=at.if_none_match
    )
    return await _changed(call, uri, 200)


async def _changed(call: RequestContext[Any, Any], uri: str, status: int) -> JsonResult:
    return JsonResult(await call.state.flow.document(call.at.kb_id, uri), status)


async def _receive(request: Request, parts: FileParts, limits: Limits) -> None:
    async with aclosing(body_pieces(request, limits)) as pieces:
        async for piece in pieces:
            await anyio.to_thread.run_sync(parts.feed, piece)
    parts.finish()


async def body_pieces(request: Request, limits: Limits) -> AsyncGenerator[bytes]:
    """The body of a request in pieces. Raises BodyInterrupted for one that comes too slowly, or not to its end."""
    left_s = limits.upload_idle_s  # of waiting: each byte earns some, and the time that the server takes is not counted
    async with aclosing(request.stream()) as stream:
        while True:
            before = anyio.current_time()
            piece = await _within(min(limits.upload_idle_s, left_s), stream)
            if piece is None:
                return
            left_s += len(piece) / limits.upload_pace_bytes - (anyio.current_time() - before)
            if piece:
                yield piece


async def _within(idle_s: float, stream: AsyncIterator[bytes]) -> bytes | None:
    try:
        with anyio.move_on_after(idle_s):
            return await anext(stream, None)
    except ClientDisconnect:
        raise BodyInterrupted("the connection ended before the body did; send it again") from None
    raise BodyInterrupted(f"too little came for {idle_s:.0f} seconds; send it again, faster")


_NO_DOCUMENT = (KnowledgeBaseNotFound, DocumentNotFound)
ENDPOINTS = [
    Endpoint(
        "POST", DOCUMENTS, "Take documents in: files, or texts as JSON; creates the knowledge base", _add_documents,
        {202: DocumentsChanged}, KbPath, _NewDocumentsBody, takes_files=True,
        problems=(HeldBySource, LimitReached, UploadTooLarge, BodyInterrupted, NotReady),
    ),
    Endpoint(
        "DELETE", DOCUMENTS, "Take a document out that was sent, by its uri", _delete_document,
        {202: DocumentsChanged}, _DocumentQuery,
        problems=(KnowledgeBaseNotFound, DocumentNotFound, HeldBySource),
    ),
    Endpoint(
        "DELETE", DOCUMENT, "Take a document out that was sent", _delete_document_by_id,
        {202: DocumentsChanged}, DocumentPath, problems=(*_NO_DOCUMENT, HeldBySource),
    ),
    Endpoint(
        "PATCH", DOCUMENT, "Replace the metadata of a document; nothing is embedded again", _set_metadata,
        {200: DocumentInfo}, _DocumentChange, _MetadataBody, body_required=True,
        problems=(*_NO_DOCUMENT, PreconditionFailed), is_tagged=True,
    ),
    Endpoint(
        "POST", f"{DOCUMENT}/retry", "Load a document anew, even if it is unchanged", _retry_document,
        {202: DocumentRetried}, DocumentPath, problems=_NO_DOCUMENT,
    ),
    Endpoint(
        "POST", f"{DOCUMENT}/skip", "Take a document out, and leave it out until it is retried", _skip_document,
        {202: DocumentInfo}, DocumentPath, problems=_NO_DOCUMENT,
    ),
]  # fmt: skip
