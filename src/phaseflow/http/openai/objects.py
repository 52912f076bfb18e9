"""The objects of the protocol, as clients see them."""

from datetime import datetime
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.status import DocumentCounts, JobStatusResponse
from phaseflow.domain.vocabulary import DocumentStatus, JobStatus
from phaseflow.http.endpoint import JSON, JsonResult

Status = Literal["in_progress", "completed", "failed", "cancelled"]
_ErrorCode = Literal["server_error", "unsupported_file", "invalid_file"]
Scalar = str | bool | int | float
_POLL_AFTER_MS = 200
"""The SDK waits a second otherwise."""
POLL_AFTER_MS_A_FILE = 2
"""To look at a file takes a tenth of a millisecond: clients that wait keep a twentieth of a core busy at most."""
_STATUS: dict[DocumentStatus, Status] = {
    DocumentStatus.QUEUED: "in_progress",
    DocumentStatus.PROCESSING: "in_progress",
    DocumentStatus.INDEXED: "completed",
    DocumentStatus.FAILED: "failed",
    DocumentStatus.SKIPPED: "cancelled",
}
_UNSUPPORTED = frozenset({"unsupported_format", "missing_extra"})


def seconds(at: datetime) -> int:
    """Seconds since 1970."""
    return int(at.timestamp())


class Deleted(BaseModel):
    """What is gone."""

    id: str
    object: str
    deleted: bool = True


class FileCounts(BaseModel):
    """Files by status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0

    @classmethod
    def of_all(cls, counts: DocumentCounts, job: JobStatusResponse | None) -> Self:
        """Those of a knowledge base."""
        found = dict.fromkeys(("in_progress", "completed", "failed", "cancelled"), 0)
        for name, number in counts.model_dump().items():
            found[shown_status(DocumentStatus(name), job)] += number
        return cls(**found, total=sum(found.values()))

    @classmethod
    def of(cls, statuses: list[Status]) -> Self:
        """Those of some files."""
        found = {status: statuses.count(status) for status in set(statuses)}
        return cls(**found, total=len(statuses))


def shown_status(status: DocumentStatus, job: JobStatusResponse | None) -> Status:
    """The status of a document as that of a file. What waits behind a job that was cancelled or has failed waits for
    the next one: a client that polls is told so, not kept waiting."""
    shown = _STATUS[status]
    if shown == "in_progress" and job is not None:
        return {JobStatus.CANCELLED: "cancelled", JobStatus.FAILED: "failed"}.get(job.status, shown)  # type: ignore[return-value]  # mypy widens both words to str
    return shown


def polled(value: BaseModel, status: Status, files: int = 1) -> Response | JsonResult:
    """An answer that clients ask for again and again while it is in progress: the SDK is told how soon."""
    if status != "in_progress":
        return JsonResult(value)
    after_ms = max(_POLL_AFTER_MS, files * POLL_AFTER_MS_A_FILE)
    return Response(value.model_dump_json(), media_type=JSON, headers={"openai-poll-after-ms": str(after_ms)})


class _LastError(BaseModel):
    """Why a file failed."""

    code: _ErrorCode
    message: str


class StoreFile(BaseModel):
    """A file in a vector store."""

    id: str
    object: str = "vector_store.file"
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: Status
    last_error: _LastError | None
    attributes: dict[str, Scalar]
    chunking_strategy: dict[str, Any]

    @classmethod
    def of(cls, kb_id: str, document: DocumentInfo, job: JobStatusResponse | None, chunking: dict[str, Any]) -> Self:
        """The object of a document of a knowledge base whose newest job is ``job``."""
        status = shown_status(document.status, job)
        return cls(
            id=_file_id_of(document), usage_bytes=document.size or 0, created_at=seconds(document.created_at),
            vector_store_id=kb_id, status=status, last_error=_error(document, status, job),
            attributes=attributes_of(document.metadata), chunking_strategy=chunking,
        )  # fmt: skip


def _error(document: DocumentInfo, status: Status, job: JobStatusResponse | None) -> _LastError | None:
    code: _ErrorCode = "server_error"
    if document.error is not None:
        code = "unsupported_file" if document.code in _UNSUPPORTED else "invalid_file"
        return _LastError(code=code, message=document.error)
    if status == "failed" and job is not None:
        return _LastError(code=code, message=job.error or job.message)
    return None


def _file_id_of(document: DocumentInfo) -> str:
    """The id under which a document is a file."""
    id_, slash, _ = document.uri.partition("/")
    return id_ if slash and id_.startswith("file-") else document.id


def attributes_of(metadata: dict[str, Any]) -> dict[str, Scalar]:
    """Metadata as the protocol has it: lists are joined with commas."""
    return {key: ", ".join(value) if isinstance(value, list) else value for key, value in metadata.items()}


class Text(BaseModel):
    """A piece of text."""

    type: str = "text"
    text: str


class TextPage(BaseModel):
    """All of a list that has no pages."""

    object: str
    data: list[Any]
    has_more: bool = False
    next_page: str | None = None


ItemT = TypeVar("ItemT")


class Listed(BaseModel, Generic[ItemT]):
    """A page of a list. ``last_id`` as ``after`` asks for the next one."""

    object: str = "list"
    data: list[ItemT]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, data: list[ItemT], *, has_more: bool) -> Self:
        """A page of objects that have an id."""
        ids = [str(getattr(item, "id", "")) for item in data]
        return cls(data=data, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None, has_more=has_more)
