"""Why nothing moves, and what happens, in one word and in one sentence: derived from the state alone."""

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.vocabulary import JobPhase, JobStatus, PhaseStatus, WaitingOn

_DOING = {
    JobPhase.LOADING: "Loading",
    JobPhase.CHUNKING: "Chunking",
    JobPhase.EMBEDDING: "Embedding",
    JobPhase.INDEXING: "Indexing",
}
_WAITING = {
    WaitingOn.UPSTREAM: "waiting for the phase before",
    WaitingOn.RATE_LIMIT: "the embedding server asked for a break",
    WaitingOn.RETRY: "a transient fault, trying again",
    WaitingOn.PAUSE: "paused",
    WaitingOn.QUEUE: "waiting for a free slot",
    WaitingOn.INTERRUPTED: "its process has ended",
}


def phase_waiting_on(state: IngestionState, phase: PhaseState) -> WaitingOn | None:
    """Why this phase does not move, or None."""
    if phase.status in {PhaseStatus.COMPLETED, PhaseStatus.FAILED} or state.get_overall_status().is_over:
        return None
    if phase.status is PhaseStatus.PAUSED or (phase.status is PhaseStatus.NOT_STARTED and phase.held):
        return WaitingOn.PAUSE if phase.held else _job_rests_for(state)
    if phase.status is PhaseStatus.NOT_STARTED:
        return _not_started(state, phase)
    return phase.waiting_on or (WaitingOn.UPSTREAM if _is_starved(state, phase) else None)


def _not_started(state: IngestionState, phase: PhaseState) -> WaitingOn | None:
    if not state.managed:
        return None
    if phase.name.before is not None:
        return WaitingOn.UPSTREAM
    return _job_rests_for(state) if state.intent or state.held else None


def _job_rests_for(state: IngestionState) -> WaitingOn:
    if state.intent:
        return WaitingOn.QUEUE
    return WaitingOn.INTERRUPTED if state.is_interrupted else WaitingOn.PAUSE


def _is_starved(state: IngestionState, phase: PhaseState) -> bool:
    before = phase.name.before
    if before is None or not state.managed or state[before].status is PhaseStatus.COMPLETED:
        return False
    return phase.items_done >= phase.items_available


def job_waiting_on(state: IngestionState) -> WaitingOn | None:
    """Why the job does not move: the reason of its phases when none of them moves, else None."""
    status = state.get_overall_status()
    if status is JobStatus.FAILED and state.intent:
        return WaitingOn.QUEUE
    if status.is_over or (status is JobStatus.PENDING and not state.managed):
        return None
    if status in {JobStatus.PENDING, JobStatus.PAUSED}:
        return _job_rests_for(state)
    reasons = [phase_waiting_on(state, p) for p in state.phases if p.status is PhaseStatus.RUNNING]
    if not reasons or None in reasons:
        return None
    return next((reason for reason in reasons if reason is not WaitingOn.UPSTREAM), WaitingOn.UPSTREAM)


def message(state: IngestionState) -> str:
    """One sentence on what the job does."""
    status, phase = state.get_overall_status(), state[state.get_current_phase()]
    if status is JobStatus.CANCELLED:
        return "Cancelled by user; what was indexed stays searchable"
    if status is JobStatus.FAILED:
        failed = next(p for p in state.phases if p.status is PhaseStatus.FAILED)
        return f"{_DOING[failed.name]} failed: {failed.error}"
    if status is JobStatus.COMPLETED:
        return f"Completed: {_counted(state[JobPhase.INDEXING])} indexed"
    if status is JobStatus.PENDING:
        return "Waiting for a free slot" if state.managed else "Not started"
    if status is JobStatus.PAUSED:
        return _paused(state, phase)
    return _running(state, phase)


def _paused(state: IngestionState, phase: PhaseState) -> str:
    if state.intent:
        return f"{_DOING[phase.name]} goes on when a slot is free"
    if state.is_interrupted:
        return f"Interrupted in {phase.name}: {_counted(phase)} done; {_how_to_go_on(state)}"
    reason = state.why_paused(phase.name)
    because = f" ({reason})" if reason and reason != "user" else ""
    return f"Paused in {phase.name}{because}: {_counted(phase)} done"


def _how_to_go_on(state: IngestionState) -> str:
    if state.managed:
        return f"phaseflow resume {state.kb_id} goes on with it"
    return "start the program that runs it again to go on with it"


def _running(state: IngestionState, phase: PhaseState) -> str:
    doing = f"{_DOING[phase.name]} {_counted(phase)}"
    if state.requested:
        return f"Pausing: {doing}"
    reason = job_waiting_on(state)
    doing = f"{doing}: {_WAITING[reason]}" if reason else doing
    return doing + _paused_by_itself(state)


def _paused_by_itself(state: IngestionState) -> str:
    """Said while other phases run, too: nobody asked for this pause, and somebody has to end it."""
    paused = (p for p in state.phases if p.status is PhaseStatus.PAUSED and p.hold_reason not in {None, "user"})
    return next((f"; {phase.name} is paused ({phase.hold_reason})" for phase in paused), "")


def _counted(phase: PhaseState) -> str:
    unit = phase.name.unit
    if phase.items_total is None or phase.status is PhaseStatus.COMPLETED:
        return f"{phase.items_processed} {unit}"
    return f"{phase.items_done} of {phase.items_total} {unit}"
