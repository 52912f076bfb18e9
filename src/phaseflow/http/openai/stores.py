"""Vector stores: knowledge bases with what the protocol says about them beside."""

import secrets
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal

import anyio
from pydantic import BaseModel, Field

from phaseflow.domain.errors import JobConflict, JobNotFound
from phaseflow.domain.settings import Settings, UploadSource
from phaseflow.domain.status import KnowledgeBase
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.ingestion import check_room
from phaseflow.http.openai.adding import add_files
from phaseflow.http.openai.objects import Deleted, FileCounts, Listed, seconds
from phaseflow.http.openai.requests import (
    Body,
    Chunking,
    Cursors,
    FileIds,
    Metadata,
    Name,
    Static,
    StoreFileBody,
    StorePath,
)
from phaseflow.http.problems import HttpError

STORES = "/v1/vector_stores"
STORE = f"{STORES}/{{vector_store_id}}"
_NOTE = "vector_store"
_StoreStatus = Literal["expired", "in_progress", "completed"]
_SELDOM = timedelta(minutes=1)
"""How exactly it is known when a vector store that expires was last used."""
_TRIES = 20
_PAUSE_S = 0.05


class _StoreExpired(HttpError):
    """A vector store that was not used for as long as its creator has said."""

    http_status = HTTPStatus.BAD_REQUEST
    code = "vector_store_expired"


class _Note(BaseModel):
    """What is kept about a vector store beside its knowledge base."""

    name: str = ""
    description: str | None = None
    metadata: dict[str, str] = {}
    expires_after_days: int | None = None
    last_active_at: datetime

    @property
    def expires_at(self) -> datetime | None:
        """None where it does not expire."""
        days = self.expires_after_days
        return None if days is None else self.last_active_at + timedelta(days=days)

    @property
    def is_expired(self) -> bool:
        """It was not used for so long."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


class _ExpiresAfter(Body):
    """Days without use after which a vector store expires."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=1, le=365)]


class _StoreBody(Body):
    """A new vector store."""

    name: Name | None = None
    description: Name | None = None
    file_ids: FileIds = ()
    metadata: Metadata | None = None
    expires_after: _ExpiresAfter | None = None
    chunking_strategy: Chunking | None = None


async def _create_store(call: RequestContext[Any, _StoreBody | None]) -> JsonResult:
    body, flow = call.body or _StoreBody(), call.state.flow
    for file_id in body.file_ids:
        await flow.files.get(file_id)
    kb_id = f"vs_{secrets.token_hex(12)}"
    await check_room(call.state, kb_id, makes_job=False)
    chosen: Settings | None = None
    if isinstance(body.chunking_strategy, Static):
        chosen = Settings.model_validate(flow.settings.model_dump() | body.chunking_strategy.sizes)
    await flow.put_kb(kb_id, UploadSource(), chosen)
    note = _Note(
        name=body.name or "", description=body.description, metadata=body.metadata or {},
        expires_after_days=body.expires_after.days if body.expires_after else None, last_active_at=datetime.now(UTC),
    )  # fmt: skip
    await _keep(call, kb_id, note)
    if body.file_ids:
        await add_files(call.state, kb_id, [StoreFileBody(file_id=file_id) for file_id in body.file_ids])
    return JsonResult(await _shown(call, kb_id))


async def _list_stores(call: RequestContext[Cursors, None]) -> JsonResult:
    at = call.at
    newest_first = (at.order == "desc") == (at.before is None)
    found = await call.state.flow.notes.kbs_by_age(at.after or at.before, at.limit + 1, newest_first=newest_first)
    shown = [await _shown(call, kb_id) for kb_id in found[: at.limit]]
    return JsonResult(Listed.of(shown if at.before is None else shown[::-1], has_more=len(found) > at.limit))


async def _get_store(call: RequestContext[StorePath, None]) -> JsonResult:
    return JsonResult(await _shown(call, call.at.vector_store_id))


class _StoreChanges(Body):
    """What changes in a vector store; what is not given stays."""

    name: Name | None = None
    metadata: Metadata | None = None
    expires_after: _ExpiresAfter | None = None


