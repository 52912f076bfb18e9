"""The endpoints of ``/api/ingestion``. Each hands its request to the engine and answers what that says."""

from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from phaseflow.domain.counting import counted
from phaseflow.domain.errors import (
    InvalidRequest,
    InvalidTransition,
    JobConflict,
    JobNotFound,
    KnowledgeBaseNotFound,
    PhaseflowError,
    PreconditionFailed,
    SourceNotAllowed,
)
from phaseflow.domain.status import (
    Failure,
    JobStatusResponse,
    KnowledgeBase,
    Page,
    SearchResults,
    Transition,
)
from phaseflow.domain.vocabulary import Action
from phaseflow.http import requests
from phaseflow.http.app_state import AppState
from phaseflow.http.endpoint import JSON, Endpoint, JsonResult, Parameters, RequestContext
from phaseflow.http.preconditions import KbChange
from phaseflow.http.problems import LimitReached

KBS = "/api/ingestion/kb"
KB = f"{KBS}/{{kb_id}}"
JOB = "/api/ingestion/jobs/{job_id}"
_MOST_NAMES = 1_000_000
"""All there are: a service takes ten thousand knowledge bases, unless its operator says otherwise."""
_NO_KB = (KnowledgeBaseNotFound,)
_NO_JOB = (KnowledgeBaseNotFound, JobNotFound)
_VERB = (KnowledgeBaseNotFound, JobNotFound, JobConflict, InvalidTransition)


class Revisions(BaseModel):
    """A number for each knowledge base there is. It grows whenever its definition, its counts, its newest job or how
    it keeps in step may have changed, and begins anew when the service is started."""

    revisions: dict[str, int]


async def _revisions(call: RequestContext[Parameters, None]) -> JsonResult:
    flow = call.state.flow
    names = await flow.notes.kbs_by_age(None, _MOST_NAMES, newest_first=False)
    feed = flow.tracker.feed
    return JsonResult(Revisions(revisions={name: feed.revision(name) for name in names}))


