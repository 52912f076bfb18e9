"""Files: sent once, then added to any number of vector stores."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any, Self
from urllib.parse import quote

from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from phaseflow.domain.errors import DocumentNotFound, HeldBySource, InvalidRequest, KnowledgeBaseNotFound
from phaseflow.flow.kept_files import IncomingFile
from phaseflow.http.endpoint import Endpoint, JsonResult, Parameters, RequestContext
from phaseflow.http.openai.form import FileForm
from phaseflow.http.openai.objects import Deleted, Listed, seconds
from phaseflow.http.openai.requests import Id, Order
from phaseflow.http.problems import NotReady
from phaseflow.http.uploads import body_pieces
from phaseflow.store.kept_files import KeptFile

FILES = "/v1/files"
FILE = f"{FILES}/{{file_id}}"
_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
SHORTEST_S, LONGEST_S = 3600, 2_592_000
"""Of what a file may be kept for, where it is to expire: an hour to 30 days, as the protocol has it."""


class _FileObject(BaseModel):
    """A file that was sent."""

    id: str
    object: str = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str = "processed"
    status_details: str | None = None
    expires_at: int | None

    @classmethod
    def of(cls, file: KeptFile) -> Self:
        """The object of a file."""
        return cls(
            id=file.id, bytes=file.size, created_at=seconds(file.created_at), filename=file.name, purpose=file.purpose,
            expires_at=None if file.expires_at is None else seconds(file.expires_at),
        )  # fmt: skip


async def _create_file(call: RequestContext[Any, None]) -> JsonResult:
    form = FileForm(call.request.headers.get("content-type", ""))
    with call.state.seats.uploading() as until_stopped:
        async with AsyncExitStack() as stack:
            incoming: IncomingFile | None = None
            with until_stopped:
                async with aclosing(body_pieces(call.request, call.state.limits)) as pieces:
                    async for piece in pieces:
                        data = form.feed(piece)
                        if incoming is None and form.filename is not None:
                            incoming = await stack.enter_async_context(call.state.flow.files.receiving(form.filename))
                        if incoming is not None and data:
                            await incoming.write(data)
            if until_stopped.cancelled_caught:
                raise NotReady("the service is stopping; send it again when it is back")
            if not form.is_whole:
                raise InvalidRequest("body", "ends in the middle of a part; send it again")
            if incoming is None:
                raise InvalidRequest("file", "is missing; send the file as the part of this name")
            return JsonResult(_FileObject.of(await incoming.keep(_purpose(form.fields), _expires_after_s(form.fields))))


class _FileList(Parameters):
    """A page of the files."""

    purpose: Annotated[str | None, Field(max_length=100)] = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    order: Order = "desc"
    after: Id | None = None


async def _list_files(call: RequestContext[_FileList, None]) -> JsonResult:
    at = call.at
    found = await call.state.flow.files.page(at.purpose, at.after, at.limit + 1, newest_first=at.order == "desc")
    shown = [_FileObject.of(file) for file in found[: at.limit]]
    return JsonResult(Listed.of(shown, has_more=len(found) > at.limit))


class _FilePath(Parameters):
    """One file."""

    file_id: Id


async def _get_file(call: RequestContext[_FilePath, None]) -> JsonResult:
    return JsonResult(_FileObject.of(await call.state.flow.files.get(call.at.file_id)))


async def _get_file_content(call: RequestContext[_FilePath, None]) -> StreamingResponse:
    file = await call.state.flow.files.get(call.at.file_id)
    headers = {
        "content-length": str(file.size),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file.name)}",
    }
    parts: AsyncIterator[bytes] = call.state.flow.files.parts(file)
    return StreamingResponse(parts, media_type="application/octet-stream", headers=headers)


async def _delete_file(call: RequestContext[_FilePath, None]) -> JsonResult:
    """Also out of the vector stores that hold it, as the protocol has it."""
    flow = call.state.flow
    file = await flow.files.get(call.at.file_id)
    uri = f"{file.id}/{file.name}"
    for kb_id in await flow.notes.holders(uri):
        try:
            await flow.delete_document(kb_id, uri)
        except (DocumentNotFound, KnowledgeBaseNotFound, HeldBySource):
            continue  # it has just gone
        call.state.hub.invalidate(kb_id)
    await flow.files.remove(file.id)
    return JsonResult(Deleted(id=file.id, object="file"))


def _purpose(fields: dict[str, str]) -> str:
    purpose = fields.get("purpose", "")
    if purpose not in _PURPOSES:
        raise InvalidRequest("purpose", f"must be one of {', '.join(_PURPOSES)}")
    return purpose


def _expires_after_s(fields: dict[str, str]) -> int | None:
    anchor, after = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and after is None:
        return None
    if anchor != "created_at":
        raise InvalidRequest("expires_after.anchor", "must be created_at")
    if after is None or not (after.isascii() and after.isdigit() and len(after) < 10):
        raise InvalidRequest("expires_after.seconds", "must be a whole number")
    if not SHORTEST_S <= int(after) <= LONGEST_S:
        raise InvalidRequest("expires_after.seconds", f"must be {SHORTEST_S} to {LONGEST_S}")
    return int(after)


ENDPOINTS = [
    Endpoint("POST", FILES, "Send a file", _create_file, {200: _FileObject}, takes_files=True),
    Endpoint("GET", FILES, "All files", _list_files, {200: Listed[_FileObject]}, _FileList),
    Endpoint("GET", FILE, "One file", _get_file, {200: _FileObject}, _FilePath),
    Endpoint("GET", f"{FILE}/content", "Its bytes", _get_file_content, {200: "application/octet-stream"}, _FilePath),
    Endpoint("DELETE", FILE, "Delete a file, also from vector stores", _delete_file, {200: Deleted}, _FilePath),
]
