"""What becomes of a job whose program runs elsewhere when that falls silent, or is heard of again. Pure, as the verbs.

Its user's verbs are requests: they are stored as holds and intents like all verbs, and each answer carries them to the
program, whose reports carry them out.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from phaseflow.domain.errors import InvalidTransition, JobConflict
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import BY_INTERRUPTION, BY_USER, PhaseState
from phaseflow.domain.verbs import freed, still_asked
from phaseflow.domain.vocabulary import PHASES, Intent, JobPhase, JobStatus, PhaseStatus


def expire(state: IngestionState, at: datetime) -> IngestionState:
    """The job once its lease has run out: what its program left running is paused. What its user has asked for is kept,
    and asked of the program when it is heard of."""
    if state.lease is None or state.lease.expired:
        return state
    state = replace(state, lease=replace(state.lease, expired=True))
    # What an earlier silence has paused, and nobody has resumed since, has not been running now.
    state = state.each(lambda p: replace(p, hold_reason=None) if _is_interrupted(p) and not p.held else p)
    paused = state.each(lambda p: _interrupted(p, at) if p.status is PhaseStatus.RUNNING else p)
    if state.get_overall_status() is not JobStatus.RUNNING or paused.held:
        return paused
    return replace(paused, held=True, hold_reason=BY_INTERRUPTION)  # also between two phases, where none is running


def heard_of(state: IngestionState, at: datetime, phases: Collection[JobPhase] = PHASES) -> IngestionState:
    """The job once its program has been heard of: it was silent, not dead, and ``phases`` have been running all along.

    What its user has asked for, and it has not done yet, is asked of it again.
    """
    if state.lease is None or not state.lease.expired:
        return state
    state = replace(state, lease=replace(state.lease, expired=False))
    if state.is_held_by_interruption:
        state = replace(state, held=False, hold_reason=None)
    state = state.each(lambda p: _running_again(p, at) if _is_interrupted(p) else p, phases)
    return still_asked(state.each(lambda p: replace(p, hold_reason=BY_USER) if _is_interrupted(p) and p.held else p))


def moved(
    state: IngestionState, phase: JobPhase, change: Callable[[PhaseState], PhaseState], obeys_at: datetime | None = None
) -> IngestionState:
    """The job as its program reports a change of a phase; ``obeys_at``, when the phase runs with it.

    Raises InvalidTransition, with the status of the job, and JobConflict for a job that an engine runs.
    """
    status = state.get_overall_status()
    if state.managed:
        raise JobConflict("change", status, state.allowed_actions(), "an engine runs this job; use its verbs")
    try:
        _refuse_if_cancelled(state)
        state = state if obeys_at is None else _obeyed(state, phase, obeys_at)
        return still_asked(state.with_phase(_still_held(state[phase], change(state[phase]))))
    except InvalidTransition as refused:
        refused.job_status = status
        raise


def _refuse_if_cancelled(state: IngestionState) -> None:
    if state.cancelled:
        raise InvalidTransition(f"job {state.job_id}", JobStatus.CANCELLED, "move any more")


def _still_held(before: PhaseState, after: PhaseState) -> PhaseState:
    """A phase that begins in spite of a hold keeps it: its program has yet to learn of it, as of any other pause."""
    begins = before.status is PhaseStatus.NOT_STARTED and after.status is PhaseStatus.RUNNING
    return after.hold(before.hold_reason or BY_USER) if begins and before.held else after


def _obeyed(state: IngestionState, phase: JobPhase, at: datetime) -> IngestionState:
    """What its user has asked for is done of a phase once the program runs it, and stays asked of the others that have
    stopped."""
    if phase not in state.asked_to_run:
        return state
    free = freed(state)
    rest = tuple(p.name for p in free.phases if p.name is not phase and _is_left(free, p))
    if not rest:
        return free.unqueued()
    failed = any(free[name].status is PhaseStatus.FAILED for name in rest)
    return free.queue(Intent.RETRY if failed else Intent.RESUME, free.queued_at or at, rest)


def _is_left(state: IngestionState, phase: PhaseState) -> bool:
    stopped = phase.status in {PhaseStatus.PAUSED, PhaseStatus.FAILED}
    return stopped and phase.name in state.asked_to_run and state.requested_of(phase.name) is not None


def _interrupted(phase: PhaseState, at: datetime) -> PhaseState:
    return replace(phase.pause(at), hold_reason=BY_INTERRUPTION)  # a hold stays, and is its user's once it is heard of


def _running_again(phase: PhaseState, at: datetime) -> PhaseState:
    running = phase.resume(at)
    return running.hold(BY_USER) if phase.held else running


def _is_interrupted(phase: PhaseState) -> bool:
    return phase.status is PhaseStatus.PAUSED and phase.hold_reason == BY_INTERRUPTION
