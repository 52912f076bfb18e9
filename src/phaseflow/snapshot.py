"""The status of a job as the world sees it, composed from what the database holds."""

from datetime import datetime

from phaseflow.domain.eta import eta_seconds, items_per_second
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.messages import (
    by_canonical,
    displaced,
    job_waiting_on,
    kept,
    message,
    phase_waiting_on,
    source_down,
)
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.status import JobStatusResponse, Metrics, PhaseDetail
from phaseflow.domain.vocabulary import Action, JobPhase, JobStatus, PhaseStatus, WaitingOn
from phaseflow.store.catalogue import PUSH
from phaseflow.store.jobs import JobRecord


def compose(
    record: JobRecord, now: datetime, unwritable: str | None = None, asked_of: JobPhase | None = None
) -> JobStatusResponse:
    """The status at ``now``. ``unwritable`` says why the store cannot be written, if it cannot; ``asked_of`` is the
    phase of which ``requested`` is told, in place of the job."""
    state = record.state
    eta_s = eta_seconds(state, now)
    metrics = _metrics(record)
    failed = next((p for p in state.phases if p.status is PhaseStatus.FAILED), None)
    return JobStatusResponse(
        job_id=state.job_id,
        kb_id=state.kb_id,
        status=state.get_overall_status(),
        phase=state.get_current_phase(),
        progress=state.get_overall_progress(),
        message=_with_trouble(message(state, metrics.documents_failed), record, unwritable),
        error=failed.error if failed else _sources_down(record),
        requested=state.requested if asked_of is None else state.requested_of(asked_of),
        waiting_on=_unless_unwritable(job_waiting_on(state), state.get_overall_status(), unwritable),
        allowed_actions=_allowed(record),
        eta_seconds=None if eta_s is None else round(eta_s, 1),
        metrics=metrics,
        created_at=record.created_at,
        started_at=record.started_at,
        completed_at=record.completed_at,
        phase_details=[_detail(state, phase, now, unwritable) for phase in state.phases],
    )


def _sources_down(record: JobRecord) -> str | None:
    """Which sources could not be read, and why: the job has gone on without them."""
    down = [f"{source_down(name)}: {error}" for name, error in record.notes.errors.items()]
    return "; ".join(down) or None


def _with_trouble(message: str, record: JobRecord, unwritable: str | None) -> str:
    if record.made_again and not record.state.get_overall_status().is_terminal:
        message = f"{message}; {record.state.kb_id} {record.made_again}"
    down, status = _sources_down(record), record.state.get_overall_status()
    if down is not None and status not in {JobStatus.FAILED, JobStatus.CANCELLED}:
        message = f"{message}; {down}"
    if status is not JobStatus.CANCELLED:
        message = "; ".join([message, *_left_out(record)])
    if unwritable is None or status.is_terminal:
        return message
    return f"{message}. The database cannot be written, tried again until it can: {unwritable}"


def _left_out(record: JobRecord) -> list[str]:
    """Which documents of sources are not in the job, and why, and which are searchable though they were not found."""
    held = [
        displaced(name, None if holder == PUSH else holder, *some)
        for name, found in record.notes.displaced.items()
        for holder, some in found.items()
    ]
    others = [by_canonical(name, *some) for name, some in record.notes.canonical.items()]
    return held + others + [kept(record.state.kb_id, name, *some) for name, some in record.notes.kept.items()]


def _allowed(record: JobRecord) -> list[Action]:
    allowed = list(record.state.allowed_actions())
    if record.newest or record.state.get_overall_status() is not JobStatus.FAILED:
        return allowed
    return [action for action in allowed if action is not Action.RETRY]


def _metrics(record: JobRecord) -> Metrics:
    loading, chunking, embedding, indexing = record.state.phases
    managed = record.state.managed
    return Metrics(
        documents_found=loading.items_total or max(loading.items_available, loading.items_done),
        documents_loaded=loading.items_processed - loading.items_reused,
        documents_unchanged=loading.items_reused,
        documents_deleted=record.documents_deleted,
        documents_failed=record.documents_failed if managed else loading.items_failed + chunking.items_failed,
        chunks_created=embedding.items_available if managed else embedding.items_total or embedding.items_done,
        embeddings_computed=embedding.items_processed - embedding.items_reused,
        embeddings_reused=embedding.items_reused,
        chunks_indexed=indexing.items_processed,
    )


def _unless_unwritable(
    reason: WaitingOn | None, status: JobStatus | PhaseStatus, unwritable: str | None
) -> WaitingOn | None:
    """Why a job or a phase does not move: nothing that runs moves while what it does cannot be stored."""
    is_running = status in {JobStatus.RUNNING, PhaseStatus.RUNNING}
    return WaitingOn.RETRY if reason is None and unwritable is not None and is_running else reason


def _detail(state: IngestionState, phase: PhaseState, now: datetime, unwritable: str | None) -> PhaseDetail:
    rate = items_per_second(phase, now)
    return PhaseDetail(
        name=JobPhase(phase.name),
        status=phase.status,
        progress=phase.progress,
        items_processed=phase.items_processed,
        items_total=phase.items_total,
        items_failed=phase.items_failed,
        items_reused=phase.items_reused,
        started_at=phase.started_at,
        completed_at=phase.completed_at,
        active_seconds=round(phase.active_seconds(now), 3),
        items_per_second=None if rate is None else round(rate, 2),
        waiting_on=_unless_unwritable(phase_waiting_on(state, phase), phase.status, unwritable),
        error=phase.error,
    )
