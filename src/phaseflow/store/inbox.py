"""The inbox of a knowledge base: documents that somebody wants loaded, for the loading phase of the open job to take.

Whoever asks writes here and nowhere else; a job's rows are written by its own run alone. What waits is taken by level,
not by edge, so that it does not matter when it came, or how often anybody was told.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from phaseflow.domain.status import timestamp
from phaseflow.store.catalogue import PUSH, Catalogue
from phaseflow.store.transaction import Transaction, json_array

_FOR_LATER: Final = 0
"""In place of the number of a job: the open job is done with this document, and leaves it to the next one."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """What somebody wants loaded of one knowledge base, beside what its sources bring."""

    tx: Transaction
    kb_key: str

    def ask(self, uris: Sequence[str], at: datetime, *, anew: bool = False) -> None:
        """Want these documents loaded; ``anew``: even if unchanged. What a job has taken already is wanted again, under
        a number of its own."""
        if uris:
            self.tx.run(
                "INSERT OR REPLACE INTO requests (kb_id, uri, anew, requested_at)"
                " SELECT ?1, value, max(?2, coalesce(r.anew, 0)), ?3 FROM json_each(?4)"
                " LEFT JOIN requests AS r ON r.kb_id = ?1 AND r.uri = value",
                self.kb_key, anew, timestamp(at), json_array(uris),
            )  # fmt: skip
            Catalogue(self.tx, self.kb_key).note_change(uris, at)

    def withdraw(self, uri: str) -> None:
        """Nobody wants this document loaded any more."""
        self.tx.run("DELETE FROM requests WHERE kb_id = ? AND uri = ?", self.kb_key, uri)

    def is_asked_for(self, uri: str) -> bool:
        """Whether somebody waits for this document to be loaded."""
        return self.tx.row("SELECT 1 FROM requests WHERE kb_id = ? AND uri = ?", self.kb_key, uri) is not None

    def waits_anew(self, uri: str) -> bool:
        """Whether a document that no job has begun to load for that waits to be loaded even if unchanged."""
        sql = "SELECT 1 FROM requests WHERE kb_id = ? AND uri = ? AND anew AND coalesce(job_seq, ?) = ?"
        return self.tx.row(sql, self.kb_key, uri, _FOR_LATER, _FOR_LATER) is not None

    def has_waiting(self) -> bool:
        """Whether anything waits that the open job may take."""
        return (
            self.tx.row("SELECT 1 FROM requests WHERE kb_id = ? AND job_seq IS NULL LIMIT 1", self.kb_key) is not None
        )

    def take(self, job_seq: int, limit: int, sources: Collection[str]) -> tuple[int, int]:
        """Take up to ``limit`` documents that wait into the entries of the open job: (how many there were, how many of
        them are new to it).

        One that it has listed and not read yet is as it was. One that it is done with waits for the next job. Of those
        whose source the job does not have, the source ``push`` finds that they are gone.
        """
        found = self.tx.rows(
            "SELECT r.id, r.uri, coalesce(c.source, 'default'), e.state FROM requests AS r"
            " LEFT JOIN catalogue AS c ON c.kb_id = r.kb_id AND c.uri = r.uri"
            " LEFT JOIN job_entries AS e ON e.job_seq = ?2 AND e.uri = r.uri"
            " WHERE r.kb_id = ?1 AND r.job_seq IS NULL ORDER BY r.id LIMIT ?3",
            self.kb_key, job_seq, limit,
        )  # fmt: skip
        # Three kinds, told apart by the entry that the job has of it. None yet: it gets one. Listed and not read: that
        # entry will do, and only the request is marked. Read already: an entry is settled once, so the request waits
        # for the next job; reopening the entry would make counts go back.
        new = [(uri, source if source in sources else PUSH) for _, uri, source, state in found if state is None]
        self.tx.run(
            "UPDATE requests SET job_seq = d.value ->> 1 FROM json_each(?) AS d WHERE requests.id = d.value ->> 0",
            json_array([[key, _FOR_LATER if state else job_seq] for key, _, _, state in found]),
        )
        self.tx.run(
            "INSERT INTO job_entries (job_seq, uri, source) SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2)",
            job_seq, json_array(new),
        )  # fmt: skip
        return len(found), len(new)

    def leave_newer(self, job_seq: int, read: Sequence[tuple[str, int | None]]) -> None:
        """Leave to the next job what was asked for again while a job read it: nobody knows what of it that has seen.

        ``read`` are (uri, the number of the request that was there before, None: none).
        """
        self.tx.run(
            "UPDATE requests SET job_seq = ?3 FROM json_each(?4) AS d WHERE requests.kb_id = ?1"
            " AND requests.job_seq = ?2 AND requests.uri = d.value ->> 0 AND requests.id IS NOT d.value ->> 1",
            self.kb_key, job_seq, _FOR_LATER, json_array(read),
        )  # fmt: skip

    def settle(self, job_seq: int, uris: Sequence[str]) -> None:
        """A job is done with these documents: they are searchable, unchanged, or failed."""
        if uris:
            self.tx.run(
                "DELETE FROM requests WHERE kb_id = ?1 AND job_seq = ?2 AND uri IN (SELECT value FROM json_each(?3))",
                self.kb_key, job_seq, json_array(uris),
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inboxes:
    """The inboxes of all knowledge bases."""

    tx: Transaction

    def waits_since(self, kb_id: str, after: str | None) -> bool:
        """Whether anything waits for a new job of a knowledge base (by name), asked for at ``after`` or later."""
        row = self.tx.row(
            "SELECT 1 FROM requests WHERE kb_id = (SELECT id FROM knowledge_bases WHERE name = ?1)"
            " AND (?2 IS NULL OR requested_at >= ?2) LIMIT 1",
            kb_id, after,
        )  # fmt: skip
        return row is not None

    def waiting(self) -> list[str]:
        """The names of the knowledge bases in whose inbox anything is."""
        rows = self.tx.rows(
            "SELECT name FROM knowledge_bases AS k WHERE name IS NOT NULL"
            " AND EXISTS (SELECT 1 FROM requests AS r WHERE r.kb_id = k.id)"
        )
        return [row[0] for row in rows]

    def give_back(self, job_id: str, limit: int) -> int:
        """Before a job begins: let up to ``limit`` documents that older jobs have taken, and left, wait again; how
        many."""
        rows = self.tx.rows(
            "UPDATE requests SET job_seq = NULL WHERE id IN (SELECT r.id FROM ingestion_jobs AS j JOIN requests AS r"
            "  ON r.kb_id = j.kb_id AND r.job_seq < j.seq WHERE j.id = ? LIMIT ?) RETURNING 1",
            job_id, limit,
        )  # fmt: skip
        return len(rows)
