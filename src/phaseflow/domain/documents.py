"""A document as its users see it: one object a uri, whose status is derived from the rows that the phases move."""

from collections.abc import Mapping
from typing import Any

from phaseflow.domain.status import Count, JobStatusResponse, Timestamp, Value
from phaseflow.domain.vocabulary import DocumentStatus, JobPhase

MetadataValue = str | bool | int | float | list[str]


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
    metadata: dict[str, MetadataValue]
    created_at: Timestamp
    updated_at: Timestamp
    indexed_at: Timestamp | None


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


def effective_metadata(own: Mapping[str, Any], given: Mapping[str, Any] | None, *, replaces: bool) -> dict[str, Any]:
    """What holds: metadata given from outside over that found in the document, or in its place."""
    if given is None:
        return dict(own)
    return dict(given) if replaces else {**own, **given}
