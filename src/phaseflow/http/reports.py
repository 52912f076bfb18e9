"""The endpoints for programs that run their pipelines elsewhere, and report what becomes of the phases."""

from typing import Any

from phaseflow.domain.errors import InvalidRequest, InvalidTransition, JobConflict, JobNotFound
from phaseflow.domain.lease import Lease
from phaseflow.domain.status import JobStatusResponse
from phaseflow.http import requests
from phaseflow.http.endpoint import Endpoint, JsonResult, Parameters, RequestContext
from phaseflow.http.ingestion import JOB, check_room_for
from phaseflow.http.problems import LimitReached

Report = RequestContext[requests.JobPhasePath, None]


async def _create_job(call: RequestContext[Parameters, requests.JobBody]) -> JsonResult:
    body = call.body
    await check_room_for(call.state, body.kb_id)
    lease = Lease(body.lease_s, body.can_retry)
    return JsonResult(await call.state.flow.tracker.initialize_phases(body.job_id, body.kb_id, lease=lease), 201)


async def _renew_lease(call: RequestContext[requests.JobPath, None]) -> JsonResult:
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


async def _report_fail(call: RequestContext[requests.JobPhasePath, requests.FailBody]) -> JsonResult:
    return JsonResult(await call.state.flow.tracker.fail_phase(call.at.job_id, call.at.phase, call.body.error))


async def _report_progress(call: RequestContext[requests.JobPhasePath, requests.ProgressBody]) -> JsonResult:
    counts = call.body.items_processed, call.body.items_total
    return JsonResult(await call.state.flow.tracker.update_progress(call.at.job_id, call.at.phase, *counts))


def _report(name: str, summary: str, handle: Any, body: Any = None) -> Endpoint:
    return Endpoint(
        "POST", f"{JOB}/phases/{{phase}}/{name}", summary, handle, {200: JobStatusResponse}, requests.JobPhasePath,
        body, body_required=body is not None, problems=(JobNotFound, InvalidTransition, JobConflict),
    )  # fmt: skip


ENDPOINTS = [
    Endpoint(
        "POST", "/api/ingestion/jobs", "Create a job that its program runs itself, and reports on", _create_job,
        {201: JobStatusResponse}, body=requests.JobBody, body_required=True,
        problems=(JobConflict, InvalidRequest, LimitReached),
    ),
    Endpoint(
        "POST", f"{JOB}/renew", "Say that the program of a job is alive", _renew_lease, {200: JobStatusResponse},
        requests.JobPath, problems=(JobNotFound,),
    ),
    Endpoint(
        "GET", f"{JOB}/phases/{{phase}}", "One job, and in `requested` what is asked of one phase", _get,
        {200: JobStatusResponse}, requests.JobPhasePath, problems=(JobNotFound,),
    ),
    _report("start", "A phase has started", _report_start),
    _report("pause", "A phase is paused", _report_pause),
    _report("resume", "A phase is running again", _report_resume),
    _report("complete", "A phase is completed", _report_complete),
    _report("fail", "A phase has failed", _report_fail, requests.FailBody),
    _report("retry", "A failed phase is running again", _report_retry),
    _report("progress", "The counts of a running phase", _report_progress, requests.ProgressBody),
]  # fmt: skip
