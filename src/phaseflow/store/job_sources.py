"""The sources of a job: which have been listed to their end, and which could not be."""

from collections.abc import Collection

from phaseflow.domain.phase import kept_error
from phaseflow.store.transaction import Transaction, json_array


def finish(tx: Transaction, job_seq: int, name: str) -> None:
    """A source has been listed to its end: what it does not have any more is known."""
    tx.run(
        "INSERT INTO job_sources (job_seq, name, listed) VALUES (?, ?, 1)"
        " ON CONFLICT (job_seq, name) DO UPDATE SET listed = 1",
        job_seq, name,
    )  # fmt: skip


def fail(tx: Transaction, job_seq: int, name: str, error: str) -> None:
    """A source cannot be listed, or read, any further in this job. The first error stays."""
    tx.run(
        "INSERT INTO job_sources (job_seq, name, error) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (job_seq, name) DO UPDATE SET error = coalesce(error, ?3)",
        job_seq, name, kept_error(error),
    )  # fmt: skip


def displace(tx: Transaction, job_seq: int, name: str, uris: Collection[str]) -> None:
    """So far, the source has these documents under uris of what was pushed, which goes before."""
    tx.run(
        "INSERT INTO job_sources (job_seq, name, displaced) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (job_seq, name) DO UPDATE SET displaced = ?3",
        job_seq, name, json_array([len(uris), min(uris)]),
    )  # fmt: skip


def forget_failures(tx: Transaction, job_seq: int) -> None:
    """Let the sources that failed be tried again."""
    tx.run("UPDATE job_sources SET error = NULL WHERE job_seq = ?", job_seq)


def listed(tx: Transaction, job_seq: int) -> set[str]:
    """Those that have been listed to their end."""
    return {row[0] for row in tx.rows("SELECT name FROM job_sources WHERE job_seq = ? AND listed = 1", job_seq)}


def failed(tx: Transaction, job_seq: int) -> dict[str, str]:
    """Those that could not be listed or read, and why."""
    return dict(
        tx.rows("SELECT name, error FROM job_sources WHERE job_seq = ? AND error IS NOT NULL ORDER BY name", job_seq)
    )


def uncertain(tx: Transaction, job_seq: int, names: Collection[str]) -> list[str]:
    """Those of the job's sources of which nobody knows what they do not have any more: nothing of them is gone."""
    return [
        row[0]
        for row in tx.rows(
            "SELECT value FROM json_each(?2) WHERE value NOT IN"
            " (SELECT name FROM job_sources WHERE job_seq = ?1 AND listed = 1 AND error IS NULL)",
            job_seq, json_array(sorted(names)),
        )
    ]  # fmt: skip
