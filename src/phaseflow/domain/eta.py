"""Rates and the estimate of the time that is left: pure arithmetic on counts and running time."""

from datetime import datetime

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.vocabulary import JobPhase, JobStatus, PhaseStatus

_SHORTEST_S = 1.0
"""A rate over less running time than this (seconds) is noise."""


def items_per_second(phase: PhaseState, now: datetime) -> float | None:
    """Items done per second of running time, None before anything was done. Reused items count: they were handled."""
    active_s = phase.active_seconds(now)
    return phase.items_done / active_s if active_s > 0 and phase.items_done else None


def eta_seconds(state: IngestionState, now: datetime) -> float | None:
    """Seconds until the job is completed, None until that can be honest.

    Every phase that is not completed needs a final total and a rate, and nobody may hold it. The phases overlap, so the
    slowest one decides. Indexing takes the total of embedding, which is the same chunks.
    """
    if state.get_overall_status() is not JobStatus.RUNNING:
        return None
    open_phases = [phase for phase in state.phases if phase.status is not PhaseStatus.COMPLETED]
    left = [_seconds_left(state, phase, now) for phase in open_phases]
    known = [seconds for seconds in left if seconds is not None]
    return max(known) if known and len(known) == len(left) else None


def _seconds_left(state: IngestionState, phase: PhaseState, now: datetime) -> float | None:
    if phase.held or phase.status is not PhaseStatus.RUNNING:
        return None
    total = phase.items_total
    if total is None and phase.name is JobPhase.INDEXING:
        total = state[JobPhase.EMBEDDING].items_total
    rate = items_per_second(phase, now)
    if total is None or rate is None or phase.active_seconds(now) < _SHORTEST_S:
        return None
    return max(0, total - phase.items_done) / rate
