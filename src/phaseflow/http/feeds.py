"""The endpoints of the live feed."""

from contextlib import suppress
from typing import Annotated, ClassVar

from pydantic import Field
from starlette.responses import Response

from phaseflow.domain.errors import JobNotFound, KnowledgeBaseNotFound
from phaseflow.http.app_state import AppState
from phaseflow.http.endpoint import Endpoint, Parameters, RequestContext
from phaseflow.http.event_id import EventId
from phaseflow.http.ingestion import KB
from phaseflow.http.problems import LimitReached
from phaseflow.http.requests import KbId, KbPath
from phaseflow.http.stream import EVENTS, EventStream

_LAST_EVENT_ID = "Last-Event-ID"


class _FeedQuery(Parameters):
    """Where to go on in the live feed."""

    headers: ClassVar[frozenset[str]] = frozenset({_LAST_EVENT_ID})
    header_id: Annotated[
        str | None,
        Field(alias=_LAST_EVENT_ID, description="`last_event_id`, as browsers send it by themselves; goes before it."),
    ] = None
    log_ids: Annotated[
        bool, Field(description="Whether ids say which log they come from: then those of another are told apart.")
    ] = False
    last_event_id: Annotated[
        str | None, Field(description="The last id received; 0 replays all. Anything but a number counts as none.")
    ] = None


class _AllFeedQuery(_FeedQuery):
    """The live feed of all knowledge bases."""

    documents_of: Annotated[
        KbId | None, Field(description="A knowledge base whose documents are told of, too: event `document`.")
    ] = None


class _KbFeedQuery(_FeedQuery, KbPath):
    """The live feed of one knowledge base."""

    documents: Annotated[bool, Field(description="Whether documents are told of, too: event `document`.")] = False


async def _events(call: RequestContext[_AllFeedQuery, None]) -> Response:
    at = call.at
    if at.documents_of is not None:
        await _check_known(call.state, at.documents_of)
    return EventStream(call.state, None, _last_event_id(call), documents_of=at.documents_of, with_log=at.log_ids)


async def _kb_events(call: RequestContext[_KbFeedQuery, None]) -> Response:
    at = call.at
    await _check_known(call.state, at.kb_id)
    documents_of = at.kb_id if at.documents else None
    return EventStream(call.state, at.kb_id, _last_event_id(call), documents_of=documents_of, with_log=at.log_ids)


async def _check_known(state: AppState, kb_id: str) -> None:
    with suppress(JobNotFound):  # it has never run: the stream opens and waits
        await state.flow.status(kb_id)


def _last_event_id(call: RequestContext[_FeedQuery, None]) -> EventId | None:
    found = (EventId.of(text) for text in (call.at.header_id, call.at.last_event_id))
    return next((one for one in found if one is not None), None)


_PROBLEMS = (KnowledgeBaseNotFound, LimitReached)
ENDPOINTS = [
    Endpoint("GET", f"{KB}/events", "The live feed of one knowledge base", _kb_events, {200: EVENTS}, _KbFeedQuery,
             problems=_PROBLEMS),
    Endpoint("GET", "/api/ingestion/events", "The live feed of all", _events, {200: EVENTS}, _AllFeedQuery,
             problems=_PROBLEMS),
]  # fmt: skip
