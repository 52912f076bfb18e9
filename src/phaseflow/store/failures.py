"""Documents that failed: one row a document, until it succeeds or leaves the source."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from phaseflow.domain.phase import kept_error
from phaseflow.domain.status import Failure, timestamp
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.knowledge_bases import name_of
from phaseflow.store.states import IS_A_DOCUMENT
from phaseflow.store.transaction import Transaction, json_array, next_after
from phaseflow.store.unlisted import is_hidden
from phaseflow.store.webhooks import WebhookQueue

NO_JOB: Final = 0
"""In place of the number of a job: no job counts this failure."""


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """What went wrong with one document. ``counts``: it is part of the phase's error budget.

    ``gone``: the document does not exist any more.
    """

    uri: str
    code: str
    error: str
    counts: bool = True
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures of one knowledge base."""

    tx: Transaction
    kb_key: str

    def add(self, job_seq: int, phase: JobPhase, failed: Sequence[FailedDocument], at: datetime) -> None:
        """Record and count failures of a job; a document that failed before has one more attempt.

        One that was deleted, or skipped, while it was on its way has no failure: nobody wants it any more. That of one
        that was asked for again meanwhile counts for no job: it is queued.
        """
        rows = json_array([[f.uri, f.code, kept_error(f.error)] for f in failed])
        noted = self.tx.rows(
            "INSERT INTO failures (kb_id, uri, job_seq, phase, code, error, attempts, at)"
            " SELECT ?1, value ->> 0, iif(EXISTS (SELECT 1 FROM requests AS r WHERE r.kb_id = ?1"
            f"  AND r.uri = value ->> 0 AND coalesce(r.job_seq, 0) <> ?2), {NO_JOB}, ?2), ?3,"
            "  value ->> 1, value ->> 2, 1, ?4 FROM json_each(?5) WHERE EXISTS"
            "  (SELECT 1 FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri = value ->> 0 AND c.skipped = 0)"
            " ON CONFLICT (kb_id, uri) DO UPDATE SET job_seq = excluded.job_seq, phase = excluded.phase,"
            " code = excluded.code, error = excluded.error, attempts = attempts + 1, at = excluded.at"
            " RETURNING job_seq",
            self.kb_key, job_seq, phase, timestamp(at), rows,
        )  # fmt: skip
        WebhookQueue(self.tx).tell_of_failures(self.kb_key, name_of(self.kb_key), [f.uri for f in failed])
        self.tx.run(
            "UPDATE ingestion_jobs SET documents_failed = documents_failed + ? WHERE seq = ?",
            len([row for row in noted if row[0] == job_seq]), job_seq,
        )  # fmt: skip

    def add_new(self, job_seq: int, phase: JobPhase, failed: Sequence[FailedDocument], at: datetime) -> None:
        """The same for those of which no failure stands."""
        uris = json_array([f.uri for f in failed])
        known = self.tx.rows(
            "SELECT uri FROM failures WHERE kb_id = ? AND uri IN (SELECT value FROM json_each(?))", self.kb_key, uris
        )
        if new := [f for f in failed if (f.uri,) not in known]:
            self.add(job_seq, phase, new, at)

    def clear(self, uris: list[str]) -> None:
        """Forget the failures of documents that succeeded."""
        self.tx.run(
            "DELETE FROM failures WHERE kb_id = ? AND uri IN (SELECT value FROM json_each(?))",
            self.kb_key,
            json_array(uris),
        )

    def uncount(self, uri: str) -> None:
        """The newest job counts the failure of this document no longer, for it is asked for again, or wanted no more.

        So what its status says of failed documents, and what its knowledge base does, are the same. The counts of older
        jobs are history.
        """
        newest = self.tx.value("SELECT max(seq) FROM ingestion_jobs WHERE kb_id = ?", self.kb_key)
        found = self.tx.row(
            "UPDATE failures SET job_seq = ? WHERE kb_id = ? AND uri = ? AND job_seq = ? RETURNING 1",
            NO_JOB, self.kb_key, uri, newest,
        )  # fmt: skip
        if found is not None:
            self.tx.run("UPDATE ingestion_jobs SET documents_failed = documents_failed - 1 WHERE seq = ?", newest)

    def give_back(self, job_seq: int, uris: list[str]) -> int:
        """A job that has counted failures of these documents tries them again; how many it counts no more.

        They stand until then, under the negative of its number: so that nobody takes them from its count once more.
        """
        rows = self.tx.rows(
            "UPDATE failures SET job_seq = -job_seq WHERE kb_id = ?1 AND job_seq = ?2"
            " AND uri IN (SELECT value FROM json_each(?3)) RETURNING 1",
            self.kb_key, job_seq, json_array(uris),
        )  # fmt: skip
        return len(rows)

    def clear_missing(self, job_seq: int, uncertain: Sequence[str], after: str, limit: int) -> str | None:
        """Of the next ``limit`` failures by uri, forget those of documents that no source of the job has any more.

        The uri to go on after, None at the end. Those of ``uncertain`` sources stay, and of parts that were not listed.
        """
        rows = self.tx.rows(
            "SELECT uri FROM failures WHERE kb_id = ? AND uri > ? ORDER BY uri LIMIT ?", self.kb_key, after, limit
        )
        if not rows:
            return None
        self.tx.run(
            "DELETE FROM failures WHERE kb_id = ?1 AND uri IN (SELECT value FROM json_each(?3)) AND NOT EXISTS"
            f" (SELECT 1 FROM job_entries AS e WHERE e.job_seq = ?2 AND e.uri = failures.uri AND e.{IS_A_DOCUMENT})"
            " AND NOT EXISTS (SELECT 1 FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri = failures.uri"
            f"  AND (c.source IN (SELECT value FROM json_each(?4)) OR {is_hidden('c.uri', 'c.source', '?2')}))",
            self.kb_key, job_seq, json_array([row[0] for row in rows]), json_array(uncertain),
        )  # fmt: skip
        following: str | None = next_after(rows, limit)
        return following

    def are_there(self) -> bool:
        """Whether any document has failed, and is still wanted."""
        return self.tx.row("SELECT 1 FROM failures WHERE kb_id = ? LIMIT 1", self.kb_key) is not None

    def page(self, limit: int, after: str) -> list[Failure]:
        """Failures by uri, those behind ``after``."""
        rows = self.tx.rows(
            "SELECT uri, phase, code, error, attempts, at FROM failures"
            " WHERE kb_id = ? AND uri > ? ORDER BY uri LIMIT ?",
            self.kb_key, after, limit,
        )  # fmt: skip
        return [
            Failure(uri=uri, phase=phase, code=code, error=error, attempts=attempts, at=datetime.fromisoformat(at))
            for uri, phase, code, error, attempts, at in rows
        ]

    def count(self) -> int:
        """How many documents failed."""
        return int(self.tx.value("SELECT count(*) FROM failures WHERE kb_id = ?", self.kb_key))
