"""The counts of a phase. They change in the transaction that stores the rows they speak of, or not at all."""

from datetime import datetime
from typing import NamedTuple

from phaseflow.domain.errors import StaleRun
from phaseflow.domain.phase import MOST_BEFORE_THE_END
from phaseflow.domain.status import timestamp
from phaseflow.domain.vocabulary import PHASES, JobPhase, WaitingOn
from phaseflow.store.clock import Clock
from phaseflow.store.leases import Leases
from phaseflow.store.transaction import Transaction

_RUNNING = (
    "job_id = ?1 AND phase_name = ?2 AND status = 'running'"
    " AND EXISTS (SELECT 1 FROM ingestion_jobs AS j WHERE j.id = ?1 AND j.attempt = ?3)"
)


class Attempt(NamedTuple):
    """One attempt of a job: its writes carry the number, and those of an older one are refused."""

    job_id: str
    job_seq: int
    kb_id: str
    number: int


class Done(NamedTuple):
    """What a batch adds to the counts of its phase, and what it hands over to the next one (in that one's items).

    ``total`` is the number of items there are; ``found`` adds to it, once it is known, and to what is known so far.
    """

    processed: int = 0
    failed: int = 0
    reused: int = 0
    handed_over: int = 0
    total: int | None = None
    found: int = 0


class PhaseProgress(NamedTuple):
    """What one phase of one attempt says of itself. Nothing is written once the attempt is over."""

    tx: Transaction
    attempt: Attempt
    phase: JobPhase

    def advance(self, done: Done, at: datetime) -> None:
        """Add to the counts of a running phase. Raises StaleRun when this attempt may not write any more.

        One statement, since this stands in every batch: the progress is that of ``PhaseState.update_progress``, in SQL.
        """
        row = self.tx.row(
            "UPDATE ingestion_phase_status SET items_processed = items_processed + ?4,"
            " items_failed = items_failed + ?5, items_reused = items_reused + ?6,"
            " items_total = coalesce(?7, items_total + ?10), waiting_on = NULL,"
            " note = NULL, updated_at = ?8, items_available = items_available + ?10,"
            " progress = max(progress, min(?9, coalesce(100 * (items_processed + ?4 + items_failed + ?5)"
            "  / nullif(coalesce(?7, items_total + ?10), 0), 0)))"
            f" WHERE {_RUNNING} RETURNING 1",
            self.attempt.job_id, self.phase, self.attempt.number, done.processed, done.failed, done.reused, done.total,
            timestamp(at), MOST_BEFORE_THE_END, done.found,
        )  # fmt: skip
        if row is None:
            raise self._lost()
        if done.handed_over:
            self.tx.run(
                "UPDATE ingestion_phase_status SET items_available = items_available + ?3"
                " WHERE job_id = ?1 AND phase_name = ?2",
                self.attempt.job_id, PHASES[self.phase.position + 1], done.handed_over,
            )  # fmt: skip

    def check(self) -> None:
        """Raise StaleRun when this attempt may not write any more. For what is no progress: ``advance`` also says that
        the phase does not wait any longer."""
        if self.tx.row(
            f"SELECT 1 FROM ingestion_phase_status WHERE {_RUNNING}",
            self.attempt.job_id, self.phase, self.attempt.number,
        ) is None:  # fmt: skip
            raise self._lost()

    def wait_on(self, reason: WaitingOn | None) -> None:
        """Say why a running phase does not move. Raises StaleRun when this attempt is over."""
        row = self.tx.row(
            f"UPDATE ingestion_phase_status SET waiting_on = ?4 WHERE {_RUNNING} RETURNING 1",
            self.attempt.job_id, self.phase, self.attempt.number, reason,
        )  # fmt: skip
        if row is None:
            raise self._lost()

    def wait_on_component(self, is_so: bool) -> None:
        """Say that a component does not answer, or that it does again; any other reason stays. Raises StaleRun when
        this attempt is over."""
        is_other = "waiting_on IS NOT NULL" if is_so else "waiting_on IS NOT 'component'"
        row = self.tx.row(
            f"UPDATE ingestion_phase_status SET waiting_on = iif({is_other}, waiting_on, ?4)"
            f" WHERE {_RUNNING} RETURNING 1",
            self.attempt.job_id, self.phase, self.attempt.number, WaitingOn.COMPONENT if is_so else None,
        )  # fmt: skip
        if row is None:
            raise self._lost()

    def note(self, words: str | None) -> None:
        """Say what takes long in a running phase; None: nothing. Raises StaleRun when this attempt is over."""
        row = self.tx.row(
            f"UPDATE ingestion_phase_status SET note = ?4 WHERE {_RUNNING} RETURNING 1",
            self.attempt.job_id, self.phase, self.attempt.number, words,
        )  # fmt: skip
        if row is None:
            raise self._lost()

    def has_succeeded(self) -> bool:
        """Whether any item of a phase has, or a document did not have to go through it because it is unchanged."""
        row = self.tx.row(
            "SELECT 1 FROM ingestion_phase_status WHERE job_id = ?1"
            " AND (phase_name = ?2 AND items_processed > 0 OR phase_name = 'loading' AND items_reused > 0)",
            self.attempt.job_id, self.phase,
        )  # fmt: skip
        return row is not None

    def _lost(self) -> StaleRun:
        return StaleRun(
            f"attempt {self.attempt.number} of job {self.attempt.job_id} may not write to {self.phase} any more"
        )


