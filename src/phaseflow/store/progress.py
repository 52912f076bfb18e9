"""The counts of a phase. They change in the transaction that stores the rows they speak of, or not at all."""

from dataclasses import dataclass
from datetime import datetime

from phaseflow.domain.errors import OwnershipLost
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.status import timestamp
from phaseflow.domain.vocabulary import PHASES, JobPhase, PhaseStatus, WaitingOn
from phaseflow.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one job: what its writes are bound to."""

    job_id: str
    job_seq: int
    kb_id: str
    run: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a batch adds to the counts of its phase, and what it hands over to the next one (in that one's items)."""

    processed: int = 0
    failed: int = 0
    reused: int = 0
    handed_over: int = 0
    total: int | None = None


async def advance(tx: Transaction, run: Run, phase: JobPhase, done: Done, at: datetime) -> None:
    """Add to the counts of a running phase. Raises OwnershipLost when this run may not write any more."""
    state = await _running(tx, run, phase)
    state = state.update_progress(
        state.items_processed + done.processed,
        done.total,
        items_failed=state.items_failed + done.failed,
        items_reused=state.items_reused + done.reused,
    )
    await tx.run(
        "UPDATE ingestion_phase_status SET items_processed = ?3, items_failed = ?4, items_reused = ?5,"
        " items_total = ?6, progress = ?7, waiting_on = NULL, updated_at = ?8 WHERE job_id = ?1 AND phase_name = ?2",
        run.job_id, phase, state.items_processed, state.items_failed, state.items_reused, state.items_total,
        state.progress, timestamp(at),
    )  # fmt: skip
    if done.handed_over:
        await tx.run(
            "UPDATE ingestion_phase_status SET items_available = items_available + ?3"
            " WHERE job_id = ?1 AND phase_name = ?2",
            run.job_id, PHASES[phase.position + 1], done.handed_over,
        )  # fmt: skip


async def wait_on(tx: Transaction, run: Run, phase: JobPhase, reason: WaitingOn | None) -> None:
    """Say why a running phase does not move. Raises OwnershipLost when this run may not write any more."""
    await _running(tx, run, phase)
    await tx.run(
        "UPDATE ingestion_phase_status SET waiting_on = ?3 WHERE job_id = ?1 AND phase_name = ?2",
        run.job_id, phase, reason,
    )  # fmt: skip


async def _running(tx: Transaction, run: Run, phase: JobPhase) -> PhaseState:
    row = await tx.row(
        "SELECT p.progress, p.items_processed, p.items_total, p.items_failed, p.items_reused"
        " FROM ingestion_phase_status AS p JOIN ingestion_jobs AS j ON j.id = p.job_id"
        " WHERE p.job_id = ? AND p.phase_name = ? AND p.status = 'running' AND j.run = ?",
        run.job_id, phase, run.run,
    )  # fmt: skip
    if row is None:
        raise OwnershipLost(f"run {run.run} of job {run.job_id} may not write to {phase} any more")
    progress, processed, total, failed, reused = row
    return PhaseState(phase, PhaseStatus.RUNNING, progress, processed, total, failed, reused)
