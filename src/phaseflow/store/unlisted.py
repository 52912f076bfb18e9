"""Parts of sources that could not be listed: nobody knows what is below them, so nothing of it counts as gone.

A part is an entry of its source, which fails and says why (an archive that cannot be opened). It is known no longer to
hide anything once it turns out not to be there, or to be no document, or is skipped on request.
"""

from collections.abc import Sequence
from typing import NamedTuple

from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction

_HIDES = (
    "NOT EXISTS (SELECT 1 FROM job_entries AS pe WHERE pe.job_seq = p.job_seq AND pe.uri = p.uri"
    f"  AND pe.source = p.source AND pe.state IN ({EntryState.SKIPPED}, {EntryState.GONE:d}))"
    " AND NOT EXISTS (SELECT 1 FROM ingestion_jobs AS pj JOIN catalogue AS pc ON pc.kb_id = pj.kb_id"
    "  AND pc.uri = p.uri AND pc.skipped = 1 WHERE pj.seq = p.job_seq)"
)
"""SQL: what is below a part ``p`` may be there."""


def is_hidden(uri: str, source: str, job_seq: str) -> str:
    """SQL: a document lies in a part of ``source`` that the job could not list."""
    # No part lies in another, so the one that would stand last before the document is the only one it can lie in.
    return (
        "EXISTS (SELECT 1 FROM (SELECT * FROM unlisted_parts"
        f"  WHERE job_seq = {job_seq} AND source = {source} AND place <= {uri} ORDER BY place DESC LIMIT 1) AS p"
        f" WHERE substr({uri}, 1, length(p.place)) = p.place AND {_HIDES})"
    )


class UnlistedParts(NamedTuple):
    """The parts of the sources of one job that could not be listed."""

    tx: Transaction
    job_seq: int

    def add(self, source: str, uris: Sequence[str]) -> None:
        """What ``source`` has below these entries, as ``URI/…``, could not be listed."""
        for uri in uris:
            place = f"{uri.rstrip('/')}/"
            around = self.tx.row(
                "SELECT 1 FROM (SELECT place FROM unlisted_parts WHERE job_seq = ?1 AND source = ?2 AND place <= ?3"
                "  ORDER BY place DESC LIMIT 1) WHERE substr(?3, 1, length(place)) = place",
                self.job_seq, source, place,
            )  # fmt: skip
            if around is None:
                self.tx.run(
                    "DELETE FROM unlisted_parts WHERE job_seq = ? AND source = ? AND place > ? AND place < ?",
                    self.job_seq, source, place, f"{place[:-1]}0",  # the character after the slash
                )  # fmt: skip
                self.tx.run(
                    "INSERT INTO unlisted_parts (job_seq, source, place, uri) VALUES (?, ?, ?, ?)",
                    self.job_seq, source, place, uri,
                )  # fmt: skip

    def has_any(self, source: str) -> bool:
        """Whether a source has named such a part, whatever became of it."""
        sql = "SELECT 1 FROM unlisted_parts WHERE job_seq = ? AND source = ? LIMIT 1"
        return self.tx.row(sql, self.job_seq, source) is not None

    def of(self, source: str, most: int) -> list[str]:
        """The entries that stand for the first parts of a source that may hide documents."""
        rows = self.tx.rows(
            f"SELECT uri FROM unlisted_parts AS p WHERE job_seq = ? AND source = ? AND {_HIDES} ORDER BY place LIMIT ?",
            self.job_seq, source, most,
        )  # fmt: skip
        return [row[0] for row in rows]