class Total(NamedTuple):
    """The counts of one phase, over all jobs. ``active_s`` is without the stretch that is still running."""

    phase: JobPhase
    processed: int
    failed: int
    reused: int
    active_s: float

    @classmethod
    def of_all(cls, tx: Transaction) -> "list[Total]":
        """What all jobs have done, phase by phase."""
        rows = tx.rows(
            "SELECT phase_name, sum(items_processed), sum(items_failed), sum(items_reused), sum(active_seconds)"
            " FROM ingestion_phase_status GROUP BY phase_name"
        )
        return [cls(JobPhase(name), *counts) for name, *counts in rows]


class RunningTimes(NamedTuple):
    """How long the phases of all jobs have been running, as it is stored."""

    tx: Transaction

    def settle(self) -> None:
        """End the running time of phases of a process that died with the last sign of life that each has given.

        Phases of a job with a lease run elsewhere.
        """
        self.tx.run(
            "UPDATE ingestion_phase_status SET running_since = NULL, active_seconds = active_seconds"
            "  + max(0, (julianday(updated_at) - julianday(running_since)) * 86400)"
            " WHERE status = 'running' AND running_since IS NOT NULL"
            " AND job_id NOT IN (SELECT id FROM ingestion_jobs WHERE lease_until IS NOT NULL)"
        )

    def follow(self, clock: Clock) -> None:
        """When the wall clock has stepped, move the beginnings of all running stretches, and the ends of leases, as
        far."""
        step = clock.step()
        if not step:
            return
        clock.follow(self.tx, step)
        self.tx.run(
            "UPDATE ingestion_phase_status SET"
            " running_since = strftime('%Y-%m-%dT%H:%M:%fZ', running_since, printf('%+.3f seconds', ?1)),"
            " updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', updated_at, printf('%+.3f seconds', ?1))"
            " WHERE status = 'running' AND running_since IS NOT NULL",
            step.total_seconds(),
        )
        Leases(self.tx).move(step)


class JobCounts(NamedTuple):
    """What a job counts beside the progress of its phases."""

    tx: Transaction
    job_seq: int

    def add_deleted(self, deleted: int) -> None:
        """Add to the documents that a job has taken out."""
        self.tx.run(
            "UPDATE ingestion_jobs SET documents_deleted = documents_deleted + ? WHERE seq = ?", deleted, self.job_seq
        )

    def take_back(self, phase: JobPhase, documents: int, items: int) -> None:
        """Take documents that will be tried again, and their items in a phase, from those that failed."""
        self.tx.run(
            "UPDATE ingestion_jobs SET documents_failed = documents_failed - ? WHERE seq = ?", documents, self.job_seq
        )
        self.tx.run(
            "UPDATE ingestion_phase_status SET items_failed = max(0, items_failed - ?)"
            " WHERE job_id = (SELECT id FROM ingestion_jobs WHERE seq = ?) AND phase_name = ?",
            items, self.job_seq, phase,
        )  # fmt: skip

    def add_characters(self, characters: int) -> None:
        """Add to the characters that a job has sent to the embedder."""
        self.tx.run(
            "UPDATE ingestion_jobs SET characters_sent = characters_sent + ? WHERE seq = ?", characters, self.job_seq
        )
