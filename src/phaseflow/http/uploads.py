"""The endpoints that take documents in and out. Files go from the socket to the disk, never into memory as a whole."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from phaseflow.domain.errors import DocumentNotFound, HeldBySource, KnowledgeBaseNotFound, UploadTooLarge
from phaseflow.domain.status import DocumentsChanged
from phaseflow.http import requests
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.ingestion import KB, check_room
from phaseflow.http.limits import Limits
from phaseflow.http.multipart import FileParts, boundary_of
from phaseflow.http.problems import BodyInterrupted, LimitReached, NotReady


async def add_documents(call: RequestContext[requests.KbPath, None]) -> JsonResult:
    kb_id, flow = call.at.kb_id, call.state.flow
    boundary = boundary_of(call.request.headers.get("content-type", ""))
    await check_room(call)
    with call.state.seats.uploading() as until_stopped:
        async with flow.receiving(kb_id) as batch:
            with until_stopped:
                await _receive(call.request, FileParts(boundary, batch), call.state.limits)
            if until_stopped.cancelled_caught:
                raise NotReady("the service is stopping; send it again when it is back")
            taken = await flow.take_in(kb_id, batch)
    return JsonResult(DocumentsChanged(documents=list(taken.uris), job=await flow.job_status(taken.job_id)), 202)


async def delete_document(call: RequestContext[requests.DocumentQuery, None]) -> JsonResult:
    job = await call.state.flow.remove_document(call.at.kb_id, call.at.uri)
    status = None if job is None else await job.status()
    return JsonResult(DocumentsChanged(documents=[call.at.uri], job=status), 202)


async def _receive(request: Request, parts: FileParts, limits: Limits) -> None:
    async with aclosing(_pieces(request, limits)) as pieces:
        async for piece in pieces:
            await anyio.to_thread.run_sync(parts.feed, piece)
    parts.finish()


async def _pieces(request: Request, limits: Limits) -> AsyncGenerator[bytes]:
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


ENDPOINTS = [
    Endpoint(
        "POST", f"{KB}/documents", "Take files in and start a job; creates the knowledge base", add_documents,
        {202: DocumentsChanged}, requests.KbPath, takes_files=True,
        problems=(HeldBySource, LimitReached, UploadTooLarge, BodyInterrupted, NotReady),
    ),
    Endpoint(
        "DELETE", f"{KB}/documents", "Take an uploaded document out and start a job", delete_document,
        {202: DocumentsChanged}, requests.DocumentQuery,
        problems=(KnowledgeBaseNotFound, DocumentNotFound, HeldBySource),
    ),
]  # fmt: skip
