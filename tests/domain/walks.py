"""States of a job that can really be reached: by verbs, by what a supervisor does, by the end of a process."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from phaseflow.domain import verbs
from phaseflow.domain.errors import InvalidTransition, JobConflict
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import BY_USER, PhaseState
from phaseflow.domain.transitions import check_job_move
from phaseflow.domain.vocabulary import PHASES, Intent, JobPhase, PhaseStatus

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = (
    "pause", "resume", "cancel", "retry", "take_turn", "interrupt", "stop", "start", "rest", "complete", "fail",
    "progress", "guard",
)  # fmt: skip
Step = tuple[str, JobPhase | None]


def fresh(*held: JobPhase) -> IngestionState:
    """A job as a start makes it."""
    state = IngestionState("job", "kb").each(lambda p: p.hold(BY_USER), held)
    return state if JobPhase.LOADING in held else state.queue(Intent.START, T0)


def step(state: IngestionState, what: Step, now: datetime) -> IngestionState:
    """One step; one that cannot be taken changes nothing."""
    name, phase = what
    try:
        after = _step(state, name, phase, now)
        check_job_move(state.get_overall_status(), after.get_overall_status())
    except (InvalidTransition, JobConflict):
        return state
    return after


def _step(state: IngestionState, name: str, phase: JobPhase | None, now: datetime) -> IngestionState:
    if name == "pause":
        return verbs.pause(state, phase)
    if name == "resume":
        return verbs.resume(state, now, phase)
    if name == "cancel":
        return verbs.cancel(state, now)
    if name == "retry":
        return verbs.retry(state, now)
    if name == "take_turn":
        return verbs.take_turn(state, now) if state.intent else state
    if name in {"interrupt", "stop"}:
        return verbs.interrupt(state, now, go_on=name == "interrupt", reason=name)
    return _work(state, name, state[phase or JobPhase.LOADING], now)


def _work(state: IngestionState, name: str, phase: PhaseState, now: datetime) -> IngestionState:
    before = phase.name.before
    if name == "start" and state.may_run(phase.name) and not state.intent and _has_begun(state, before):
        return state.with_phase(phase.start(now))
    if name == "rest" and not state.may_run(phase.name):
        return state.with_phase(phase.pause(now))
    if name == "complete" and (before is None or state[before].status is PhaseStatus.COMPLETED):
        return state.with_phase(phase.complete(now)) if state.may_run(phase.name) else state
    if name == "fail" and not state.get_overall_status().is_terminal:
        # What could not even begin has had its turn, too (``supervisor/scheduler``).
        state = verbs.take_turn(state, now) if state.intent else state
        return state.with_phase(state[phase.name].fail("it broke", now))
    if name == "progress":
        return state.with_phase(phase.update_progress(phase.items_processed + 3, 20))
    if name == "guard" and phase.status is PhaseStatus.RUNNING:
        return state.with_phase(phase.hold("rate limit"))
    return state


def _has_begun(state: IngestionState, before: JobPhase | None) -> bool:
    return before is not None and state[before].status is not PhaseStatus.NOT_STARTED


def walk(steps: list[Step], *held: JobPhase) -> list[IngestionState]:
    """All states on the way."""
    states = [fresh(*held)]
    for n, what in enumerate(steps, start=1):
        states.append(step(states[-1], what, T0 + timedelta(seconds=n)))
    return states


def forward() -> st.SearchStrategy[Step]:
    """Steps that lead on, so that walks come far."""
    names = st.sampled_from(["take_turn", "start", "complete", "progress"])
    return st.tuples(names, st.sampled_from(PHASES))


def steps() -> st.SearchStrategy[list[Step]]:
    """Any steps, most of which lead on."""
    anything = st.tuples(st.sampled_from(STEPS), st.none() | st.sampled_from(PHASES))
    return st.lists(forward() | anything, max_size=40)


def states() -> st.SearchStrategy[IngestionState]:
    """Any state that can be reached."""
    held = st.lists(st.sampled_from(PHASES), unique=True, max_size=2)
    return st.builds(lambda taken, first: walk(taken, *first)[-1], steps(), held)
