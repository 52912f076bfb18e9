"""Which documents have changed since a moment, by the times in their rows: for whoever was not there."""

from datetime import datetime

from phaseflow.domain.status import timestamp
from phaseflow.store.transaction import Transaction

_SINCE = (
    "SELECT uri FROM catalogue WHERE kb_id = ?1 AND (created_at >= ?2 OR changed_at >= ?2)"
    " UNION SELECT uri FROM requests WHERE kb_id = ?1 AND requested_at >= ?2"
    " UNION SELECT uri FROM documents WHERE kb_id = ?1 AND (changed_at >= ?2 OR indexed_at >= ?2)"
    " UNION SELECT uri FROM failures WHERE kb_id = ?1 AND at >= ?2"
)


def changed_since(tx: Transaction, kb_key: str, at: datetime | None, limit: int) -> list[str]:
    """The first documents by uri that were changed then or later; all for None. Some may not be known any more.

    Looks at every row: some 100 ms of 100,000 documents.
    """
    since = "" if at is None else timestamp(at)
    return [row[0] for row in tx.rows(f"{_SINCE} ORDER BY uri LIMIT ?3", kb_key, since, limit)]


def moment_of(tx: Transaction, seq: int) -> datetime | None:
    """When the newest transition up to this number was made; None when there is none."""
    at = tx.value("SELECT at FROM transitions WHERE seq <= ? ORDER BY seq DESC LIMIT 1", seq)
    return None if at is None else datetime.fromisoformat(at)
