"""What clients send: the parameters and bodies of the endpoints, as models."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from phaseflow.domain.filters import LONGEST_FILTER
from phaseflow.domain.identifiers import DOCUMENT_ID_PATTERN, JOB_ID_PATTERN, KB_ID_PATTERN
from phaseflow.domain.new_document import LONGEST_ORIGIN, Metadata, NewDocument
from phaseflow.domain.patterns import worded
from phaseflow.domain.phase import LARGEST_COUNT
from phaseflow.domain.search_query import LONGEST_QUERY
from phaseflow.domain.settings import Settings, Source, Sources
from phaseflow.domain.validation import NOT_NAN
from phaseflow.domain.vocabulary import DocumentStatus, JobPhase, SearchMode
from phaseflow.domain.webhooks import WEBHOOK_NAME
from phaseflow.flow.document_queries import LONGEST_PART
from phaseflow.flow.documents import TOGETHER
from phaseflow.flow.inputs import CURSOR, MOST_ITEMS
from phaseflow.flow.searching import MOST_HITS
from phaseflow.http.endpoint import Parameters

_NUMBER_CURSOR = worded("^[0-9]{1,18}$", "must be the `next_cursor` of the page before")
_TEXT_CURSOR = worded(f"^{CURSOR}", "must be the `next_cursor` of the page before")

KbId = Annotated[str, Field(pattern=KB_ID_PATTERN, description="The name of a knowledge base.")]
JobId = Annotated[str, Field(pattern=JOB_ID_PATTERN, description="The id of a job.")]
_NOT_BLANK = worded(r"\S", "must hold more than blanks")
_Limit = Annotated[int, Field(ge=1, le=MOST_ITEMS, description="Items in one answer, at most.")]
NumberCursor = Annotated[
    str | None,
    Field(pattern=_NUMBER_CURSOR, description="`next_cursor` of the page before; left out at the beginning."),
]
_TextCursor = Annotated[
    str | None,
    Field(
        pattern=_TEXT_CURSOR,
        max_length=8192,
        description="`next_cursor` of the page before; left out at the beginning.",
    ),
]


class KbPath(Parameters):
    """One knowledge base."""

    kb_id: KbId


class PhasePath(KbPath):
    """One phase of the newest job of a knowledge base."""

    phase: JobPhase


class JobPath(Parameters):
    """One job."""

    job_id: JobId


class JobPhasePath(JobPath):
    """One phase of a job."""

    phase: JobPhase


class KbList(Parameters):
    """A page of the knowledge bases."""

    limit: _Limit = 100
    cursor: _TextCursor = None


class JobList(KbPath):
    """A page of the jobs of a knowledge base."""

    limit: _Limit = 100
    cursor: NumberCursor = None


class FailureList(KbPath):
    """A page of the failures of a knowledge base."""

    limit: _Limit = 100
    cursor: _TextCursor = None


class DocumentList(KbPath):
    """A page of the documents of a knowledge base."""

    limit: _Limit = 100
    cursor: _TextCursor = None
    q: Annotated[
        str, Field(max_length=LONGEST_PART, description="A part of the uri, in upper or lower case; empty: all.")
    ] = ""
    status: Annotated[DocumentStatus | None, Field(description="Only the documents with this status.")] = None
    source: Annotated[str | None, Field(max_length=63, description="Only the documents of this source.")] = None


class PushedList(KbPath):
    """A page of what was pushed."""

    limit: _Limit = 100
    cursor: _TextCursor = None
    origin: Annotated[
        str | None, Field(max_length=LONGEST_ORIGIN, description="Only what came from there, as its sender called it.")
    ] = None


class DocumentPath(KbPath):
    """One document."""

    document_id: Annotated[str, Field(pattern=DOCUMENT_ID_PATTERN, description="The `id` of a document.")]


class ChunkList(DocumentPath):
    """A page of the passages of a document."""

    limit: _Limit = 100
    cursor: NumberCursor = None


class TransitionList(JobPath):
    """A page of the log of a job."""

    limit: _Limit = 100
    cursor: NumberCursor = None


Question = Annotated[
    str, Field(min_length=1, max_length=LONGEST_QUERY, pattern=_NOT_BLANK, description="The question.")
]
_MostHits = Annotated[int, Field(ge=1, le=MOST_HITS, description="Passages, at most.")]
Mode = Annotated[SearchMode, Field(description="By what passages are ranked.")]

_MinScore = Annotated[float, NOT_NAN, Field(ge=0, le=1, description="Hits with a lower score are left out.")]


class SearchQuery(KbPath):
    """A question to a knowledge base."""

    q: Question
    limit: _MostHits = 10
    filter: Annotated[
        str | None, Field(max_length=LONGEST_FILTER, description="Which documents count: a filter as JSON.")
    ] = None
    mode: Mode = SearchMode.HYBRID
    min_score: _MinScore = 0.0


class SearchBody(BaseModel):
    """A question to a knowledge base, as JSON."""

    model_config = ConfigDict(extra="forbid")
    q: Question
    limit: _MostHits = 10
    filter: Annotated[dict[str, Any] | None, Field(description="Which documents count, in OpenAI's form.")] = None
    mode: Mode = SearchMode.HYBRID
    min_score: _MinScore = 0.0


class DocumentQuery(KbPath):
    """One uploaded document."""

    uri: Annotated[str, Field(min_length=1, max_length=8192, description="The document, as the upload answered it.")]


class WebhookPath(Parameters):
    """One webhook."""

    name: Annotated[str, Field(pattern=WEBHOOK_NAME, description="The name of a webhook.")]


class WebhookList(Parameters):
    """A page of the webhooks."""

    limit: _Limit = 100
    cursor: _TextCursor = None


class FolderQuery(Parameters):
    """A folder to look into."""

    path: Annotated[
        str | None, Field(min_length=1, max_length=8192, description="As a source names it; left out: where to begin.")
    ] = None


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _marked(settings: Settings) -> Settings:
    return settings.marked(chosen_by_client=True)


_ClientSettings = Annotated[Settings, AfterValidator(_marked)]
"""Settings as every body takes them: what they name gets no key of the operator and reaches nothing inside."""


class KnowledgeBaseBody(_Body):
    """What a knowledge base is to be. Without sources or settings, those it has stay.

    ``source`` is short for one source named ``default``.
    """

    source: Source | None = None
    sources: Sources | None = None
    settings: _ClientSettings | None = None


class StartBody(_Body):
    """How a job begins. ``full`` reads every document again; ``hold`` names phases that begin paused.

    ``allow_deletes`` takes out even most of a source without a pause before. ``source`` is short for one source named
    ``default``.
    """

    source: Source | None = None
    sources: Sources | None = None
    settings: _ClientSettings | None = None
    full: bool = False
    hold: list[JobPhase] = []
    allow_deletes: bool = False


class EmbedderTrialBody(_Body):
    """Settings whose embedder is to be tried out; ``kb_id``: for this knowledge base, which may have it already."""

    settings: _ClientSettings
    kb_id: KbId | None = None


class JobBody(_Body):
    """A job that the program which asks for it runs itself. ``can_retry``: it retries failed phases on request."""

    job_id: JobId
    kb_id: KbId
    lease_s: Annotated[
        float,
        Field(ge=1, le=86_400, description="Seconds without a report after which its program is taken for dead."),
    ] = 60.0
    can_retry: bool = False


class FailBody(_Body):
    """Why a phase failed, for people."""

    error: Annotated[str, Field(min_length=1)]


class ProgressBody(_Body):
    """The counts of a running phase. Without a total, the one that is known stays."""

    items_processed: Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
    items_total: Annotated[int | None, Field(ge=0, le=LARGEST_COUNT)] = None


class NewDocumentsBody(_Body):
    """Texts to take in."""

    documents: Annotated[list[NewDocument], Field(min_length=1, max_length=TOGETHER)]


class MetadataBody(_Body):
    """What is said about a document, in place of all that was said before."""

    metadata: Metadata


class LoginBody(_Body):
    """The token, once; a cookie stands for it from then on."""

    token: Annotated[str, Field(max_length=8192)]
