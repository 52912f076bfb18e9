"""One phase: its moves, its counts, its time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from phaseflow.domain.errors import InvalidRequest, InvalidTransition
from phaseflow.domain.phase import LONGEST_ERROR, PhaseState
from phaseflow.domain.vocabulary import JobPhase, PhaseStatus
from tests.matrices import together

T0 = datetime(2026, 1, 1, tzinfo=UTC)
COUNTS = st.integers(0, 1000)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def running(seconds: float = 0) -> PhaseState:
    return PhaseState(JobPhase.LOADING).start(at(seconds))


MOVES: dict[str, Callable[[PhaseState, datetime], PhaseState]] = {
    "start": lambda p, now: p.start(now),
    "pause": lambda p, now: p.pause(now),
    "resume": lambda p, now: p.resume(now),
    "complete": lambda p, now: p.complete(now),
    "fail": lambda p, now: p.fail("it broke", now),
    "retry": lambda p, now: p.retry(now),
}


class Phase(RuleBasedStateMachine):
    """Random moves and counts; a model of the running time beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.phase = PhaseState(JobPhase.EMBEDDING)
        self.now_s = 0.0
        self.active_s = 0.0
        self.low = 0

    @rule(seconds=st.integers(0, 100))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds
        self.active_s += seconds if self.phase.status is PhaseStatus.RUNNING else 0

    @rule(name=st.sampled_from(sorted(MOVES)))
    def move(self, name: str) -> None:
        before = self.phase
        try:
            self.phase = MOVES[name](before, at(self.now_s))
        except InvalidTransition:
            assert self.phase is before
            return
        if name == "retry":
            self.low = 0

    @precondition(lambda self: self.phase.status is PhaseStatus.RUNNING)
    @rule(processed=COUNTS, total=st.none() | COUNTS, failed=COUNTS)
    def progress(self, processed: int, total: int | None, failed: int) -> None:
        before = self.phase
        self.phase = before.update_progress(processed, total, items_failed=failed)
        assert self.phase.items_processed >= before.items_processed
        assert self.phase.items_failed >= before.items_failed

    @precondition(lambda self: self.phase.status is not PhaseStatus.COMPLETED)
    @rule(total=COUNTS)
    def the_phase_before_ends(self, total: int) -> None:
        before = self.phase
        self.phase = before.with_total(total)
        assert self.phase.status is before.status

    @precondition(lambda self: self.phase.status is not PhaseStatus.RUNNING)
    @rule(processed=COUNTS)
    def no_progress(self, processed: int) -> None:
        with pytest.raises(InvalidTransition):
            self.phase.update_progress(processed)

    @invariant()
    def progress_never_goes_back_within_a_run(self) -> None:
        assert self.phase.progress >= self.low
        self.low = self.phase.progress

    @invariant()
    def progress_follows_from_the_counts_once_there_is_a_total(self) -> None:
        done, total = self.phase.items_done, self.phase.items_total
        assert self.phase.progress >= (min(99, 100 * done // total) if total else 0)

    @invariant()
    def progress_is_below_a_hundred_until_it_is_completed(self) -> None:
        assert (self.phase.progress == 100) == (self.phase.status is PhaseStatus.COMPLETED)
        assert 0 <= self.phase.progress <= 100

    @invariant()
    def a_known_total_is_never_less_than_what_is_done(self) -> None:
        assert self.phase.items_total is None or self.phase.items_total >= self.phase.items_done

    @invariant()
    def active_seconds_are_those_spent_running(self) -> None:
        assert self.phase.active_seconds(at(self.now_s)) == pytest.approx(self.active_s)

    @invariant()
    def an_error_is_that_of_a_failed_phase(self) -> None:
        assert (self.phase.error is not None) == (self.phase.status is PhaseStatus.FAILED)
        assert (self.phase.completed_at is not None) == (
            self.phase.status in {PhaseStatus.FAILED, PhaseStatus.COMPLETED}
        )


TestPhase = Phase.TestCase


@given(processed=COUNTS, total=st.integers(1, 1000), failed=COUNTS)
def test_progress_counts_what_succeeded_and_what_failed(processed: int, total: int, failed: int) -> None:
    phase = running().update_progress(processed, total, items_failed=failed)
    assert phase.progress == min(99, 100 * (processed + failed) // total)


def test_progress_is_zero_while_the_total_is_unknown() -> None:
    assert running().update_progress(500).progress == 0


def test_a_retry_begins_its_progress_with_what_is_done() -> None:
    failed = running().update_progress(60, 100, items_failed=40).fail("it broke", at(1))
    assert failed.progress == 99
    assert failed.retry(at(2)).progress == 99
    assert replace(failed, items_failed=0).retry(at(2)).progress == 60


@together(
    ("field", "wrong"),
    product(["items_processed", "items_total", "items_failed", "items_reused"], [-1, 2**53 + 1, True, 0.5, "5"]),
)
def test_what_is_no_count_is_refused_by_name(field: str, wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match="must be a whole number, 0 to") as refused:
        running().update_progress(**({"items_processed": 0} | {field: wrong}))
    assert refused.value.field == field


def test_what_has_failed_counts_for_the_total_too() -> None:
    phase = running().update_progress(4, 10, items_failed=3)
    assert phase.items_total == 10
    assert phase.update_progress(9).items_total == 12
    assert running().update_progress(9).items_total is None


def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    phase = running(100)
    assert phase.active_seconds(at(0)) == 0
    assert phase.pause(at(0)).active_s == 0


def test_a_hold_waits_for_no_status_but_a_completed_phase_takes_none() -> None:
    assert PhaseState(JobPhase.LOADING).hold("user").held
    assert running().hold("user").status is PhaseStatus.RUNNING
    with pytest.raises(InvalidTransition, match="be held"):
        running().complete(at(1)).hold("user")


def test_the_first_reason_of_a_hold_stays() -> None:
    assert running().hold("rate limit").hold("user").hold_reason == "rate limit"


def test_resuming_ends_the_hold() -> None:
    assert not running().hold("user").pause(at(1)).resume(at(2)).held


def test_a_completed_phase_knows_its_total() -> None:
    assert running().update_progress(3, items_failed=2).complete(at(1)).items_total == 5


def test_only_completed_is_terminal_and_only_running_and_paused_are_active() -> None:
    phases = {status: PhaseState(JobPhase.LOADING, status) for status in PhaseStatus}
    assert [s for s, p in phases.items() if p.is_terminal()] == [PhaseStatus.COMPLETED]
    assert [s for s, p in phases.items() if p.is_active()] == [PhaseStatus.RUNNING, PhaseStatus.PAUSED]


@together("length", [1, LONGEST_ERROR, LONGEST_ERROR + 1, 3_000_000])
def test_an_error_is_kept_up_to_its_bound(length: int) -> None:
    error = running().fail("x" * length, at(1)).error
    assert error is not None
    assert len(error) == min(length, LONGEST_ERROR)
    assert error.endswith("…") is (length > LONGEST_ERROR)
