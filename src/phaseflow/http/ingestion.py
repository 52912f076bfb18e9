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
from phaseflow.domain.settings import Source, Sources
from phaseflow.domain.status import (
    Failure,
    JobStatusResponse,
    KnowledgeBase,
    Page,
    Transition,
)
from phaseflow.domain.vocabulary import Action, JobPhase
from phaseflow.http.app_state import AppState
from phaseflow.http.endpoint import JSON, Endpoint, JsonResult, Parameters, RequestContext
from phaseflow.http.preconditions import Conditional
from phaseflow.http.problems import LimitReached
from phaseflow.http.requests import Body, ClientSettings, JobPath, KbPath, Limit, NumberCursor, TextCursor

KBS = "/api/ingestion/kb"
KB = f"{KBS}/{{kb_id}}"
JOB = "/api/ingestion/jobs/{job_id}"
_MOST_NAMES = 1_000_000
"""All there are: a service takes ten thousand knowledge bases, unless its operator says otherwise."""
_NO_KB = (KnowledgeBaseNotFound,)
_NO_JOB = (KnowledgeBaseNotFound, JobNotFound)
_VERB = (KnowledgeBaseNotFound, JobNotFound, JobConflict, InvalidTransition)


class _Revisions(BaseModel):
    """A number for each knowledge base there is. It grows whenever its definition, its counts, its newest job or how
    it keeps in step may have changed, and begins anew when the service is started."""

    revisions: dict[str, int]


async def _revisions(call: RequestContext[Parameters, None]) -> JsonResult:
    flow = call.state.flow
    names = await flow.notes.kbs_by_age(None, _MOST_NAMES, newest_first=False)
    feed = flow.tracker.feed
    return JsonResult(_Revisions(revisions={name: feed.revision(name) for name in names}))


class _KbList(Parameters):
    """A page of the knowledge bases."""

    limit: Limit = 100
    cursor: TextCursor = None


