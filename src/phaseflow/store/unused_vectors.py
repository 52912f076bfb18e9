"""Vectors that no passage names any more: kept for a while, in case a document comes back, then freed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from phaseflow.domain.status import timestamp
from phaseflow.store.documents import HASH_BYTES
from phaseflow.store.pieces import document_of
from phaseflow.store.transaction import Row, Transaction, json_array

_STEP_VECTORS: Final = 500
"""Vectors freed in one transaction: of 1,536 numbers they are 3 MB."""
_AFTER_ALL: Final = "A"
"""In place of a moment: behind all of them."""

_NOW: Final = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_IS_NAMED: Final = "EXISTS (SELECT 1 FROM chunks AS c WHERE c.vector_id = v.id)"
_IS_NAMED_HERE: Final = (
    "EXISTS (SELECT 1 FROM (SELECT c.id FROM chunks AS c WHERE c.vector_id = v.id LIMIT 8) AS n"
    f" JOIN documents AS d ON d.id = {document_of('n.id')} WHERE d.kb_id = ?1)"
)
"""In the same knowledge base, as far as a look at a few tells: to note one that is named costs a row."""
_EMBEDDING: Final = (
    "SELECT 1 FROM ingestion_jobs AS j JOIN ingestion_phase_status AS p ON p.job_id = j.id"
    " WHERE (j.completed_at IS NULL OR j.intent IS NOT NULL) AND j.managed"
    " AND p.phase_name = 'embedding' AND p.status = 'running' LIMIT 1"
)
"""A text that was looked up a moment ago is about to name its vector: none is freed meanwhile."""


@dataclass(frozen=True, slots=True)
class UnusedVectors:
    """Vectors that no chunk names any more."""

    tx: Transaction

    def let_go(self, kb_key: str, chunks: Sequence[Row], *, at_once: bool) -> None:
        """Note the vectors that only these deleted chunks (vector id or None, text hash) of a knowledge base have
        named.

        Another one may name them still: they are kept for this one, also when that is deleted, whose own go
        ``at_once``. A chunk that has not got its vector yet may have been paid for: then those of its text are meant.
        """
        named = {vector for vector, _ in chunks if vector is not None}
        unattached = [text_hash for vector, text_hash in chunks if vector is None]
        named.update(_of_texts(self.tx, unattached))
        self.tx.run(
            "INSERT OR REPLACE INTO unused_vectors (kb_id, vector_id, since)"
            f" SELECT ?1, v.id, iif(?3, '', {_NOW}) FROM json_each(?2) AS f JOIN vectors AS v ON v.id = f.value"
            f" WHERE NOT {_IS_NAMED if at_once else _IS_NAMED_HERE}",
            kb_key, json_array(sorted(named)), at_once,
        )  # fmt: skip

    def let_go_of_all(self, kb_key: str, limit: int) -> bool:
        """Let up to ``limit`` vectors of a deleted knowledge base go at once; whether there were any."""
        rows = self.tx.rows(
            # By an index of its own: by the key, each step would pass over all that have gone in the steps before.
            "UPDATE unused_vectors SET since = '' WHERE kb_id = ?1 AND vector_id IN (SELECT vector_id"
            " FROM unused_vectors INDEXED BY unused_vectors_kept WHERE kb_id = ?1 AND since > '' LIMIT ?2) RETURNING 1",
            kb_key, limit,
        )  # fmt: skip
        return bool(rows)

    def are_due(self, before: str) -> bool:
        """Whether ``free_some`` would free any."""
        return bool(self.tx.row("SELECT 1 FROM unused_vectors WHERE since <= ? LIMIT 1", before)) and not self.tx.row(
            _EMBEDDING
        )

    def free_some(self, before: str) -> bool:
        """Free some that were let go of before a moment; False when there are no more, or while a job embeds."""
        if self.tx.row(_EMBEDDING):
            return False
        due = self.tx.rows(
            "SELECT kb_id, vector_id FROM unused_vectors WHERE since <= ? LIMIT ?", before, _STEP_VECTORS
        )
        rows = json_array([list(row) for row in due])
        self.tx.run(  # with types, without which the index is not used
            "DELETE FROM unused_vectors WHERE (kb_id, vector_id) IN"
            " (SELECT CAST(value ->> 0 AS TEXT), CAST(value ->> 1 AS INTEGER) FROM json_each(?))",
            rows,
        )
        self.tx.run(
            "DELETE FROM vectors AS v WHERE v.id IN (SELECT value ->> 1 FROM json_each(?))"
            f" AND NOT {_IS_NAMED} AND NOT EXISTS (SELECT 1 FROM unused_vectors AS u WHERE u.vector_id = v.id)",
            rows,
        )
        return bool(due)

    @staticmethod
    def due_before(now: datetime, keep_days: float) -> str:
        """The moment before which a vector must have been let go of to be freed, as the others take it."""
        return timestamp(now - timedelta(days=keep_days)) if keep_days else _AFTER_ALL


def _of_texts(tx: Transaction, hashes: Sequence[bytes]) -> list[int]:
    if not hashes:
        return []
    rows = tx.rows(
        "SELECT v.id FROM json_each(?1) AS n CROSS JOIN models AS m JOIN vectors AS v"
        " ON v.model_id = m.id AND v.text_hash = substr(?2, 1 + ?3 * n.key, ?3)",
        json_array([0] * len(hashes)), b"".join(hashes), HASH_BYTES,
    )  # fmt: skip
    return [row[0] for row in rows]
