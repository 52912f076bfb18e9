"""What the verbs do to a job: pure, each returns the state that is wanted.

A verb only states an intent (a hold, or a place in the queue). The supervisor makes it so: a held phase becomes paused
when its batch in hand is done, a queued job runs when a slot is free. So a verb never waits, is durable in one
transaction, and is the same whether the job runs, waits, or belongs to a process that died.

A state that comes back unchanged means that it was so already.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from phaseflow.domain.errors import JobConflict
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import BY_INTERRUPTION, BY_START, BY_USER, PhaseState
from phaseflow.domain.vocabulary import PHASES, Action, Intent, JobPhase, JobStatus, PhaseStatus

_CANCELLED_BY_USER = "Cancelled by user"


def pause(state: IngestionState, phase: JobPhase | None = None, reason: str = BY_USER) -> IngestionState:
    """Hold the job, or one phase of it. Raises JobConflict when the job or the phase is over."""
    _refuse_if_over(state, Action.PAUSE)
    if phase is not None:
        return _pause_phase(state, phase, reason)
    # Also one that an interruption holds: from now on it is this pause, which no later engine ends.
    is_taken_over = state.managed and state.is_held_by_interruption
    # Held beside it, a job that waits for one of its phases would stop again behind that one, and no status says so.
    is_paused = state.held or state.get_overall_status() is JobStatus.PAUSED
    if is_paused and state.intent is None and not is_taken_over:
        return state
    return replace(state.unqueued(), held=True, hold_reason=reason)


def _pause_phase(state: IngestionState, phase: JobPhase, reason: str) -> IngestionState:
    if state[phase].is_terminal():
        raise _conflict(state, Action.PAUSE, f"phase {phase} is {state[phase].status}")
    if _rests_with_job(state, state[phase]):
        return state
    held = state.with_phase(state[phase].hold(reason))
    if state.intent is Intent.START:
        return held.unqueued() if phase is PHASES[0] else held  # a slot would be of no use to it
    if state.intent is not Intent.RESUME:
        return held
    # The job waits for its turn to resume, and this phase is not to be part of that any more. Of what is left, see what
    # the turn would come to: a job that could move nothing would get a slot only to say that it is paused.
    wanted = state.intent_phases or tuple(p.name for p in state.phases if not p.is_terminal())
    rest = tuple(p for p in wanted if p is not phase)
    if not rest:
        return held.unqueued()
    queued = replace(held, intent_phases=rest)
    if not state.managed:
        return still_asked(queued)
    stays = state.queued_at is not None and take_turn(queued, state.queued_at).is_stalled
    return released(queued).unqueued() if stays else queued


def _rests_with_job(state: IngestionState, phase: PhaseState) -> bool:
    """The pause of its job is shown as that of the phase, too, and becomes one of its own when others are resumed."""
    by_job = state.held and state.intent is None and not state.is_held_by_interruption
    begins_with_it = phase.status is PhaseStatus.NOT_STARTED and phase.name is PHASES[0]
    return by_job and (phase.status is PhaseStatus.PAUSED or begins_with_it)


def resume(state: IngestionState, at: datetime, phase: JobPhase | None = None) -> IngestionState:
    """Queue the job to go on, or one phase of it. Raises JobConflict when there is nothing that could.

    Where a program elsewhere has not paused yet, the pause is taken back.
    """
    return still_asked(_queued(state, at, phase))


def still_asked(state: IngestionState) -> IngestionState:
    """The job of a program elsewhere, without a resume or retry that leaves no phase to run again: it is done.

    While the program runs, a phase that has not begun needs no more than the end of its hold.
    """
    status = state.get_overall_status()
    if state.managed or state.intent is None:
        return state
    stopped = {PhaseStatus.PAUSED, PhaseStatus.FAILED} if status is JobStatus.RUNNING else set(PhaseStatus)
    asked = [p for p in state.asked_to_run if state[p].status in stopped and state.requested_of(p) in _AGAIN]
    is_over = state.intent is Intent.RESUME and status.is_terminal
    return state if asked and not is_over else freed(state).unqueued()


_AGAIN = {Action.RESUME, Action.RETRY}


def _queued(state: IngestionState, at: datetime, phase: JobPhase | None) -> IngestionState:
    _refuse_if_over(state, Action.RESUME)
    if state.get_overall_status() is JobStatus.PENDING:
        raise _conflict(state, Action.RESUME)
    if phase is None:
        unchanged = not state.is_held_somewhere or _queued_to_resume(state, ())
        return state if unchanged else state.queue(Intent.RESUME, state.queued_at or at)
    return _resume_phase(state, at, phase)


def _resume_phase(state: IngestionState, at: datetime, phase: JobPhase) -> IngestionState:
    one = state[phase]
    if one.is_terminal():
        raise _conflict(state, Action.RESUME, f"phase {phase} is {one.status}")
    if not (one.held or state.held or one.status is PhaseStatus.PAUSED) or _queued_to_resume(state, (phase,)):
        return state
    wanted = (*state.intent_phases, phase) if state.intent is Intent.RESUME else (phase,)
    return state.queue(Intent.RESUME, state.queued_at or at, tuple(p for p in PHASES if p in wanted))


def _queued_to_resume(state: IngestionState, phases: tuple[JobPhase, ...]) -> bool:
    if state.intent is not Intent.RESUME:
        return False
    wanted = phases or tuple(p.name for p in state.phases if not p.is_terminal())
    return not state.intent_phases or set(wanted) <= set(state.intent_phases)


def cancel(state: IngestionState, at: datetime) -> IngestionState:
    """End the job now. A cancelled job is left as it is; a completed or failed one raises JobConflict.

    A job that no engine runs is cancelled too: else one whose program is gone would be in the way for ever.
    """
    if state.cancelled:
        return state
    if state.get_overall_status().is_terminal:
        raise _conflict(state, Action.CANCEL)
    return _ended(state, at, _CANCELLED_BY_USER)


def give_way(state: IngestionState, at: datetime) -> IngestionState:
    """End a job that nobody started, and that is not over, for one that somebody starts: it is cancelled, and says
    why."""
    return replace(_ended(state, at, BY_START), hold_reason=BY_START)


def _ended(state: IngestionState, at: datetime, error: str) -> IngestionState:
    ended = state.each(lambda p: p.fail(error, at) if p.is_active() else p)
    return replace(ended.each(PhaseState.release).queue(None, at), cancelled=True, held=False, hold_reason=None)


def retry(state: IngestionState, at: datetime) -> IngestionState:
    """Queue a failed job to run its failed phases again. Raises JobConflict unless it has failed."""
    elsewhere = not state.managed and Action.RETRY not in state.allowed_actions()
    if elsewhere or state.get_overall_status() is not JobStatus.FAILED:
        raise _conflict(state, Action.RETRY)
    return state if state.intent is Intent.RETRY else state.queue(Intent.RETRY, at)


def change_for(
    action: Action, at: datetime, phase: JobPhase | None = None
) -> Callable[[IngestionState], IngestionState]:
    """What a verb on a job does to its state; only PAUSE and RESUME know of a phase."""
    changes: dict[Action, Callable[[IngestionState], IngestionState]] = {
        Action.PAUSE: lambda state: pause(state, phase),
        Action.RESUME: lambda state: resume(state, at, phase),
        Action.CANCEL: lambda state: cancel(state, at),
        Action.RETRY: lambda state: retry(state, at),
    }
    return changes[action]


def take_turn(state: IngestionState, at: datetime) -> IngestionState:
    """What a job becomes when it gets the slot that it was queued for."""
    retries = state.intent is Intent.RETRY
    state = freed(state).queue(None, at)
    if retries:
        state = state.each(lambda p: p.retry(at) if p.status is PhaseStatus.FAILED else p)
    state = state.each(lambda p: p.resume(at) if p.status is PhaseStatus.PAUSED and not p.held else p)
    first = state.phases[0]
    begins = first.status is PhaseStatus.NOT_STARTED and state.may_run(first.name)
    return (state.with_phase(first.start(at)) if begins else state).begun(at)


def freed(state: IngestionState) -> IngestionState:
    """Without the holds that what it is queued for ends; a retry ends that of the job, and none of a phase."""
    if state.intent is Intent.RETRY:
        return replace(state, held=False, hold_reason=None)
    return released(state) if state.intent is Intent.RESUME else state


def released(state: IngestionState) -> IngestionState:
    """Without the holds that a queued resume ends."""
    wanted = state.intent_phases or PHASES
    if state.held:
        # The job's hold stands for all its phases. When only some are resumed, it becomes a hold of each of the others:
        # simply dropped, it would let them run too.
        reason = state.hold_reason or BY_USER
        others = [p.name for p in state.phases if p.name not in wanted and not p.is_terminal()]
        state = replace(state.each(lambda p: p.hold(reason), others), held=False, hold_reason=None)
    return state.each(PhaseState.release, wanted)


def interrupt(state: IngestionState, at: datetime, *, go_on: bool, reason: str) -> IngestionState:
    """What a job becomes when its engine stops, or is found dead: quiet, and queued again unless its user holds it.

    With ``go_on`` False it is held until someone resumes it, or an engine is started that goes on; a queued resume has
    ended the pause of its user.
    """
    state = state.without_preparation()
    if go_on and state.managed and state.is_held_by_interruption:
        # As a resume leaves it: the hold ends with the turn. A job of which nothing has begun would be pending without
        # it, and nothing leads from paused to there.
        has_free = any(not p.held and not p.is_terminal() for p in state.phases)
        return _gone_on(state, at) if has_free else replace(state, held=False, hold_reason=None)
    # In this order. Asked after the phases are paused, a job that is still "running" is one that stood between two
    # phases: one completed, the next not begun. Nothing of it ran, but it has to go on as well.
    running = any(p.status is PhaseStatus.RUNNING for p in state.phases)
    state = state.each(lambda p: p.pause(at) if p.status is PhaseStatus.RUNNING else p)
    between = state.get_overall_status() is JobStatus.RUNNING
    if not go_on and state.managed and state.intent is Intent.RESUME and not state.get_overall_status().is_terminal:
        state = released(state)
    stays = state.held or state.get_overall_status().is_terminal
    # Neither at work nor waiting for a turn: a crash says nothing new about it, and must not change what a user sees.
    if not (running or between or state.intent):
        return state
    if not go_on:
        return state.unqueued() if stays else replace(state.unqueued(), held=True, hold_reason=reason)
    # Also what was paused and then killed: whoever paused it has seen that, and nothing may be spent before a resume.
    return state if stays else _gone_on(state, at)


def _gone_on(state: IngestionState, at: datetime) -> IngestionState:
    """Queued to resume. The phases by name, since none means all: those that are held one by one must stay so. Without
    any that is free there is nothing to queue for; a queue entry would only take a slot and give it back."""
    free = tuple(p.name for p in state.phases if not p.held and not p.is_terminal())
    return state.queue(Intent.RESUME, at, free) if free and not state.intent else state


def left_behind(state: IngestionState, last_signs: Mapping[JobPhase, datetime]) -> IngestionState:
    """How a job is seen whose engine is gone while nobody has taken it up yet: as ``interrupt`` would leave it.

    The running time of each phase ends with the last sign of life that it has given.
    """

    def stopped(phase: PhaseState) -> PhaseState:
        return replace(phase, active_s=phase.active_seconds(last_signs[phase.name]), running_since=None)

    running = [p.name for p in state.phases if p.status is PhaseStatus.RUNNING]
    at = max(last_signs.values())
    return interrupt(state.each(stopped, running), at, go_on=False, reason=BY_INTERRUPTION)


def _refuse_if_over(state: IngestionState, verb: Action) -> None:
    status = state.get_overall_status()
    is_so = verb is Action.PAUSE and status is JobStatus.PAUSED
    gone = not state.managed and (state.lease is None or (state.is_silent and not is_so))
    if gone or status.is_terminal:
        raise _conflict(state, verb)


def _conflict(state: IngestionState, verb: Action, why: str | None = None) -> JobConflict:
    if not state.managed and state.lease is None:
        why = "the job belongs to a program with its own pipeline"
    elif state.is_silent and not state.get_overall_status().is_terminal:
        why = "the program that runs the job has not been heard of; start it again"
    return JobConflict(verb, state.get_overall_status(), state.allowed_actions(), why)