async def _list_kbs(call: RequestContext[_KbList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.kbs(call.at.limit, call.at.cursor))


async def _get_kb(call: RequestContext[KbPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.kb(call.at.kb_id))


class _KnowledgeBaseBody(Body):
    """What a knowledge base is to be. Without sources or settings, those it has stay.

    ``source`` is short for one source named ``default``.
    """

    source: Source | None = None
    sources: Sources | None = None
    settings: ClientSettings | None = None


class _KbChange(Conditional, KbPath):
    """One knowledge base, if it is as it has to be."""


async def _put_kb(call: RequestContext[_KbChange, _KnowledgeBaseBody]) -> JsonResult:
    await check_room(call.state, call.at.kb_id)
    at, body = call.at, call.body
    kb = await call.state.flow.put_kb(
        at.kb_id, body.source, body.settings, sources=body.sources,
        if_match=at.if_match, if_none_match=at.if_none_match,
    )  # fmt: skip
    return JsonResult(kb)


async def _delete_kb(call: RequestContext[KbPath, None]) -> JsonResult:
    await call.state.flow.delete_kb(call.at.kb_id)
    return JsonResult(None, 204)


class _StartBody(Body):
    """How a job begins. ``full`` reads every document again; ``hold`` names phases that begin paused.

    ``allow_deletes`` takes out even most of a source without a pause before. ``source`` is short for one source named
    ``default``.
    """

    source: Source | None = None
    sources: Sources | None = None
    settings: ClientSettings | None = None
    full: bool = False
    hold: tuple[JobPhase, ...] = ()
    allow_deletes: bool = False


async def _start(call: RequestContext[KbPath, _StartBody | None]) -> JsonResult:
    body = call.body or _StartBody()
    await check_room(call.state, call.at.kb_id)
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


async def _pause(call: RequestContext[KbPath, None]) -> JsonResult:
    return await _act(call, Action.PAUSE)


async def _resume(call: RequestContext[KbPath, None]) -> JsonResult:
    return await _act(call, Action.RESUME)


async def _cancel(call: RequestContext[KbPath, None]) -> JsonResult:
    return await _act(call, Action.CANCEL)


async def _retry(call: RequestContext[KbPath, None]) -> JsonResult:
    return await _act(call, Action.RETRY)


async def _status(call: RequestContext[KbPath, None]) -> JsonResult | Response:
    shown = await call.state.hub.status(call.at.kb_id)
    if shown is None:
        return JsonResult(await call.state.flow.status(call.at.kb_id))
    call.bind_job(shown.job_id)
    return Response(shown.json, media_type=JSON)


class _JobList(KbPath):
    """A page of the jobs of a knowledge base."""

    limit: Limit = 100
    cursor: NumberCursor = None


async def _list_jobs(call: RequestContext[_JobList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.jobs(call.at.kb_id, call.at.limit, call.at.cursor))


class _FailureList(KbPath):
    """A page of the failures of a knowledge base."""

    limit: Limit = 100
    cursor: TextCursor = None


async def _list_failures(call: RequestContext[_FailureList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.failures(call.at.kb_id, call.at.limit, call.at.cursor))


async def _get_job(call: RequestContext[JobPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.job_status(call.at.job_id))


class _TransitionList(JobPath):
    """A page of the log of a job."""

    limit: Limit = 100
    cursor: NumberCursor = None


async def _list_transitions(call: RequestContext[_TransitionList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.transitions_of(call.at.job_id, call.at.limit, call.at.cursor))


class _PhasePath(KbPath):
    """One phase of the newest job of a knowledge base."""

    phase: JobPhase


async def _act(call: RequestContext[KbPath, None], action: Action) -> JsonResult:
    phase = call.at.phase if isinstance(call.at, _PhasePath) else None
    answered, changed = await call.state.flow.act(action, call.at.kb_id, phase)
    return JsonResult(answered, 202 if changed else 200)


async def check_room(state: AppState, kb_id: str, *, makes_job: bool = True) -> None:
    """Raise LimitReached when this server takes no more jobs, or no new knowledge base."""
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
    return Endpoint("POST", f"{KB}/{name}", summary, handle, good, KbPath, problems=_VERB)


def _phase_verb(name: str, summary: str, handle: Any) -> Endpoint:
    good = {200: JobStatusResponse, 202: JobStatusResponse}
    path = f"{KB}/phases/{{phase}}/{name}"
    return Endpoint("POST", path, summary, handle, good, _PhasePath, problems=_VERB)


def _read(path: str, summary: str, handle: Any, answer: Any, parameters: Any, problems: Any = ()) -> Endpoint:
    return Endpoint("GET", path, summary, handle, {200: answer}, parameters, problems=problems)


_STARTING: tuple[type[PhaseflowError], ...] = (
    KnowledgeBaseNotFound, JobConflict, SourceNotAllowed, InvalidRequest, LimitReached,
)  # fmt: skip
ENDPOINTS = [
    _read(KBS, "All knowledge bases, each with its latest job", _list_kbs, Page[KnowledgeBase], _KbList),
    Endpoint("GET", "/api/ingestion/revisions", "Which knowledge bases there are, and which may have changed",
             _revisions, {200: _Revisions}),
    Endpoint("GET", KB, "One knowledge base", _get_kb, {200: KnowledgeBase}, KbPath, problems=_NO_KB,
             is_tagged=True),
    Endpoint(
        "PUT", KB, "Create or change a knowledge base", _put_kb, {200: KnowledgeBase}, _KbChange,
        _KnowledgeBaseBody, body_required=True,
        problems=(KnowledgeBaseNotFound, PreconditionFailed, SourceNotAllowed, InvalidRequest, LimitReached),
    ),
    Endpoint(
        "DELETE", KB, "Delete a knowledge base with its index and history", _delete_kb, {204: None}, KbPath,
        problems=(KnowledgeBaseNotFound, JobConflict),
    ),
    Endpoint(
        "POST", f"{KB}/start", "Start a job; a source creates the knowledge base", _start, {202: JobStatusResponse},
        KbPath, _StartBody, problems=_STARTING,
    ),
    _verb("pause", "Pause the job after the batch in hand", _pause),
    _verb("resume", "Go on from exactly where it stood", _resume),
    _verb("cancel", "End the job; what was indexed stays searchable", _cancel),
    _verb("retry", "Go on with a failed job", _retry),
    _phase_verb("pause", "Pause one phase, or hold it before it starts", _pause),
    _phase_verb("resume", "Go on with one phase", _resume),
    _read(f"{KB}/status", "The status of the latest job", _status, JobStatusResponse, KbPath, _NO_JOB),
    _read(f"{KB}/jobs", "The jobs, newest first", _list_jobs, Page[JobStatusResponse], _JobList, _NO_KB),
    _read(f"{KB}/failures", "Documents that failed", _list_failures, Page[Failure], _FailureList, _NO_KB),
    _read(JOB, "One job, also one that is over", _get_job, JobStatusResponse, JobPath, (JobNotFound,)),
    _read(f"{JOB}/transitions", "The log of a job", _list_transitions, Page[Transition], _TransitionList,
          (JobNotFound,)),
]  # fmt: skip
