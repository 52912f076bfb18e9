"""Batches: files that were added to a vector store together, and are asked after together."""

import secrets
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator
from starlette.responses import Response

from phaseflow.domain.errors import InvalidRequest
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.openai.adding import add_files, in_groups
from phaseflow.http.openai.objects import FileCounts, Listed, Status, StoreFile, polled, seconds, shown_status
from phaseflow.http.openai.requests import (
    MOST_IN_BATCH,
    Attributes,
    Body,
    Chunking,
    FileIds,
    Id,
    StoreFileBody,
    StoreFileList,
    StorePath,
)
from phaseflow.http.openai.store_files import shown_files
from phaseflow.http.openai.stores import STORE, use
from phaseflow.http.problems import HttpError

_BATCHES = f"{STORE}/file_batches"
BATCH = f"{_BATCHES}/{{batch_id}}"
_MOST_BATCHES = 1000
"""Batches remembered of a vector store; then the oldest is forgotten, its files are not."""
_PREFIX = "vsfb_"


class _BatchNotFound(HttpError):
    """No batch of that id, or one that was forgotten."""

    http_status = HTTPStatus.NOT_FOUND
    code = "batch_not_found"


class _Note(BaseModel):
    """What is kept about a batch. The status of its files is that of the documents."""

    created_at: datetime
    uris: list[str]
    cancelled: bool = False


class _BatchBody(Body):
    """Files for a vector store: ``file_ids`` with the same attributes, or ``files`` each with its own."""

    file_ids: FileIds | None = None
    files: Annotated[list[StoreFileBody], Field(max_length=MOST_IN_BATCH)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None

    @model_validator(mode="after")
    def _one_list(self) -> "_BatchBody":
        if bool(self.file_ids) == bool(self.files):
            raise ValueError("give either file_ids or files, with at least one file")
        return self

    @property
    def each(self) -> list[StoreFileBody]:
        """The files, each with what holds for it."""
        if self.files:
            return self.files
        return [
            StoreFileBody(file_id=id_, attributes=self.attributes, chunking_strategy=self.chunking_strategy)
            for id_ in self.file_ids or ()
        ]


async def _create_batch(call: RequestContext[StorePath, _BatchBody]) -> Response | JsonResult:
    kb_id = call.at.vector_store_id
    await use(call, kb_id)
    uris = await add_files(call.state, kb_id, call.body.each)
    now = datetime.now(UTC)
    batch_id = f"{_PREFIX}{int(now.timestamp() * 1000):012x}{secrets.token_hex(6)}"
    note = _Note(created_at=now, uris=list(dict.fromkeys(uris)))
    await call.state.flow.notes.put(kb_id, batch_id, note.model_dump_json(), most=_MOST_BATCHES + 1, prefix=_PREFIX)
    return await _answer(call, kb_id, batch_id, note)


class _BatchPath(StorePath):
    """One batch of files."""

    batch_id: Id


async def _get_batch(call: RequestContext[_BatchPath, None]) -> Response | JsonResult:
    return await _answer(call, call.at.vector_store_id, call.at.batch_id, await _note(call))


async def _cancel_batch(call: RequestContext[_BatchPath, None]) -> Response | JsonResult:
    """What is not indexed yet is left out, until it is added again. A batch that is done stays as it is."""
    kb_id, flow = call.at.vector_store_id, call.state.flow
    note = await _note(call)
    job = await flow.newest_status(kb_id)
    is_cancelled = False
    for few in in_groups(note.uris):
        documents = await flow.documents_named(kb_id, few)  # just before: what is indexed stays
        unfinished = [each.uri for each in documents if shown_status(each.status, job) == "in_progress"]
        if unfinished:
            await flow.document_verbs.skip_each(kb_id, unfinished)
            is_cancelled = True
    if is_cancelled:
        note = note.model_copy(update={"cancelled": True})
        await flow.notes.put(kb_id, call.at.batch_id, note.model_dump_json())
        call.state.hub.invalidate(kb_id)
    return await _answer(call, kb_id, call.at.batch_id, note)


class _BatchFileList(StoreFileList, _BatchPath):
    """A page of the files of a batch."""


async def _list_batch_files(call: RequestContext[_BatchFileList, None]) -> JsonResult:
    """Reads the documents of the page alone, in the order of the ids that their uris begin with."""
    at, kb = call.at, await call.state.flow.kb(call.at.vector_store_id)
    uris = sorted((await _note(call)).uris, reverse=(at.order == "desc") == (at.before is None))
    cursor = at.after or at.before
    if cursor is not None:
        place = next((place for place, uri in enumerate(uris) if uri.startswith(f"{cursor}/")), None)
        if place is None:
            raise InvalidRequest("after" if at.after else "before", "is not a file of this batch")
        uris = uris[place + 1 :]
    found: list[StoreFile] = []
    for few in in_groups(uris):
        files = shown_files(kb, await call.state.flow.documents_named(kb.kb_id, few))
        found += [file for file in files if at.filter is None or file.status == at.filter]
        if len(found) > at.limit:
            break
    page = found[: at.limit]
    return JsonResult(Listed.of(page if at.before is None else page[::-1], has_more=len(found) > at.limit))


async def _note(call: RequestContext[_BatchPath, None]) -> _Note:
    kept = await call.state.flow.notes.get(call.at.vector_store_id, call.at.batch_id)
    if kept is None or not call.at.batch_id.startswith(_PREFIX):
        raise _BatchNotFound(f"vector store {call.at.vector_store_id!r} has no batch {call.at.batch_id!r}")
    return _Note.model_validate_json(kept)


class _FileBatch(BaseModel):
    """Files that were added together."""

    id: str
    object: str = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: Status
    file_counts: FileCounts


async def _answer(call: RequestContext[Any, Any], kb_id: str, batch_id: str, note: _Note) -> Response | JsonResult:
    flow = call.state.flow
    job = await flow.newest_status(kb_id)
    statuses: list[Status] = []
    for few in in_groups(note.uris):
        statuses += [shown_status(document.status, job) for document in await flow.documents_named(kb_id, few)]
    statuses += ["cancelled"] * (len(note.uris) - len(statuses))  # taken out since
    counts = FileCounts.of(statuses)
    batch = _FileBatch(
        id=batch_id, created_at=seconds(note.created_at), vector_store_id=kb_id, file_counts=counts,
        status=_status(counts, note),
    )  # fmt: skip
    return polled(batch, batch.status, len(note.uris))


def _status(counts: FileCounts, note: _Note) -> Status:
    if note.cancelled:
        return "cancelled"
    if counts.in_progress:
        return "in_progress"
    if counts.completed:
        return "completed"
    return "failed" if counts.failed else "cancelled"


ENDPOINTS = [
    Endpoint(
        "POST", _BATCHES, "Add files to a vector store", _create_batch, {200: _FileBatch}, StorePath, _BatchBody,
        body_required=True,
    ),
    Endpoint("GET", BATCH, "One batch", _get_batch, {200: _FileBatch}, _BatchPath),
    Endpoint("POST", f"{BATCH}/cancel", "Leave out what is not indexed", _cancel_batch, {200: _FileBatch}, _BatchPath),
    Endpoint("GET", f"{BATCH}/files", "Its files", _list_batch_files, {200: Listed[StoreFile]}, _BatchFileList),
]  # fmt: skip
