"""The moves that a supervisor makes: pure, each a list of steps that are stored together, with their reasons."""

from collections.abc import Callable, Sequence
from datetime import datetime

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.vocabulary import PHASES, JobPhase, PhaseStatus
from phaseflow.tracker import Change, Step

Move = Sequence[Step]


def on(phase: JobPhase, change: Callable[[PhaseState], PhaseState], reason: str | None = None) -> Move:
    """Change one phase."""
    return [(lambda state: state.with_phase(change(state[phase])), reason)]


def completing(phase: JobPhase, at: datetime) -> Move:
    """Complete a phase; what it has handed over is then the final total of the next one."""

    def change(state: IngestionState) -> IngestionState:
        after = state.with_phase(state[phase].complete(at))
        if phase is PHASES[-1]:
            return after
        following = after[PHASES[phase.position + 1]]
        return after.with_phase(following.with_total(following.items_available))

    return [(change, None)]


def pausing(phases: Sequence[JobPhase], reason: str | None, at: datetime) -> Move:
    """Pause phases that are quiet: one commit for all of them."""
    return [(lambda state: state.each(lambda p: p.pause(at), phases), reason)]


def failing(phase: JobPhase, error: str, quiet: Sequence[JobPhase], at: datetime) -> Move:
    """Fail a phase, and pause those of its neighbours that are quiet, so that none is said to run that does not."""

    def pause(state: IngestionState) -> IngestionState:
        is_failed = state[phase].status is PhaseStatus.FAILED  # else a verb came in between
        return state.each(lambda p: p.pause(at) if p.status is PhaseStatus.RUNNING else p, quiet if is_failed else ())

    return [*on(phase, lambda p: p.fail(error, at)), (pause, f"{phase} failed")]


def unless_changed(move: Move, seen: IngestionState, at: datetime) -> Move:
    """The same for the state that it is right for: nothing, when a verb has come in between.

    Where it would pause the job while work waits for phases that have not started, they begin with it.
    """
    # The first step alone, since the others follow from it (``failing``): where it does nothing, they find nothing to
    # do. And by what a verb can change, not the whole state: counts change with every batch, so no move would be made.
    first, reason = move[0]

    def change(state: IngestionState) -> IngestionState:
        return first(state).begun(at) if _requested(state) == _requested(seen) else state

    guarded: Change = change
    return [(guarded, reason), *move[1:]]


def _requested(state: IngestionState) -> tuple[object, ...]:
    """What a verb can change in a state; batches change the rest all the time."""
    return state.cancelled, state.held, state.intent, state.intent_phases, [(p.status, p.held) for p in state.phases]
