"""The append-only log."""

from datetime import datetime
from typing import NamedTuple

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.status import Transition, timestamp
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.knowledge_bases import IS_LIVE, KEY_OF, name_of
from phaseflow.store.transaction import Row, Transaction

_COLUMNS = "seq, kb_id, job_id, phase, from_status, to_status, reason, error, at"


class TransitionLog(NamedTuple):
    """The log of all jobs, to which nothing is ever added but at the end."""

    tx: Transaction

    def append(
        self,
        state: IngestionState,
        phase: JobPhase | None,
        moved: tuple[str, str],
        why: tuple[str | None, str | None],
        at: datetime,
    ) -> Transition:
        """Log that a phase or the job itself has moved (from, to), and why (reason, error)."""
        (before, now), (reason, error) = moved, why
        values = (state.kb_id, state.job_id, phase, before, now, reason, error, timestamp(at))
        seq = self.tx.value(
            "INSERT INTO transitions (kb_id, job_id, phase, from_status, to_status, reason, error, at)"
            f" VALUES ({KEY_OF}, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
            *values,
        )
        logged = _transition((seq, *values))
        from phaseflow.store.webhooks import WebhookQueue  # a status reads the log, and tells nobody

        WebhookQueue(self.tx).tell_of_job(logged)
        return logged

    def after(self, seq: int, limit: int, kb_id: str | None = None) -> list[Transition]:
        """The transitions after number ``seq``, in order."""
        rows = self.tx.rows(
            f"SELECT {_COLUMNS} FROM transitions WHERE seq > ?1 AND {IS_LIVE}"
            " AND (?2 IS NULL OR kb_id = (SELECT id FROM knowledge_bases WHERE name = ?2)) ORDER BY seq LIMIT ?3",
            seq, kb_id, limit,
        )  # fmt: skip
        return [_transition(row) for row in rows]

    def moment_of(self, seq: int) -> datetime | None:
        """When the newest transition up to this number was made; None when there is none."""
        at = self.tx.value("SELECT at FROM transitions WHERE seq <= ? ORDER BY seq DESC LIMIT 1", seq)
        return None if at is None else datetime.fromisoformat(at)

    def of_job(self, job_id: str, seq: int, limit: int) -> list[Transition]:
        """The transitions of one job after number ``seq``, in order."""
        rows = self.tx.rows(
            f"SELECT {_COLUMNS} FROM transitions WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?", job_id, seq, limit
        )
        return [_transition(row) for row in rows]

    def last(self) -> int:
        """The highest number ever given, 0 when there is none; pruning does not lower it."""
        seq = self.tx.value("SELECT seq FROM sqlite_sequence WHERE name = 'transitions'")
        return seq or 0

    def identity(self) -> str:
        """What tells this log from that of any other file."""
        number = self.tx.value("SELECT last FROM sequences WHERE name = 'log'")
        return f"{number or 0:x}"

    def oldest(self) -> int:
        """The lowest number still in the log; one more than the highest ever given when the log is empty."""
        seq = self.tx.value(f"SELECT seq FROM transitions WHERE {IS_LIVE} ORDER BY seq LIMIT 1")
        return self.last() + 1 if seq is None else int(seq)


def _transition(row: Row) -> Transition:
    seq, kb_id, job_id, phase, before, now, reason, error, at = row
    return Transition(
        seq=seq, kb_id=name_of(kb_id), job_id=job_id, phase=phase, from_status=before, to_status=now,
        reason=reason, error=error, at=datetime.fromisoformat(at),
    )  # fmt: skip
