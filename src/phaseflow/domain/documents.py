"""A document as its users see it: one object a uri, whose status is derived from the rows that the phases move."""

from typing import Annotated, Final, Self

from pydantic import Field

from phaseflow.domain.etags import etag_of
from phaseflow.domain.status import Count, JobStatusResponse, Timestamp, Value
from phaseflow.domain.vocabulary import DocumentStatus, JobPhase, JobStatus

_MetadataValue = str | bool | int | float | list[str]
_FOR_A_START: Final = "waits for the next start or push"
_WAITS_AFTER: Final = {
    JobStatus.FAILED: f"{_FOR_A_START}, or for a retry of the failed job",
    JobStatus.CANCELLED: _FOR_A_START,
    JobStatus.PAUSED: "waits for the job to be resumed",
}


class DocumentInfo(Value):
    """What a knowledge base knows under one uri.

    ``phase`` is the one that has it or has it next (``processing``), or in which it failed. ``searchable``: a version
    of it answers searches, an older one while a newer one is on its way or has failed. ``attempts`` is how often it was
    loaded. ``size`` is in bytes; it and ``media_type`` are None until they are known.
    """

    id: str
    uri: str
    source: str
    title: str
    media_type: str | None
    size: Count | None
    status: DocumentStatus
    phase: JobPhase | None
    searchable: bool
    chunks: Count
    attempts: Count
    code: str | None
    error: str | None
    metadata: dict[str, _MetadataValue]
    created_at: Timestamp
    updated_at: Timestamp
    indexed_at: Timestamp | None

    @property
    def etag(self) -> str:
        """Names its metadata, which are what can be edited: another one after each change to them."""
        return etag_of([self.id, self.metadata])


class DocumentRetried(DocumentInfo):
    """A document that is to be loaded anew; ``message`` says what it waits for, where nothing goes on by itself."""

    message: Annotated[str | None, Field(exclude_if=lambda message: message is None)] = None

    @classmethod
    def of(cls, document: DocumentInfo, job: JobStatusResponse | None) -> Self:
        """The answer to a retry of a document, by the newest job of its knowledge base."""
        is_waiting = document.status is DocumentStatus.QUEUED
        message = _WAITS_AFTER.get(job.status) if is_waiting and job is not None else None
        return cls(**{name: getattr(document, name) for name in DocumentInfo.model_fields}, message=message)


class DocumentsChanged(Value):
    """Documents that were taken in, in the order sent, and the newest job of their knowledge base."""

    documents: list[DocumentInfo]
    job: JobStatusResponse | None


class PushedDocument(Value):
    """What is kept of a document that was pushed. ``digest`` is hex, BLAKE2b of 16 bytes; ``origin`` where its sender
    said that it came from."""

    uri: str
    size: Count
    digest: str
    origin: str | None


class DocumentChunk(Value):
    """A passage of a document: ``text`` is exactly characters ``start`` to ``end`` of its extracted text."""

    position: Count
    start: Count
    end: Count
    text: str
