"""The values that leave the library, with the fields of the public contract: status, transitions, failures, lists."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from operator import not_
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from phaseflow.domain.etags import etag_of
from phaseflow.domain.indexed_with import IndexedWith, StaleSetting
from phaseflow.domain.settings import SOURCES, Settings, Source
from phaseflow.domain.vocabulary import Action, JobPhase, JobStatus, PhaseStatus, SearchMode, WaitingOn


def timestamp(at: datetime) -> str:
    """UTC, ISO 8601 with milliseconds, ending in ``Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    PlainSerializer(timestamp, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
_Percent = Annotated[int, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]


class Value(BaseModel):
    """What leaves the library: immutable, with the names of the contract."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class Metrics(Value):
    """What a job has done so far. Loaded documents are new or changed ones."""

    documents_found: Count = 0
    documents_loaded: Count = 0
    documents_unchanged: Count = 0
    documents_deleted: Count = 0
    documents_failed: Count = 0
    chunks_created: Count = 0
    embeddings_computed: Count = 0
    embeddings_reused: Count = 0
    chunks_indexed: Count = 0


class PhaseDetail(Value):
    """One phase of a job. Items are documents in loading and chunking, chunks in embedding and indexing."""

    name: JobPhase
    status: PhaseStatus
    progress: _Percent
    items_processed: Count
    items_total: Count | None
    items_failed: Count
    items_reused: Count
    started_at: Timestamp | None
    completed_at: Timestamp | None
    active_seconds: float
    items_per_second: float | None
    waiting_on: WaitingOn | None
    error: str | None


class JobStatusResponse(Value):
    """The status of a job, the same in every place where it is shown. Derived from what the database holds.

    ``progress`` is 0 to 100, times are UTC, ``eta_seconds`` is None until every remaining phase has a total and a rate.
    """

    job_id: str
    kb_id: str
    status: JobStatus
    phase: JobPhase
    progress: float
    message: str
    error: str | None
    requested: Action | None
    waiting_on: WaitingOn | None
    allowed_actions: list[Action]
    eta_seconds: float | None
    metrics: Metrics
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    phase_details: list[PhaseDetail]

    @property
    def is_over(self) -> bool:
        """No phase will run again unless somebody acts. A failed job that waits for its retry is not over."""
        return self.status.is_terminal and self.waiting_on is None

    @property
    def is_idle(self) -> bool:
        """Over, or paused until somebody acts: one that waits for a slot, or for what its run needs, goes on alone."""
        if self.status is JobStatus.PAUSED:
            return self.waiting_on in {None, WaitingOn.PAUSE, WaitingOn.INTERRUPTED}
        return self.is_over


class Transition(Value):
    """One entry of the append-only log. ``phase`` is None for a transition of the job.

    ``seq`` numbers the entries of a database in the order of their commits; no number is used twice.
    """

    seq: int
    kb_id: str
    job_id: str
    phase: JobPhase | None
    from_status: Annotated[str, Field(alias="from")]
    to_status: Annotated[str, Field(alias="to")]
    reason: str | None
    error: str | None
    at: Timestamp


class Failure(Value):
    """A document that failed, and how often it was tried. ``code`` names the kind of failure."""

    uri: str
    phase: JobPhase
    code: str
    error: str
    attempts: int
    at: Timestamp


class DocumentCounts(Value):
    """The documents of a knowledge base by status."""

    queued: Count = 0
    processing: Count = 0
    indexed: Count = 0
    failed: Count = 0
    skipped: Count = 0


class SyncState(Value):
    """How a knowledge base keeps in step now: when its next job is due by the clock, which of its sources are watched,
    and what is wrong."""

    next_at: Timestamp | None = None
    watching: list[str] = []
    error: str | None = None


class KnowledgeBase(Value):
    """A named, searchable collection with the sources and settings of its next job.

    ``source`` is the one named ``default``. ``indexed_with`` is what made the passages that search sees, null when
    there are none; ``stale`` lists the settings that differ from it, or from what made some documents that could not be
    read since, with what the next job does about them.
    """

    kb_id: str
    source: Source | None
    sources: dict[str, Source]
    settings: Settings
    indexed_with: IndexedWith | None
    stale: list[StaleSetting]
    documents: Count
    chunks: Count
    counts: DocumentCounts
    created_at: Timestamp
    updated_at: Timestamp
    job: JobStatusResponse | None
    sync: SyncState | None = None

    @property
    def etag(self) -> str:
        """Names its definition, which is what can be edited: another one after each change to sources or settings.

        Neither jobs nor documents change it. One that was deleted and made anew has another one.
        """
        return definition_etag(self.kb_id, self.created_at, self.sources, self.settings)


def definition_etag(kb_id: str, created_at: datetime, sources: Mapping[str, Source], settings: Settings) -> str:
    """The ``etag`` of a knowledge base, by what is shown of its definition."""
    shown = SOURCES.dump_python(dict(sources), mode="json")
    return etag_of([kb_id, timestamp(created_at), shown, settings.model_dump(mode="json")])


class Vacuumed(Value):
    """What a vacuum has left. ``waits_for`` names knowledge bases whose open jobs are paused: theirs is left alone."""

    size_bytes: Count
    freed_bytes: Count
    waits_for: list[str]


ItemT = TypeVar("ItemT")


class Page(Value, Generic[ItemT]):
    """A part of a list. ``next_cursor`` asks for the part that follows; None at the end."""

    items: list[ItemT]
    next_cursor: str | None = None


class Place(Value):
    """Where a text stands: characters ``start`` to ``end`` of a document's extracted text."""

    uri: str
    start: Count
    end: Count


class SearchHit(Value):
    """A passage found. ``text`` is exactly characters ``start`` to ``end`` of the document's extracted text.

    ``score`` is between 0 and 1; those of one knowledge base and mode can be compared. ``also_in``: other places
    of the same text.
    """

    document_id: str
    uri: str
    title: str
    text: str
    score: float
    start: Count
    end: Count
    metadata: dict[str, Any] = {}
    also_in: Annotated[list[Place], Field(exclude_if=not_)] = []


class SearchHits(list[SearchHit]):
    """The passages found, best first: a list that also says how they were ranked.

    ``mode`` is how they were. ``degraded`` says in a sentence why that is not by vectors and words; None when it is.
    """

    def __init__(
        self, hits: Iterable[SearchHit] = (), mode: SearchMode = SearchMode.HYBRID, degraded: str | None = None
    ) -> None:
        super().__init__(hits)
        self.mode = mode
        self.degraded = degraded


class SearchResults(Value):
    """The passages found, best first. ``degraded`` says why they are not ranked by vectors and words, or is null."""

    hits: list[SearchHit]
    mode: SearchMode
    degraded: str | None

    @classmethod
    def of(cls, found: SearchHits) -> Self:
        """The JSON form of what a search has found."""
        return cls(hits=list(found), mode=found.mode, degraded=found.degraded)

    def as_hits(self) -> SearchHits:
        """What the library's search returns."""
        return SearchHits(self.hits, self.mode, self.degraded)
