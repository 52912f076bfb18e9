"""The endpoints for programs that run their pipelines elsewhere, and report what becomes of the phases."""

from typing import Annotated, Any

from pydantic import Field

from phaseflow.domain.errors import InvalidRequest, InvalidTransition, JobConflict, JobNotFound
from phaseflow.domain.lease import Lease
from phaseflow.domain.phase import LARGEST_COUNT
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.http.endpoint import Endpoint, JsonResult, Parameters, RequestContext
from phaseflow.http.ingestion import JOB, check_room
from phaseflow.http.problems import LimitReached
from phaseflow.http.requests import Body, JobId, JobPath, KbId


class _JobPhasePath(JobPath):
    """One phase of a job."""

    phase: JobPhase


Report = RequestContext[_JobPhasePath, None]


class _JobBody(Body):
    """A job that the program which asks for it runs itself. ``can_retry``: it retries failed phases on request."""

    job_id: JobId
    kb_id: KbId
    lease_s: Annotated[
        float,
        Field(ge=1, le=86_400, description="Seconds without a report after which its program is taken for dead."),
    ] = 60.0
    can_retry: bool = False


async def _create_job(call: RequestContext[Parameters, _JobBody]) -> JsonResult:
    body = call.body
    await check_room(call.state, body.kb_id)
    lease = Lease(body.lease_s, body.can_retry)
    return JsonResult(await call.state.flow.tracker.initialize_phases(body.job_id, body.kb_id, lease=lease), 201)


async def _renew_lease(call: RequestContext[JobPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.renew_lease(call.at.job_id))


async def _get(call: Report) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.get_consolidated_status(call.at.job_id, call.at.phase))


async def _report_start(call: Report) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.start_phase(call.at.job_id, call.at.phase))


async def _report_pause(call: Report) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.pause_phase(call.at.job_id, call.at.phase))


async def _report_resume(call: Report) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.resume_phase(call.at.job_id, call.at.phase))


async def _report_complete(call: Report) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.complete_phase(call.at.job_id, call.at.phase))


async def _report_retry(call: Report) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.retry_phase(call.at.job_id, call.at.phase))


class _FailBody(Body):
    """Why a phase failed, for people."""

    error: Annotated[str, Field(min_length=1)]


async def _report_fail(call: RequestContext[_JobPhasePath, _FailBody]) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.fail_phase(call.at.job_id, call.at.phase, call.body.error))


class _ProgressBody(Body):
    """The counts of a running phase. Without a total, the one that is known stays."""

    items_processed: Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
    items_total: Annotated[int | None, Field(ge=0, le=LARGEST_COUNT)] = None


async def _report_progress(call: RequestContext[_JobPhasePath, _ProgressBody]) -> JsonResult:
    counts = call.body.items_processed, call.body.items_total
    return JsonResult(await call.state.flow.tracker.update_progress(call.at.job_id, call.at.phase, *counts))


def _report(name: str, summary: str, handle: Any, body: Any = None) -> Endpoint:
    return Endpoint(
        "POST", f"{JOB}/phases/{{phase}}/{name}", summary, handle, {200: JobStatusResponse}, _JobPhasePath,
        body, body_required=body is not None, problems=(JobNotFound, InvalidTransition, JobConflict),
    )  # fmt: skip


ENDPOINTS = [
    Endpoint(
        "POST", "/api/ingestion/jobs", "Create a job that its program runs itself, and reports on", _create_job,
        {201: JobStatusResponse}, body=_JobBody, body_required=True,
        problems=(JobConflict, InvalidRequest, LimitReached),
    ),
    Endpoint(
        "POST", f"{JOB}/renew", "Say that the program of a job is alive", _renew_lease, {200: JobStatusResponse},
        JobPath, problems=(JobNotFound,),
    ),
    Endpoint(
        "GET", f"{JOB}/phases/{{phase}}", "One job, and in `requested` what is asked of one phase", _get,
        {200: JobStatusResponse}, _JobPhasePath, problems=(JobNotFound,),
    ),
    _report("start", "A phase has started", _report_start),
    _report("pause", "A phase is paused", _report_pause),
    _report("resume", "A phase is running again", _report_resume),
    _report("complete", "A phase is completed", _report_complete),
    _report("fail", "A phase has failed", _report_fail, _FailBody),
    _report("retry", "A failed phase is running again", _report_retry),
    _report("progress", "The counts of a running phase", _report_progress, _ProgressBody),
]  # fmt: skip
