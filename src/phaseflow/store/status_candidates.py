"""Where to look for the documents of a status: SQL for uris in order, each part from the index that is nearest to it.

Whoever lists them judges each: a status is defined in one place, ``document_status``. With ORDER BY uri, the parts of a
compound are merged as they come out of their indexes: nothing is sorted, and it stops at a LIMIT.
"""

from collections.abc import Sequence
from typing import Final

from phaseflow.domain.vocabulary import DocumentStatus
from phaseflow.store.states import IS_IN_HAND, IS_LISTED, IS_SEARCHABLE

# ?1 to ?4 as in document_status; ?5 and ?6: after the one uri, up to the other.
# INDEXED BY: a file has no statistics, without which the planner takes any index that begins with the knowledge base.
_BETWEEN: Final = "uri > ?5 AND uri <= ?6"
_KNOWN: Final = f"SELECT uri FROM catalogue WHERE kb_id = ?1 AND {_BETWEEN}"
_FAILED: Final = f"SELECT uri FROM failures WHERE kb_id = ?1 AND {_BETWEEN}"
_REQUESTED: Final = f"SELECT uri FROM requests WHERE kb_id = ?1 AND {_BETWEEN}"
_SKIPPED: Final = (
    f"SELECT uri FROM catalogue INDEXED BY catalogue_skipped WHERE kb_id = ?1 AND skipped = 1 AND {_BETWEEN}"
)
_UNREAD: Final = (
    f"SELECT uri FROM job_entries INDEXED BY job_entries_unread WHERE job_seq = ?3 AND {IS_LISTED} AND {_BETWEEN}"
)
_IN_HAND: Final = (
    f"SELECT DISTINCT uri FROM documents INDEXED BY documents_in_hand WHERE kb_id = ?1 AND {IS_IN_HAND} AND {_BETWEEN}"
)
_LIVE: Final = (
    "SELECT uri FROM documents INDEXED BY documents_live"
    f" WHERE kb_id = ?1 AND index_version = %s AND {IS_SEARCHABLE} AND {_BETWEEN}"
)
_NOW: Final = _LIVE % "?2"
MERGED: Final = " ORDER BY uri LIMIT -1"
"""Without a LIMIT SQLite would drop the order, and fill a table to merge in."""
READ_AGAIN: Final = f"SELECT count(*), ?4 FROM ({_NOW} INTERSECT {_UNREAD}{MERGED})"
"""How many are searchable and stand unread in the crawl"""


def of(status: DocumentStatus | None, rebuilds: Sequence[int], *, is_cancelled: bool) -> str:
    """All that have a status, and some that have not. ``rebuilds``: later index versions that hold documents."""
    match status:
        case DocumentStatus.SKIPPED:
            return _SKIPPED
        case DocumentStatus.FAILED:
            return _FAILED
        case DocumentStatus.INDEXED:
            return f"{_NOW} EXCEPT {_UNREAD}"
        case DocumentStatus.PROCESSING:
            return " UNION ".join([*_rebuilt(rebuilds), _IN_HAND])
        case DocumentStatus.QUEUED:
            idle = f"{_KNOWN} EXCEPT {_NOW} EXCEPT {_FAILED}"
            hand = f"UNION {_IN_HAND}" if is_cancelled else f"EXCEPT {_IN_HAND} AND job_seq = ?3"
            return f"{idle} {hand} UNION {_REQUESTED} UNION {_UNREAD} EXCEPT {_SKIPPED}"
        case None:
            return _KNOWN


def judged_alone(rebuilds: Sequence[int]) -> str:
    """All about which there is more to say than that they are searchable, or listed."""
    return " UNION ".join([*_rebuilt(rebuilds), _SKIPPED, _REQUESTED, _IN_HAND, _FAILED]) + MERGED


def _rebuilt(rebuilds: Sequence[int]) -> list[str]:
    """Of what a rebuild has made, that which is not searchable yet in any way."""
    if not rebuilds:
        return []
    return [" UNION ".join(_LIVE % version for version in rebuilds) + f" EXCEPT {_NOW}"]
