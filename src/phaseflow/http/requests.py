"""What several endpoints take: the parameters and bodies of one stand beside it."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from phaseflow.domain.identifiers import DOCUMENT_ID_PATTERN, JOB_ID_PATTERN, KB_ID_PATTERN
from phaseflow.domain.patterns import worded
from phaseflow.domain.settings import Settings
from phaseflow.flow.inputs import CURSOR, MOST_ITEMS
from phaseflow.http.endpoint import Parameters

_NUMBER_CURSOR = worded("^[0-9]{1,18}$", "must be the `next_cursor` of the page before")
_TEXT_CURSOR = worded(f"^{CURSOR}", "must be the `next_cursor` of the page before")

KbId = Annotated[str, Field(pattern=KB_ID_PATTERN, description="The name of a knowledge base.")]
JobId = Annotated[str, Field(pattern=JOB_ID_PATTERN, description="The id of a job.")]
Limit = Annotated[int, Field(ge=1, le=MOST_ITEMS, description="Items in one answer, at most.")]
NumberCursor = Annotated[
    str | None,
    Field(pattern=_NUMBER_CURSOR, description="`next_cursor` of the page before; left out at the beginning."),
]
TextCursor = Annotated[
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


class JobPath(Parameters):
    """One job."""

    job_id: JobId


class DocumentPath(KbPath):
    """One document."""

    document_id: Annotated[str, Field(pattern=DOCUMENT_ID_PATTERN, description="The `id` of a document.")]


class Body(BaseModel):
    """A body in JSON; a field that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _marked(settings: Settings) -> Settings:
    return settings.marked(chosen_by_client=True)


ClientSettings = Annotated[Settings, AfterValidator(_marked)]
"""Settings as every body takes them: what they name gets no key of the operator and reaches nothing inside."""
