"""Which documents changed while a client was away: read from the ends of indexes by time, never through all rows."""

from datetime import datetime
from typing import Final

from phaseflow.domain.status import timestamp
from phaseflow.store.jobs import Jobs
from phaseflow.store.states import IS_ON_ITS_WAY, DocumentState
from phaseflow.store.transaction import Transaction

AHEAD: Final = 1000
"""Rows that are looked at beyond the limit: several workers end their batches a little out of order."""

# ?1 KB key, ?2 since, ?3 the limit, ?4 the newest job, ?5 rows to look at.
_IN_CATALOGUE: Final = (
    "SELECT uri FROM catalogue INDEXED BY catalogue_by_change WHERE kb_id = ?1"
    " AND coalesce(changed_at, created_at) >= ?2 ORDER BY coalesce(changed_at, created_at) DESC LIMIT ?3"
)
_FAILED: Final = (
    "SELECT uri FROM failures INDEXED BY failures_by_time WHERE kb_id = ?1 AND at >= ?2 ORDER BY at DESC LIMIT ?3"
)
# No index has these times: keeping one would cost every document an entry for each phase. But the order in which
# documents became searchable, and that of the hand-over, are the order of these times.
_SEARCHABLE: Final = (
    "SELECT uri FROM (SELECT uri, indexed_at FROM documents INDEXED BY documents_by_kb WHERE kb_id = ?1"
    " AND search_revision > 0 ORDER BY search_revision DESC LIMIT ?5) WHERE indexed_at >= ?2"
)
_IN_HAND: Final = " UNION ".join(
    "SELECT uri FROM (SELECT uri, changed_at FROM documents INDEXED BY documents_open WHERE job_seq = ?4"
    f" AND state = {state:d} AND {IS_ON_ITS_WAY} ORDER BY coalesce(turn, id) DESC LIMIT ?5) WHERE changed_at >= ?2"
    for state in (DocumentState.LOADED, DocumentState.CHUNKED, DocumentState.EMBEDDED)
)
_PARTS: Final = (_IN_CATALOGUE, _FAILED, _SEARCHABLE, _IN_HAND)


def since(tx: Transaction, kb_key: str, at: datetime | None, limit: int) -> list[str]:
    """Up to ``limit`` of the documents, by uri, that were changed then or later; of all for None. Some may not be known
    any more.

    Looks at a few times ``limit`` rows at most, whatever the knowledge base holds. Where it finds ``limit``, there may
    be more.
    """
    newest = Jobs(tx).newest_seq(kb_key)
    moment = "" if at is None else timestamp(at)
    every = ", ".join(f"?{number}" for number in range(1, 6))  # of numbered parameters, one that is not used is refused
    found: set[str] = set()
    for part in _PARTS:
        rows = tx.rows(
            f"SELECT uri, {every} FROM (SELECT uri FROM ({part}))", kb_key, moment, limit, newest, limit + AHEAD
        )
        found.update(row[0] for row in rows)
    return sorted(found)[:limit]
