"""``client.tracker``: a program that runs its own pipeline reports its phases to the service."""

from typing import Any

from phaseflow.client.calls import ServiceCall
from phaseflow.client.connection import Connection, job_path, part
from phaseflow.client.renewals import LEASE_S
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import Action, JobPhase, JobStatus


class TrackerCalls:
    """The methods of ``PhaseTracker``, over the wire.

    All return the status. In the answer to a report, ``requested`` is what the user asks of the phase that was reported
    on, be it that phase alone or the whole job. An illegal report raises
    InvalidTransition (``job_status`` says why: after a cancel it is ``cancelled``) and changes nothing. Once a job was
    reported on, its lease is renewed in the background, for as long as the client is open. While the service restarts,
    a call waits for it, up to 30 s; then it raises ServiceUnreachable.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @ServiceCall
    async def initialize_phases(
        self, job_id: str, kb_id: str = "default", *, lease_s: float = LEASE_S, can_retry: bool = False
    ) -> JobStatusResponse:
        """Create a job with four phases, none started, and its knowledge base if needed.

        When nothing is heard of the program for ``lease_s`` seconds, its running phases are shown as interrupted.
        ``can_retry``: it runs failed phases again when its user asks for it. Raises JobConflict when the knowledge base
        has a job that is not over, InvalidRequest when the job exists.
        """
        body = {"job_id": job_id, "kb_id": kb_id, "lease_s": lease_s, "can_retry": can_retry}
        status = await self._connection.ask_patiently(JobStatusResponse, "POST", "api/ingestion/jobs", json=body)
        self._connection.renewals.note(status, lease_s)
        return status

    @ServiceCall
    async def start_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """not_started → running."""
        return await self._report(job_id, phase, "start")

    @ServiceCall
    async def pause_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """running → paused."""
        return await self._report(job_id, phase, "pause")

    @ServiceCall
    async def resume_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """paused → running."""
        return await self._report(job_id, phase, "resume")

    @ServiceCall
    async def complete_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """running → completed."""
        return await self._report(job_id, phase, "complete")

    @ServiceCall
    async def fail_phase(self, job_id: str, phase: JobPhase | str, error: str | BaseException) -> JobStatusResponse:
        """running or paused → failed. ``error`` is a text for people, or an exception; 4,000 characters are kept."""
        if not isinstance(error, str | BaseException):
            raise InvalidRequest("error", f"a text or an exception says why, not {error!r:.100}")
        text = error if isinstance(error, str) else str(error) or type(error).__name__
        return await self._report(job_id, phase, "fail", {"error": text})

    @ServiceCall
    async def retry_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """failed → running."""
        return await self._report(job_id, phase, "retry")

    @ServiceCall
    async def update_progress(
        self, job_id: str, phase: JobPhase | str, items_processed: int, items_total: int | None = None
    ) -> JobStatusResponse:
        """Set the counts of a running phase. A total of None keeps the total."""
        counts = {"items_processed": items_processed, "items_total": items_total}
        return await self._report(job_id, phase, "progress", counts)

    @ServiceCall
    async def renew_lease(self, job_id: str) -> JobStatusResponse:
        """Say that the program is alive, which the client does automatically."""
        return await self._connection.ask_patiently(JobStatusResponse, "POST", f"{job_path(job_id)}/renew")

    @ServiceCall
    async def get_consolidated_status(self, job_id: str, phase: JobPhase | str | None = None) -> JobStatusResponse:
        """The status of the job with all four phases. Raises JobNotFound.

        With a ``phase``, ``requested`` in it is what the user asks of that phase, as in the answer to its reports.
        """
        return await self._status(job_id, phase)

    @ServiceCall
    async def wanted(self, job_id: str, phase: JobPhase | str | None = None) -> Action | None:
        """What the user asks of the program now: pause, resume, retry or cancel; None: nothing but to go on.

        With a ``phase``, what is asked of that phase: which a program needs that runs several at once. Each stays until
        it is reported as done; a cancel stays.
        """
        status = await self._status(job_id, phase)
        return Action.CANCEL if status.status is JobStatus.CANCELLED else status.requested

    async def _status(self, job_id: str, phase: JobPhase | str | None) -> JobStatusResponse:
        path = job_path(job_id) if phase is None else f"{job_path(job_id)}/phases/{part(str(phase))}"
        return await self._connection.ask_patiently(JobStatusResponse, "GET", path)

    async def _report(
        self, job_id: str, phase: JobPhase | str, what: str, body: dict[str, Any] | None = None
    ) -> JobStatusResponse:
        path = f"{job_path(job_id)}/phases/{part(str(phase))}/{what}"
        status = await self._connection.ask_patiently(JobStatusResponse, "POST", path, json=body)
        self._connection.renewals.note(status)
        return status