async def _list_kbs(call: RequestContext[requests.KbList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.kbs(call.at.limit, call.at.cursor))


async def _get_kb(call: RequestContext[requests.KbPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.kb(call.at.kb_id))


async def _put_kb(call: RequestContext[KbChange, requests.KnowledgeBaseBody]) -> JsonResult:
    await check_room(call)
    at, body = call.at, call.body
    kb = await call.state.flow.put_kb(
        at.kb_id, body.source, body.settings, sources=body.sources,
        if_match=at.if_match, if_none_match=at.if_none_match,
    )  # fmt: skip
    return JsonResult(kb)


async def _delete_kb(call: RequestContext[requests.KbPath, None]) -> JsonResult:
    await call.state.flow.delete_kb(call.at.kb_id)
    return JsonResult(None, 204)


async def _start(call: RequestContext[requests.KbPath, requests.StartBody | None]) -> JsonResult:
    body = call.body or requests.StartBody()
    await check_room(call)
    job = await call.state.flow.start(
        call.at.kb_id,
        body.source,
        sources=body.sources,
        settings=body.settings,
        full=body.full,
        hold=body.hold,
        allow_deletes=body.allow_deletes,
    )
    return JsonResult(await job.status(), 202)


async def _pause(call: RequestContext[requests.KbPath, None]) -> JsonResult:
    return await _act(call, Action.PAUSE)


async def _resume(call: RequestContext[requests.KbPath, None]) -> JsonResult:
    return await _act(call, Action.RESUME)


async def _cancel(call: RequestContext[requests.KbPath, None]) -> JsonResult:
    return await _act(call, Action.CANCEL)


async def _retry(call: RequestContext[requests.KbPath, None]) -> JsonResult:
    return await _act(call, Action.RETRY)


async def _status(call: RequestContext[requests.KbPath, None]) -> JsonResult | Response:
    shown = await call.state.hub.status(call.at.kb_id)
    if shown is None:
        return JsonResult(await call.state.flow.status(call.at.kb_id))
    call.bind_job(shown.job_id)
    return Response(shown.json, media_type=JSON)


async def _list_jobs(call: RequestContext[requests.JobList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.jobs(call.at.kb_id, call.at.limit, call.at.cursor))


async def _list_failures(call: RequestContext[requests.FailureList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.failures(call.at.kb_id, call.at.limit, call.at.cursor))


async def _search(call: RequestContext[requests.SearchQuery, None]) -> JsonResult:
    return await _found(call, call.at)


async def _search_by_body(call: RequestContext[requests.KbPath, requests.SearchBody]) -> JsonResult:
    return await _found(call, call.body)


async def _found(call: RequestContext[Any, Any], asked: requests.SearchQuery | requests.SearchBody) -> JsonResult:
    found = await call.state.flow.search(
        call.at.kb_id, asked.q, asked.limit, filter=asked.filter, mode=asked.mode, min_score=asked.min_score
    )
    return JsonResult(SearchResults.of(found))


async def _get_job(call: RequestContext[requests.JobPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.job_status(call.at.job_id))


async def _list_transitions(call: RequestContext[requests.TransitionList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.transitions_of(call.at.job_id, call.at.limit, call.at.cursor))


async def _act(call: RequestContext[requests.KbPath, None], action: Action) -> JsonResult:
    phase = call.at.phase if isinstance(call.at, requests.PhasePath) else None
    answered, changed = await call.state.flow.act(action, call.at.kb_id, phase)
    return JsonResult(answered, 202 if changed else 200)


async def check_room(call: RequestContext[requests.KbPath, Any], *, makes_job: bool = True) -> None:
    """Raise LimitReached when this server takes no more jobs, or no new knowledge base."""
    await check_room_for(call.state, call.at.kb_id, makes_job=makes_job)


async def check_room_for(state: AppState, kb_id: str, *, makes_job: bool = True) -> None:
    """The same for a knowledge base that does not stand in the path."""
    flow, limits = state.flow, state.limits
    kbs, open_jobs = await flow.load()
    if makes_job and open_jobs >= limits.open_jobs:
        raise LimitReached(
            f"{counted(open_jobs, 'job')} {'is' if open_jobs == 1 else 'are'} not over yet;"
            " wait for one to end, or cancel one"
        )
    if kbs < limits.kbs:
        return
    try:
        await flow.status(kb_id)
    except KnowledgeBaseNotFound:
        raise LimitReached(
            f"this server holds {kbs} knowledge bases, which is all it takes; delete one first"
        ) from None
    except JobNotFound:
        return


def _verb(name: str, summary: str, handle: Any) -> Endpoint:
    good = {200: JobStatusResponse, 202: JobStatusResponse}
    return Endpoint("POST", f"{KB}/{name}", summary, handle, good, requests.KbPath, problems=_VERB)


def _phase_verb(name: str, summary: str, handle: Any) -> Endpoint:
    good = {200: JobStatusResponse, 202: JobStatusResponse}
    path = f"{KB}/phases/{{phase}}/{name}"
    return Endpoint("POST", path, summary, handle, good, requests.PhasePath, problems=_VERB)


def _read(path: str, summary: str, handle: Any, answer: Any, parameters: Any, problems: Any = ()) -> Endpoint:
    return Endpoint("GET", path, summary, handle, {200: answer}, parameters, problems=problems)


_SEARCH: tuple[type[PhaseflowError], ...] = (KnowledgeBaseNotFound, InvalidRequest)
_STARTING: tuple[type[PhaseflowError], ...] = (
    KnowledgeBaseNotFound, JobConflict, SourceNotAllowed, InvalidRequest, LimitReached,
)  # fmt: skip
ENDPOINTS = [
    _read(KBS, "All knowledge bases, each with its latest job", _list_kbs, Page[KnowledgeBase], requests.KbList),
    Endpoint("GET", "/api/ingestion/revisions", "Which knowledge bases there are, and which may have changed",
             _revisions, {200: Revisions}),
    Endpoint("GET", KB, "One knowledge base", _get_kb, {200: KnowledgeBase}, requests.KbPath, problems=_NO_KB,
             is_tagged=True),
    Endpoint(
        "PUT", KB, "Create or change a knowledge base", _put_kb, {200: KnowledgeBase}, KbChange,
        requests.KnowledgeBaseBody, body_required=True,
        problems=(KnowledgeBaseNotFound, PreconditionFailed, SourceNotAllowed, InvalidRequest, LimitReached),
    ),
    Endpoint(
        "DELETE", KB, "Delete a knowledge base with its index and history", _delete_kb, {204: None}, requests.KbPath,
        problems=(KnowledgeBaseNotFound, JobConflict),
    ),
    Endpoint(
        "POST", f"{KB}/start", "Start a job; a source creates the knowledge base", _start, {202: JobStatusResponse},
        requests.KbPath, requests.StartBody, problems=_STARTING,
    ),
    _verb("pause", "Pause the job after the batch in hand", _pause),
    _verb("resume", "Go on from exactly where it stood", _resume),
    _verb("cancel", "End the job; what was indexed stays searchable", _cancel),
    _verb("retry", "Go on with a failed job", _retry),
    _phase_verb("pause", "Pause one phase, or hold it before it starts", _pause),
    _phase_verb("resume", "Go on with one phase", _resume),
    _read(f"{KB}/status", "The status of the latest job", _status, JobStatusResponse, requests.KbPath, _NO_JOB),
    _read(f"{KB}/jobs", "The jobs, newest first", _list_jobs, Page[JobStatusResponse], requests.JobList, _NO_KB),
    _read(f"{KB}/failures", "Documents that failed", _list_failures, Page[Failure], requests.FailureList, _NO_KB),
    _read(f"{KB}/search", "The passages that answer best", _search, SearchResults, requests.SearchQuery, _SEARCH),
    Endpoint(
        "POST", f"{KB}/search", "The same, asked as JSON", _search_by_body, {200: SearchResults}, requests.KbPath,
        requests.SearchBody, body_required=True, problems=_SEARCH,
    ),
    _read(JOB, "One job, also one that is over", _get_job, JobStatusResponse, requests.JobPath, (JobNotFound,)),
    _read(f"{JOB}/transitions", "The log of a job", _list_transitions, Page[Transition], requests.TransitionList,
          (JobNotFound,)),
]  # fmt: skip
