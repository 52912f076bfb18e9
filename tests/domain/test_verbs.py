"""The verbs: what they accept in which state, and that what they want is what comes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phaseflow.domain import verbs
from phaseflow.domain.errors import JobConflict
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.messages import job_waiting_on, message, phase_waiting_on
from phaseflow.domain.phase import BY_INTERRUPTION, BY_USER
from phaseflow.domain.transitions import check_job_move
from phaseflow.domain.vocabulary import PHASES, Action, Intent, JobPhase, JobStatus, PhaseStatus, WaitingOn
from tests.domain.walks import T0, fresh, states, step, walk
from tests.matrices import examples

LATER = T0 + timedelta(days=1)
VERBS: dict[Action, Callable[[IngestionState], IngestionState]] = {
    Action.PAUSE: verbs.pause,
    Action.RESUME: lambda state: verbs.resume(state, LATER),
    Action.CANCEL: lambda state: verbs.cancel(state, LATER),
    Action.RETRY: lambda state: verbs.retry(state, LATER),
}
EXPECTED = {
    JobStatus.PENDING: {Action.PAUSE, Action.CANCEL},
    JobStatus.RUNNING: {Action.PAUSE, Action.CANCEL},
    JobStatus.PAUSED: {Action.RESUME, Action.CANCEL},
    JobStatus.FAILED: {Action.RETRY, Action.START},
    JobStatus.COMPLETED: {Action.START},
    JobStatus.CANCELLED: {Action.START},
}
SO_ALREADY = {
    (Action.PAUSE, JobStatus.PAUSED),
    (Action.RESUME, JobStatus.RUNNING),
    (Action.CANCEL, JobStatus.CANCELLED),
}


def running() -> IngestionState:
    return verbs.take_turn(fresh(), T0)


@given(state=states())
@settings(max_examples=examples(300), deadline=None)
def test_an_allowed_verb_is_obeyed_and_any_other_refused_or_so_already(state: IngestionState) -> None:
    status = state.get_overall_status()
    for verb, act in VERBS.items():
        if verb in state.allowed_actions():
            check_job_move(status, act(state).get_overall_status())
        elif (verb, status) in SO_ALREADY:
            assert act(state).get_overall_status() is status
        else:
            with pytest.raises(JobConflict) as refused:
                act(state)
            assert refused.value.status == status
            assert refused.value.allowed_actions == list(state.allowed_actions())


@given(state=states())
def test_the_allowed_actions_are_those_of_the_contract(state: IngestionState) -> None:
    status, held = state.get_overall_status(), state.is_held_somewhere
    extra = {Action.RESUME} if status is JobStatus.RUNNING and held else set()
    assert set(state.allowed_actions()) == EXPECTED[status] | extra


@given(state=states(), verb=st.sampled_from(sorted(VERBS)))
def test_a_verb_twice_is_the_verb_once(state: IngestionState, verb: Action) -> None:
    try:
        once = VERBS[verb](state)
    except JobConflict:
        return
    assert VERBS[verb](once) == once


def shown(state: IngestionState) -> object:
    """What a status shows of a state."""
    phases = [(p.status, p.error, phase_waiting_on(state, p)) for p in state.phases]
    job = (state.get_overall_status(), state.requested, job_waiting_on(state), message(state), state.allowed_actions())
    return job, phases


@given(state=states(), verb=st.sampled_from(sorted(VERBS)), phase=st.none() | st.sampled_from(PHASES))
@settings(max_examples=examples(500))
@example(state=walk([], JobPhase.LOADING)[-1], verb=Action.PAUSE, phase=None)
@example(state=walk([("pause", None)])[-1], verb=Action.PAUSE, phase=JobPhase.LOADING)
@example(state=walk([("take_turn", None), ("interrupt", None)])[-1], verb=Action.RESUME, phase=None)
@example(state=walk([("take_turn", None), ("interrupt", None), ("fail", None)])[-1], verb=Action.RETRY, phase=None)
def test_a_verb_on_a_job_at_rest_changes_what_is_shown_or_nothing(
    state: IngestionState, verb: Action, phase: JobPhase | None
) -> None:
    if state.get_overall_status() is JobStatus.RUNNING:
        return
    try:
        after = verbs.change_for(verb, LATER, phase)(state)
    except JobConflict:
        return
    assert after == state or shown(after) != shown(state)


@given(state=states())
def test_a_job_that_no_engine_runs_can_only_be_cancelled(state: IngestionState) -> None:
    own = replace(state, managed=False, cancelled=False)
    over = own.get_overall_status().is_terminal
    assert own.allowed_actions() == ((Action.START,) if over else (Action.CANCEL,))
    for verb, act in VERBS.items():
        if verb in own.allowed_actions():
            assert act(own).get_overall_status() is JobStatus.CANCELLED
        else:
            with pytest.raises(JobConflict, match="own pipeline"):
                act(own)


@given(state=states())
def test_nobody_is_stuck_a_job_that_is_not_over_moves_or_can_be_resumed(state: IngestionState) -> None:
    if state.get_overall_status() is JobStatus.PAUSED and state.intent is None:
        turned = verbs.take_turn(verbs.resume(state, LATER), LATER)
        assert turned.get_overall_status() is JobStatus.RUNNING


@given(state=states(), phase=st.sampled_from(PHASES))
@settings(max_examples=examples(300), deadline=None)
def test_a_phase_that_was_paused_does_not_run_before_it_is_resumed(state: IngestionState, phase: JobPhase) -> None:
    try:
        held = verbs.pause(state, phase)
    except JobConflict:
        return
    assert not held.may_run(phase)
    if held.intent:
        turned = verbs.take_turn(held, LATER)
        assert not turned.may_run(phase)


@given(state=states())
def test_a_job_that_was_paused_does_not_run_before_it_is_resumed(state: IngestionState) -> None:
    try:
        held = verbs.pause(state)
    except JobConflict:
        return
    assert held.intent is None
    assert not any(held.may_run(phase) for phase in PHASES)


@given(state=states())
def test_cancelling_fails_what_had_begun_and_leaves_the_rest(state: IngestionState) -> None:
    try:
        ended = verbs.cancel(state, LATER)
    except JobConflict:
        return
    assert ended.get_overall_status() is JobStatus.CANCELLED
    assert not ended.held
    assert not any(phase.held for phase in ended.phases)
    assert verbs.cancel(ended, LATER) is ended
    for before, after in zip(state.phases, ended.phases, strict=True):
        if before.is_active():
            assert (after.status, after.error) == (PhaseStatus.FAILED, "Cancelled by user")
        else:
            assert after.status is before.status


@given(state=states())
def test_a_retry_runs_what_failed_and_what_was_held_back_and_keeps_what_is_finished(state: IngestionState) -> None:
    if state.get_overall_status() is not JobStatus.FAILED:
        return
    rested = state.each(lambda p: p.pause(LATER) if p.status is PhaseStatus.RUNNING else p)
    again = verbs.take_turn(verbs.retry(rested, LATER), LATER)
    assert again.get_overall_status() is JobStatus.RUNNING
    for before, after in zip(rested.phases, again.phases, strict=True):
        if before.status is PhaseStatus.FAILED:
            assert after.status is PhaseStatus.RUNNING
        if before.status is PhaseStatus.COMPLETED:
            assert after == before


@given(state=states(), go_on=st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_after_an_interruption_nothing_runs_and_every_job_has_a_way_on(state: IngestionState, go_on: bool) -> None:
    quiet = verbs.interrupt(state, LATER, go_on=go_on, reason="interrupted")
    assert not any(phase.status is PhaseStatus.RUNNING for phase in quiet.phases)
    status = quiet.get_overall_status()
    assert status.is_terminal or quiet.intent or quiet.is_held_somewhere


@given(state=states())
def test_an_interruption_goes_on_with_no_phase_that_was_held(state: IngestionState) -> None:
    quiet = verbs.interrupt(state, LATER, go_on=True, reason="interrupted")
    if state.intent is None and quiet.intent is Intent.RESUME:
        turned = verbs.take_turn(quiet, LATER)
        assert all(turned[p.name].held for p in state.phases if p.held)


@given(state=states())
def test_an_engine_that_is_told_not_to_go_on_leaves_no_job_queued(state: IngestionState) -> None:
    assert verbs.interrupt(state, LATER, go_on=False, reason="interrupted").intent is None


def test_a_resumed_job_whose_engine_dies_before_its_turn_is_interrupted_and_not_paused_by_its_user() -> None:
    paused = step(verbs.pause(running()), ("rest", JobPhase.LOADING), LATER)
    assert not verbs.left_behind(paused, dict.fromkeys(PHASES, LATER)).is_interrupted
    for queued in (verbs.resume(paused, LATER), verbs.resume(fresh(JobPhase.LOADING), LATER)):
        left = verbs.left_behind(queued, dict.fromkeys(PHASES, LATER))
        assert (left.is_interrupted, left.intent) == (True, None)
        assert job_waiting_on(left) is WaitingOn.INTERRUPTED
        assert phase_waiting_on(left, left[JobPhase.LOADING]) is WaitingOn.INTERRUPTED
        assert "phaseflow resume kb goes on with it" in message(left)


def test_pausing_a_phase_takes_it_out_of_a_queued_resume() -> None:
    """Also when the resume was for the whole job."""
    paused = step(verbs.pause(running()), ("rest", JobPhase.LOADING), LATER)
    queued = verbs.resume(paused, LATER)
    turned = verbs.take_turn(verbs.pause(queued, JobPhase.EMBEDDING), LATER)
    assert turned[JobPhase.LOADING].status is PhaseStatus.RUNNING
    assert turned[JobPhase.EMBEDDING].held
    assert not turned[JobPhase.INDEXING].held


def test_pausing_the_only_phase_of_a_queued_resume_leaves_the_queue() -> None:
    paused = step(verbs.pause(running()), ("rest", JobPhase.LOADING), LATER)
    queued = verbs.resume(paused, LATER, JobPhase.LOADING)
    assert verbs.pause(queued, JobPhase.LOADING).intent is None


@given(state=states(), phase=st.sampled_from(PHASES))
@settings(max_examples=examples(300), deadline=None)
@example(state=verbs.resume(fresh(JobPhase.LOADING), T0), phase=JobPhase.LOADING)
def test_a_job_that_a_paused_phase_keeps_from_moving_waits_for_no_slot(state: IngestionState, phase: JobPhase) -> None:
    try:
        held = verbs.pause(state, phase)
    except JobConflict:
        return
    if held.intent in {Intent.START, Intent.RESUME}:
        assert not verbs.take_turn(held, LATER).is_stalled


def test_what_was_resumed_beside_a_phase_that_is_paused_again_goes_on_with_it() -> None:
    queued = verbs.resume(verbs.pause(fresh(JobPhase.LOADING)), T0)
    held = verbs.pause(queued, JobPhase.LOADING)
    assert [held.held, *(p.held for p in held.phases)] == [False, True, False, False, False]
    turned = verbs.take_turn(verbs.resume(held, LATER, JobPhase.LOADING), LATER)
    assert turned[JobPhase.LOADING].status is PhaseStatus.RUNNING
    assert not turned.is_held_somewhere


def test_a_job_whose_first_phase_is_held_waits_for_no_slot() -> None:
    assert verbs.pause(fresh(), JobPhase.LOADING) == fresh(JobPhase.LOADING)


def test_resuming_one_phase_of_a_paused_job_leaves_the_others_held() -> None:
    state = verbs.pause(running())
    state = step(state, ("rest", JobPhase.LOADING), LATER)
    turned = verbs.take_turn(verbs.resume(state, LATER, JobPhase.LOADING), LATER)
    assert turned[JobPhase.LOADING].status is PhaseStatus.RUNNING
    assert [phase.held for phase in turned.phases] == [False, True, True, True]


def test_two_phases_resumed_one_after_the_other_go_on_together() -> None:
    state = step(verbs.pause(running()), ("rest", JobPhase.LOADING), LATER)
    state = verbs.resume(verbs.resume(state, LATER, JobPhase.CHUNKING), LATER, JobPhase.LOADING)
    assert state.intent_phases == (JobPhase.LOADING, JobPhase.CHUNKING)


def test_a_place_in_the_queue_is_kept_by_a_second_resume() -> None:
    state = step(verbs.pause(running()), ("rest", JobPhase.LOADING), LATER)
    first = verbs.resume(state, T0, JobPhase.LOADING)
    assert verbs.resume(first, LATER).queued_at == T0


@pytest.mark.parametrize("status", [PhaseStatus.COMPLETED])
def test_a_phase_that_is_over_can_be_neither_paused_nor_resumed(status: PhaseStatus) -> None:
    state = walk([("take_turn", None), ("complete", JobPhase.LOADING)])[-1]
    assert state[JobPhase.LOADING].status is status
    for act in (verbs.pause, lambda s, p: verbs.resume(s, LATER, p)):
        with pytest.raises(JobConflict, match="phase loading is completed"):
            act(state, JobPhase.LOADING)


@given(state=states())
@example(state=fresh())
def test_a_pause_is_requested_until_it_has_taken_effect(state: IngestionState) -> None:
    if state.get_overall_status().is_terminal:
        return
    wanted = verbs.pause(state)
    active = [p for p in wanted.phases if p.status is PhaseStatus.RUNNING]
    assert wanted.requested == (Action.PAUSE if active else None)
    rested = wanted.each(lambda p: p.pause(LATER) if p.status is PhaseStatus.RUNNING else p)
    assert rested.requested is None
    assert rested.get_overall_status() is JobStatus.PAUSED


def test_a_pause_that_was_committed_outlives_the_process() -> None:
    found = verbs.interrupt(verbs.pause(running()), LATER, go_on=True, reason="interrupted")
    assert (found.get_overall_status(), found.held, found.intent) == (JobStatus.PAUSED, True, None)


def test_an_engine_that_goes_on_takes_up_what_another_one_left_interrupted() -> None:
    left = verbs.interrupt(running(), LATER, go_on=False, reason=BY_INTERRUPTION)
    assert (left.get_overall_status(), left.intent) == (JobStatus.PAUSED, None)
    taken_up = verbs.interrupt(left, LATER, go_on=True, reason=BY_INTERRUPTION)
    assert (taken_up.intent, job_waiting_on(taken_up)) == (Intent.RESUME, WaitingOn.QUEUE)
    assert verbs.take_turn(taken_up, LATER).get_overall_status() is JobStatus.RUNNING


@given(state=states(), engines=st.lists(st.booleans(), max_size=4))
@example(
    state=verbs.interrupt(fresh().queue(Intent.START, T0), T0, go_on=False, reason=BY_INTERRUPTION), engines=[True]
)
def test_engines_that_find_a_job_one_after_the_other_make_legal_moves_and_the_last_has_its_way(
    state: IngestionState, engines: list[bool]
) -> None:
    if state.lease is not None:
        return
    for go_on in (*engines, True):
        found = verbs.interrupt(state, LATER, go_on=go_on, reason=BY_INTERRUPTION)
        check_job_move(state.get_overall_status(), found.get_overall_status())
        state = found
    if state.is_held_by_interruption:
        assert state.intent, "it goes on with its turn"


def test_a_pause_of_an_interrupted_job_is_its_users_and_outlives_the_next_engine() -> None:
    left = verbs.interrupt(running(), LATER, go_on=False, reason=BY_INTERRUPTION)
    paused = verbs.pause(left)
    assert verbs.pause(paused) is paused
    found = verbs.interrupt(paused, LATER, go_on=True, reason=BY_INTERRUPTION)
    assert (found.held, found.hold_reason, found.intent) == (True, BY_USER, None)


def test_a_retry_that_gets_its_slot_runs_what_failed_and_what_that_paused_and_nothing_else() -> None:
    state = running()
    loading, chunking, embedding, indexing = PHASES
    state = state.with_phase(state[loading].complete(T0))
    state = state.with_phase(state[chunking].start(T0)).with_phase(state[embedding].start(T0))
    state = state.with_phase(state[chunking].pause(T0)).with_phase(state[embedding].fail("gone", T0))
    again = verbs.take_turn(verbs.retry(state, LATER), LATER)
    assert [phase.status for phase in again.phases] == [
        PhaseStatus.COMPLETED, PhaseStatus.RUNNING, PhaseStatus.RUNNING, PhaseStatus.NOT_STARTED,
    ]  # fmt: skip
    assert (again[embedding].error, again.intent) == (None, None)
    assert again[indexing] == state[indexing]