async def _update_store(call: RequestContext[StorePath, _StoreChanges | None]) -> JsonResult:
    body, kb_id = call.body or _StoreChanges(), call.at.vector_store_id
    note = await _note(call, await call.state.flow.kb(kb_id))
    changes: dict[str, Any] = {"last_active_at": datetime.now(UTC)}
    if "name" in body.model_fields_set:
        changes["name"] = body.name or ""
    if "metadata" in body.model_fields_set:
        changes["metadata"] = body.metadata or {}
    if "expires_after" in body.model_fields_set:
        changes["expires_after_days"] = body.expires_after.days if body.expires_after else None
    await _keep(call, kb_id, note.model_copy(update=changes))
    return JsonResult(await _shown(call, kb_id))


async def _delete_store(call: RequestContext[StorePath, None]) -> JsonResult:
    """A job that is open is cancelled first: a client of this protocol knows no jobs. The files stay."""
    flow, kb_id = call.state.flow, call.at.vector_store_id
    for left in reversed(range(_TRIES)):
        try:
            await flow.delete_kb(kb_id)
            break
        except JobConflict:
            if not left:
                raise
            await _cancel(call, kb_id)
            await anyio.sleep(_PAUSE_S)
    call.state.hub.invalidate(kb_id)
    return JsonResult(Deleted(id=kb_id, object="vector_store.deleted"))


async def _cancel(call: RequestContext[Any, Any], kb_id: str) -> None:
    try:
        await call.state.flow.cancel(kb_id)
    except (JobConflict, JobNotFound):
        return  # it has just ended


async def use(call: RequestContext[Any, Any], kb_id: str) -> KnowledgeBase:
    """A knowledge base that is about to be used, which puts off its end. Raises StoreExpired."""
    kb = await call.state.flow.kb(kb_id)
    note = await _note(call, kb)
    if note.is_expired:
        raise _StoreExpired(
            f"vector store {kb_id!r} has expired; give it another expires_after to use it again, or delete it"
        )
    now = datetime.now(UTC)
    if note.expires_after_days is not None and now - note.last_active_at > _SELDOM:
        await _keep(call, kb_id, note.model_copy(update={"last_active_at": now}))
    return kb


async def _note(call: RequestContext[Any, Any], kb: KnowledgeBase) -> _Note:
    kept = await call.state.flow.notes.get(kb.kb_id, _NOTE)
    if kept is None:  # it came from another face
        return _Note(name=kb.kb_id, last_active_at=kb.updated_at)
    return _Note.model_validate_json(kept)


async def _keep(call: RequestContext[Any, Any], kb_id: str, note: _Note) -> None:
    await call.state.flow.notes.put(kb_id, _NOTE, note.model_dump_json())


class _Expiry(BaseModel):
    """When a vector store expires."""

    anchor: str
    days: int


class _VectorStore(BaseModel):
    """A knowledge base."""

    id: str
    object: str = "vector_store"
    created_at: int
    name: str
    description: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: _StoreStatus
    expires_after: _Expiry | None
    expires_at: int | None
    last_active_at: int
    metadata: dict[str, str]


async def _shown(call: RequestContext[Any, Any], kb_id: str) -> _VectorStore:
    kb = await call.state.flow.kb(kb_id)
    note = await _note(call, kb)
    counts = FileCounts.of_all(kb.counts, kb.job)
    status: _StoreStatus = "expired" if note.is_expired else "in_progress" if counts.in_progress else "completed"
    days = note.expires_after_days
    return _VectorStore(
        id=kb_id, created_at=seconds(kb.created_at), name=note.name, description=note.description,
        usage_bytes=await call.state.flow.notes.used_bytes(kb_id), file_counts=counts, status=status,
        expires_after=None if days is None else _Expiry(anchor="last_active_at", days=days),
        expires_at=None if note.expires_at is None else seconds(note.expires_at),
        last_active_at=seconds(note.last_active_at), metadata=note.metadata,
    )  # fmt: skip


ENDPOINTS = [
    Endpoint("POST", STORES, "Create a vector store", _create_store, {200: _VectorStore}, body=_StoreBody),
    Endpoint("GET", STORES, "All vector stores", _list_stores, {200: Listed[_VectorStore]}, Cursors),
    Endpoint("GET", STORE, "One vector store", _get_store, {200: _VectorStore}, StorePath),
    Endpoint("POST", STORE, "Change a vector store", _update_store, {200: _VectorStore}, StorePath, _StoreChanges),
    Endpoint("DELETE", STORE, "Delete a vector store", _delete_store, {200: Deleted}, StorePath),
]
