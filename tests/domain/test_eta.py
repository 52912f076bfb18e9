"""Rates and the time that is left: honest or None."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseflow.domain.eta import eta_seconds, items_per_second
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.vocabulary import PHASES, JobPhase, PhaseStatus
from tests.domain.walks import states
from tests.matrices import together

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def phase(name: JobPhase, done: int, total: int | None) -> PhaseState:
    return PhaseState(name).start(T0).update_progress(done, total)


def job(*done_and_total: tuple[int, int | None]) -> IngestionState:
    """Four running phases."""
    return IngestionState("job", "kb", tuple(phase(n, *d) for n, d in zip(PHASES, done_and_total, strict=True)))


KNOWN = job((50, 100), (20, 100), (10, 100), (5, 50))


def test_the_slowest_phase_decides() -> None:
    assert eta_seconds(KNOWN, at(10)) == pytest.approx(90)


def test_paused_time_is_in_no_rate() -> None:
    resumed = phase(JobPhase.LOADING, 50, 100).pause(at(10)).resume(at(1000))
    assert items_per_second(resumed, at(1000)) == 5
    assert resumed.active_seconds(at(1010)) == 20


def test_reused_items_are_handled_items() -> None:
    assert items_per_second(replace(phase(JobPhase.LOADING, 50, 100), items_reused=50), at(10)) == 5


@together("name", [JobPhase.LOADING, JobPhase.CHUNKING, JobPhase.EMBEDDING])
def test_there_is_no_estimate_while_a_total_is_unknown(name: JobPhase) -> None:
    unknown = KNOWN.with_phase(replace(KNOWN[name], items_total=None))
    assert eta_seconds(unknown, at(10)) is None


def test_indexing_has_the_total_of_embedding() -> None:
    assert eta_seconds(KNOWN.with_phase(replace(KNOWN[JobPhase.INDEXING], items_total=None)), at(10)) == 190


@together("name", PHASES)
def test_there_is_no_estimate_before_a_phase_has_done_anything(name: JobPhase) -> None:
    assert eta_seconds(KNOWN.with_phase(replace(KNOWN[name], items_processed=0)), at(10)) is None


@together("name", PHASES)
def test_there_is_no_estimate_while_a_phase_is_held(name: JobPhase) -> None:
    assert eta_seconds(KNOWN.with_phase(KNOWN[name].hold("user")), at(10)) is None


def test_a_rate_over_less_than_a_second_is_noise() -> None:
    assert eta_seconds(KNOWN, at(0.9)) is None
    assert eta_seconds(KNOWN, at(1.0)) is not None


@given(state=states(), seconds=st.floats(0, 1e6))
def test_only_a_running_job_has_an_estimate_and_it_is_never_negative(state: IngestionState, seconds: float) -> None:
    eta_s = eta_seconds(state, at(seconds))
    assert eta_s is None or (eta_s >= 0 and state.get_overall_status() == "running")
    waiting = any(p.status in {PhaseStatus.NOT_STARTED, PhaseStatus.PAUSED} for p in state.phases)
    assert eta_s is None or not waiting
