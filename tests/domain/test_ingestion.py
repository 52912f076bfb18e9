"""The state of a whole job, derived from its phases."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import BY_USER, PhaseState
from phaseflow.domain.vocabulary import PHASES, JobPhase, JobStatus, PhaseStatus
from tests.domain.walks import states

AT = datetime(2026, 1, 1, tzinfo=UTC)


def of(*statuses: PhaseStatus, progress: tuple[int, ...] = (0, 0, 0, 0)) -> IngestionState:
    phases = zip(PHASES, statuses, progress, strict=True)
    return IngestionState("job", "kb", tuple(PhaseState(name, status, done) for name, status, done in phases))


def test_a_new_job_has_all_four_phases_not_started() -> None:
    state = IngestionState("job", "kb")
    assert [phase.name for phase in state.phases] == ["loading", "chunking", "embedding", "indexing"]
    assert {phase.status for phase in state.phases} == {PhaseStatus.NOT_STARTED}
    assert state.get_overall_status() is JobStatus.PENDING


def test_a_job_with_other_phases_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="all four phases, in order"):
        IngestionState("job", "kb", (PhaseState(JobPhase.LOADING),))


def test_progress_is_the_mean_of_the_four_phases() -> None:
    assert of(*[PhaseStatus.RUNNING] * 4, progress=(99, 50, 20, 11)).get_overall_progress() == 45.0


def test_the_current_phase_is_the_first_active_else_the_first_not_started_else_the_last() -> None:
    for statuses in product(PhaseStatus, repeat=4):
        active = [n for n, s in zip(PHASES, statuses, strict=True) if s in {"running", "paused"}]
        waiting = [n for n, s in zip(PHASES, statuses, strict=True) if s == "not_started"]
        assert of(*statuses).get_current_phase() == [*active, *waiting, "indexing"][0]


def test_a_hold_of_the_next_phase_pauses_the_job_and_one_of_a_later_phase_does_not() -> None:
    done = of(PhaseStatus.COMPLETED, *[PhaseStatus.NOT_STARTED] * 3)
    held = {phase: done.with_phase(done[phase].hold("user")) for phase in PHASES[1:3]}
    assert held[JobPhase.CHUNKING].get_overall_status() is JobStatus.PAUSED
    assert held[JobPhase.EMBEDDING].get_overall_status() is JobStatus.RUNNING


@given(state=states())
def test_nothing_may_run_in_a_job_that_is_over_or_held(state: IngestionState) -> None:
    for phase in PHASES:
        over = state.get_overall_status().is_terminal
        stopped = state.held or state[phase].held or state.is_stalled
        assert state.may_run(phase) == (not over and not stopped)


@given(state=states())
def test_a_changed_phase_leaves_its_neighbours_and_the_old_state_alone(state: IngestionState) -> None:
    other = PhaseState(JobPhase.CHUNKING, progress=7)
    changed = state.with_phase(other)
    assert changed[JobPhase.CHUNKING] is other
    assert [p for p in changed.phases if p is not other] == [p for p in state.phases if p.name != "chunking"]


def chunked() -> IngestionState:
    """A job whose first two phases are done."""
    state = IngestionState("job", "kb")
    for name in PHASES[:2]:
        state = state.with_phase(state[name].start(AT).complete(AT))
    return state


def handed(state: IngestionState, phase: JobPhase, available: int, done: int = 0) -> IngestionState:
    """The same job, in which a phase was handed so many items and has done some of them."""
    return state.with_phase(replace(state[phase], items_available=available, items_processed=done))


@pytest.mark.parametrize("reason", [BY_USER, "the budget is used up"])
def test_a_job_is_stalled_when_a_phase_is_paused_and_nothing_else_can_move(reason: str) -> None:
    state = chunked()
    pausing = state.with_phase(state[JobPhase.EMBEDDING].start(AT).hold(reason))
    assert not pausing.is_stalled, "its batch in hand may hand over more"
    state = pausing.with_phase(pausing[JobPhase.EMBEDDING].pause(AT))
    assert state.is_stalled
    assert not handed(state, JobPhase.INDEXING, 5).is_stalled, "indexing has yet to begin"
    busy = handed(state.with_phase(state[JobPhase.INDEXING].start(AT)), JobPhase.INDEXING, 5, 4)
    assert not busy.is_stalled
    idle = busy.with_phase(replace(busy[JobPhase.INDEXING], items_failed=1))
    assert idle.is_stalled
    assert not idle.may_run(JobPhase.INDEXING)
    assert idle.why_paused(JobPhase.INDEXING) == reason
    assert not idle.with_phase(PhaseState(JobPhase.CHUNKING).start(AT)).is_stalled


def test_a_job_is_stalled_when_a_phase_that_has_not_started_is_held_and_nothing_else_can_move() -> None:
    state = chunked()
    state = state.with_phase(state[JobPhase.EMBEDDING].hold(BY_USER))
    assert state.is_stalled
    assert state.with_phase(state[JobPhase.INDEXING].start(AT)).is_stalled
    assert not chunked().with_phase(chunked()[JobPhase.INDEXING].hold(BY_USER)).is_stalled, "embedding may begin"


def test_what_was_handed_over_begins_in_the_commit_that_would_pause_the_job() -> None:
    state = chunked()
    state = state.with_phase(state[JobPhase.EMBEDDING].start(AT).hold(BY_USER).pause(AT))
    assert state.begun(AT) == state
    begun = handed(state, JobPhase.INDEXING, 5).begun(AT)
    assert (begun[JobPhase.INDEXING].status, begun.get_overall_status()) == (PhaseStatus.RUNNING, JobStatus.RUNNING)
    assert begun.begun(AT) == begun
    for held in replace(state, held=True), state.with_phase(state[JobPhase.INDEXING].hold(BY_USER)):
        quiet = handed(held, JobPhase.INDEXING, 5)
        assert quiet.begun(AT) == quiet


def test_a_pause_has_the_reason_of_its_phase_else_that_of_the_job() -> None:
    paused = of(PhaseStatus.PAUSED, *[PhaseStatus.NOT_STARTED] * 3)
    of_the_job = replace(paused, held=True, hold_reason=BY_USER)
    assert paused.why_paused(JobPhase.LOADING) is None
    assert of_the_job.why_paused(JobPhase.LOADING) == BY_USER
    of_the_phase = of_the_job.with_phase(paused[JobPhase.LOADING].hold("the budget is used up"))
    assert of_the_phase.why_paused(JobPhase.LOADING) == "the budget is used up"
