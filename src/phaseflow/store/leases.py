"""Leases: until when jobs are taken for alive whose programs run elsewhere."""

from datetime import datetime, timedelta
from typing import NamedTuple

from phaseflow.domain.status import timestamp
from phaseflow.store.knowledge_bases import IS_LIVE
from phaseflow.store.transaction import Transaction

_UNTIL = "strftime('%Y-%m-%dT%H:%M:%fZ', ?1, printf('+%.3f seconds', lease_s))"
_EXPIRED = 20
"""Leases that end in one transaction."""


class Leases(NamedTuple):
    """The leases of all jobs that have one."""

    tx: Transaction

    def renew(self, job_id: str, at: datetime) -> None:
        """Its program was heard of just now. Nothing to do for a job without a lease."""
        self.tx.run(
            f"UPDATE ingestion_jobs SET lease_until = {_UNTIL} WHERE id = ?2 AND lease_s IS NOT NULL",
            timestamp(at),
            job_id,
        )

    def renew_all(self, at: datetime) -> None:
        """Give each a whole lease: while nobody could report, nobody can be blamed for silence."""
        self.tx.run(f"UPDATE ingestion_jobs SET lease_until = {_UNTIL} WHERE lease_until IS NOT NULL", timestamp(at))

    def first_end(self) -> datetime | None:
        """When the next lease ends; None without any."""
        until = self.tx.value(
            f"SELECT lease_until FROM ingestion_jobs WHERE lease_until IS NOT NULL AND {IS_LIVE}"
            " ORDER BY lease_until LIMIT 1"
        )
        return None if until is None else datetime.fromisoformat(until)

    def ended(self, at: datetime) -> list[str]:
        """Jobs whose leases have ended, a bounded number of them."""
        rows = self.tx.rows(
            f"SELECT id FROM ingestion_jobs WHERE lease_until <= ? AND {IS_LIVE} ORDER BY lease_until LIMIT ?",
            timestamp(at), _EXPIRED,
        )  # fmt: skip
        return [row[0] for row in rows]

    def move(self, step: timedelta) -> None:
        """Move the ends of all leases, since the wall clock has stepped so far."""
        self.tx.run(
            "UPDATE ingestion_jobs SET lease_until = strftime('%Y-%m-%dT%H:%M:%fZ', lease_until,"
            " printf('%+.3f seconds', ?)) WHERE lease_until IS NOT NULL",
            step.total_seconds(),
        )
