"""Jobs whose programs run elsewhere: what their users may ask for, in every state that a few moves lead to."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from itertools import product

import pytest

from phaseflow.domain import reports, verbs
from phaseflow.domain.errors import InvalidTransition, JobConflict
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.lease import Lease
from phaseflow.domain.phase import BY_USER, PhaseState
from phaseflow.domain.transitions import check_job_move
from phaseflow.domain.vocabulary import PHASES, Action, JobPhase, JobStatus, PhaseStatus
from tests.matrices import together

AT = datetime(2026, 1, 1, tzinfo=UTC)
Move = Callable[[IngestionState], IngestionState]
FIRST, SECOND = JobPhase.LOADING, JobPhase.CHUNKING

VERBS: dict[Action, Move] = {
    Action.PAUSE: verbs.pause,
    Action.RESUME: lambda state: verbs.resume(state, AT),
    Action.CANCEL: lambda state: verbs.cancel(state, AT),
    Action.RETRY: lambda state: verbs.retry(state, AT),
}


def _report(phase: JobPhase, change: Callable[[PhaseState], PhaseState], *, runs: bool = False) -> Move:
    """As the tracker takes one."""

    def move(state: IngestionState) -> IngestionState:
        heard_of = reports.heard_of(state, AT, () if runs else PHASES)
        return reports.moved(heard_of, phase, change, AT if runs else None)

    return move


_REPORTS_OF_SECOND: list[Move] = [
    _report(SECOND, lambda p: p.start(AT), runs=True),
    _report(SECOND, lambda p: p.pause(AT)),
    _report(SECOND, lambda p: p.resume(AT), runs=True),
    _report(SECOND, lambda p: p.fail("no", AT)),
    _report(SECOND, lambda p: p.retry(AT), runs=True),
]
MOVES: list[Move] = [
    _report(FIRST, lambda p: p.start(AT), runs=True),
    _report(FIRST, lambda p: p.pause(AT)),
    _report(FIRST, lambda p: p.resume(AT), runs=True),
    _report(FIRST, lambda p: p.complete(AT)),
    _report(FIRST, lambda p: p.fail("no", AT)),
    _report(FIRST, lambda p: p.retry(AT), runs=True),
    *_REPORTS_OF_SECOND,
    lambda state: reports.expire(state, AT),
    lambda state: reports.heard_of(state, AT),
    lambda state: verbs.pause(state, SECOND),
    lambda state: verbs.resume(state, AT, FIRST),
    *VERBS.values(),
]
NEW = IngestionState("j", "kb", managed=False, lease=Lease(60, can_retry=True))


@cache
def _states() -> dict[IngestionState, None]:
    """Each once, in the order in which they are found."""
    seen, latest = {NEW: None}, [NEW]
    while latest:
        latest = [after for state, move in product(latest, MOVES) if (after := _moved(state, move)) not in seen]
        seen |= dict.fromkeys(latest)
        latest = list(dict.fromkeys(latest))
    return seen


def _moved(state: IngestionState, move: Move) -> IngestionState:
    with suppress(JobConflict, InvalidTransition):
        after = move(state)
        check_job_move(state.get_overall_status(), after.get_overall_status())
        return after
    return state


def test_what_is_allowed_is_obeyed_and_all_else_is_refused_or_so_already() -> None:
    for state, action in product(_states(), VERBS):
        try:
            after = VERBS[action](state)
        except JobConflict:
            assert action not in state.allowed_actions(), state
        else:
            is_so = after == state or (action is Action.PAUSE and state.get_overall_status() is JobStatus.PAUSED)
            assert is_so or action in state.allowed_actions(), state


@pytest.mark.thorough
def test_every_move_from_every_state_is_one_that_the_table_knows() -> None:
    for state, move in product(_states(), MOVES):
        with suppress(JobConflict, InvalidTransition):
            after = move(state)
            check_job_move(state.get_overall_status(), after.get_overall_status())


def test_a_job_that_is_over_is_not_refused_for_the_silence_of_its_program() -> None:
    over = verbs.cancel(reports.expire(_report(FIRST, lambda p: p.start(AT), runs=True)(NEW), AT), AT)
    with pytest.raises(JobConflict, match="the job is cancelled"):
        verbs.pause(over)


def test_nothing_is_asked_of_a_program_that_is_gone() -> None:
    for state in _states():
        gone = reports.expire(state, AT)
        assert gone.requested is None
        assert not any(gone.requested_of(phase) for phase in PHASES)
        is_over = gone.get_overall_status().is_terminal
        assert gone.allowed_actions() == ((Action.START,) if is_over else (Action.CANCEL,))


def test_a_job_that_is_over_offers_the_next_one_and_a_retry_only_of_a_program_that_can() -> None:
    started = _report(FIRST, lambda p: p.start(AT), runs=True)(NEW)
    failed = _report(FIRST, lambda p: p.fail("no", AT))(started)
    assert failed.allowed_actions() == (Action.RETRY, Action.START)
    assert replace(failed, lease=Lease(60)).allowed_actions() == (Action.START,)
    assert replace(failed, lease=None).allowed_actions() == (Action.START,)
    assert verbs.cancel(started, AT).allowed_actions() == (Action.START,)


def test_a_program_that_was_silent_has_been_running_what_its_silence_paused_and_nothing_else() -> None:
    assert Lease(60).expired is False
    state = replace(IngestionState("job", "kb", managed=False), lease=Lease(60))
    state = state.with_phase(state[FIRST].start(AT)).with_phase(state[SECOND].start(AT))
    state = state.with_phase(state[SECOND].pause(AT))  # by the program itself
    silent = reports.expire(state, AT)
    assert {silent[phase].status for phase in (FIRST, SECOND)} == {PhaseStatus.PAUSED}
    heard = reports.heard_of(silent, AT)
    assert [heard[phase].status for phase in (FIRST, SECOND)] == [PhaseStatus.RUNNING, PhaseStatus.PAUSED]


@together(("phase", "change"), product([None, FIRST], [lambda p: p.pause(AT), lambda p: p.update_progress(1)]))
def test_a_pause_that_was_not_obeyed_before_a_silence_is_asked_for_again(
    phase: JobPhase | None, change: Callable[[PhaseState], PhaseState]
) -> None:
    asked = verbs.pause(_report(FIRST, lambda p: p.start(AT), runs=True)(NEW), phase)
    heard = reports.heard_of(reports.expire(asked, AT), AT)
    assert (heard[FIRST].status, heard.requested) == (PhaseStatus.RUNNING, Action.PAUSE)
    after = _report(FIRST, change)(reports.expire(asked, AT))
    assert after.requested is (Action.PAUSE if after[FIRST].status is PhaseStatus.RUNNING else None)
    assert after.is_held_somewhere
    assert after[FIRST].hold_reason in {None, BY_USER}


def test_what_was_asked_of_a_program_before_a_silence_is_asked_after_it() -> None:
    for state in _states():
        if not state.is_silent:
            heard = reports.heard_of(reports.expire(state, AT), AT)
            assert heard.requested is state.requested, state
            assert [heard.requested_of(p) for p in PHASES] == [state.requested_of(p) for p in PHASES], state


def test_whatever_a_program_is_asked_is_asked_of_a_phase_that_can_do_it() -> None:
    doers = {
        Action.PAUSE: {PhaseStatus.RUNNING, PhaseStatus.NOT_STARTED},
        Action.RESUME: {PhaseStatus.PAUSED, PhaseStatus.NOT_STARTED},
        Action.RETRY: {PhaseStatus.FAILED},
    }
    for state in _states():
        open_phases = [p for p in PHASES if state[p].status is not PhaseStatus.COMPLETED]
        asked = {p: state.requested_of(p) for p in open_phases}
        assert all(action is None or state[p].status in doers[action] for p, action in asked.items()), state
        assert state.requested is None or state.requested in asked.values(), state
        assert state.requested or not any(asked[p] for p in open_phases if state[p].is_active()), state


def test_a_pause_or_resume_of_one_phase_changes_what_is_asked_of_no_other() -> None:
    on_one: list[Move] = [lambda s: verbs.pause(s, SECOND), lambda s: verbs.resume(s, AT, SECOND)]
    for state, verb in product(_states(), on_one):
        after = _moved(state, verb)
        if state[FIRST].is_active() and after.get_overall_status() is state.get_overall_status():
            assert after.requested_of(FIRST) is state.requested_of(FIRST), state


def test_a_phase_that_is_asked_to_run_again_is_asked_whatever_is_reported_of_others() -> None:
    for state, move in product(_states(), _REPORTS_OF_SECOND):
        again, after = state.requested_of(FIRST), _moved(state, move)
        has_stopped = state[FIRST].status in {PhaseStatus.PAUSED, PhaseStatus.FAILED}
        if has_stopped and again is not None and not _has_ended(state, after):
            assert after.requested_of(FIRST) is again, state


def _has_ended(before: IngestionState, after: IngestionState) -> bool:
    return after.get_overall_status().is_terminal and not before.get_overall_status().is_terminal
