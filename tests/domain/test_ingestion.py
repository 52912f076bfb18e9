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


def test_a_job_is_stalled_when_a_guard_has_paused_a_phase_and_nothing_else_can_move() -> None:
    state = IngestionState("job", "kb")
    for name in PHASES[:2]:
        state = state.with_phase(state[name].start(AT).complete(AT))
    embedding = state[JobPhase.EMBEDDING].start(AT).hold("the budget is used up").pause(AT)
    state = state.with_phase(embedding)
    assert state.is_stalled
    busy = replace(state[JobPhase.INDEXING].start(AT), items_available=5, items_processed=4)
    assert not state.with_phase(busy).is_stalled
    idle = state.with_phase(replace(busy, items_failed=1))
    assert idle.is_stalled
    assert not idle.may_run(JobPhase.INDEXING)
    assert idle.why_paused(JobPhase.INDEXING) == "the budget is used up"
    assert not idle.with_phase(PhaseState(JobPhase.CHUNKING).start(AT)).is_stalled
    asked_for = state.with_phase(state[JobPhase.EMBEDDING].release().hold(BY_USER))
    assert not asked_for.is_stalled


def test_a_pause_has_the_reason_of_its_phase_else_that_of_the_job() -> None:
    paused = of(PhaseStatus.PAUSED, *[PhaseStatus.NOT_STARTED] * 3)
    of_the_job = replace(paused, held=True, hold_reason=BY_USER)
    assert paused.why_paused(JobPhase.LOADING) is None
    assert of_the_job.why_paused(JobPhase.LOADING) == BY_USER
    of_the_phase = of_the_job.with_phase(paused[JobPhase.LOADING].hold("the budget is used up"))
    assert of_the_phase.why_paused(JobPhase.LOADING) == "the budget is used up"
