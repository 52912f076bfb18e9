"""Where to look for the documents of a status: SQL for uris in order, each part from the index that is nearest to it.

Whoever lists them judges each: a status is defined in one place, ``document_status``. With ORDER BY uri, the parts of a
compound are merged as they come out of their indexes: nothing is sorted, and it stops at a LIMIT.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from phaseflow.domain.vocabulary import DocumentStatus
from phaseflow.store.states import IS_IN_HAND, IS_LISTED, IS_SEARCHABLE

# ?1 to ?4 as in document_status; ?5 and ?6: after the one uri, up to the other.
# INDEXED BY: a file has no statistics, without which the planner takes any index that begins with the knowledge base.
BETWEEN: Final = "uri > ?5 AND uri <= ?6"
KNOWN: Final = f"SELECT uri FROM catalogue WHERE kb_id = ?1 AND {BETWEEN}"
_FAILED: Final = f"SELECT uri FROM failures WHERE kb_id = ?1 AND {BETWEEN}"
_REQUESTED: Final = f"SELECT uri FROM requests WHERE kb_id = ?1 AND (coalesce(job_seq, 0) <> ?3 OR ?4) AND {BETWEEN}"
_SKIPPED: Final = (
    f"SELECT uri FROM catalogue INDEXED BY catalogue_skipped WHERE kb_id = ?1 AND skipped = 1 AND {BETWEEN}"
)
_UNREAD: Final = (
    f"SELECT uri FROM job_entries INDEXED BY job_entries_unread WHERE job_seq = ?3 AND {IS_LISTED} AND {BETWEEN}"
)
_IN_HAND: Final = (
    "SELECT DISTINCT uri FROM documents INDEXED BY documents_in_hand"
    f" WHERE kb_id = ?1 AND {IS_IN_HAND} AND {BETWEEN} AND job_seq = ?3"
)
_LIVE: Final = (
    "SELECT uri FROM documents INDEXED BY documents_live"
    f" WHERE kb_id = ?1 AND index_version = %s AND {IS_SEARCHABLE} AND {BETWEEN}"
)
_NOW: Final = _LIVE % "?2"
HAS_NONE_QUEUED: Final = (
    f"SELECT (SELECT count(*) FROM ({KNOWN})) - (SELECT count(*) FROM ({_SKIPPED})) = (SELECT count(*) FROM ({_NOW}))"
    f" - (SELECT count(*) FROM ({_SKIPPED}) AS n WHERE EXISTS ({_NOW.replace(BETWEEN, 'uri = n.uri')}))"
    f" AND NOT EXISTS ({_REQUESTED}) AND NOT EXISTS ({_UNREAD}) AND NOT EXISTS ({_IN_HAND})"
)
"""Whether nothing between two uris is queued, found by counting alone: whatever was not skipped is searchable. Where it
says no, there may be none nevertheless."""
MERGED: Final = " ORDER BY uri LIMIT -1"
"""Without a LIMIT SQLite would drop the order, and fill a table to merge in."""


class Candidates(NamedTuple):
    """Those of a knowledge base with later index versions that hold documents (``rebuilds``). ``is_cancelled``: its
    newest job is."""

    rebuilds: Sequence[int]
    is_cancelled: bool

    def of(self, status: DocumentStatus | None) -> str:
        """All that have a status, and hardly one that has not."""
        asked = f"EXCEPT {_SKIPPED} EXCEPT {_REQUESTED} EXCEPT {_UNREAD}"
        match status:
            case DocumentStatus.SKIPPED:
                return _SKIPPED
            case DocumentStatus.FAILED:
                return f"{_FAILED} {asked} EXCEPT {_IN_HAND}"
            case DocumentStatus.INDEXED:
                return f"{_NOW} {asked} EXCEPT {_IN_HAND} EXCEPT {_FAILED}"
            case DocumentStatus.PROCESSING:
                return " UNION ".join([*self._rebuilt(), _IN_HAND]) + f" {asked}"
            case DocumentStatus.QUEUED:
                idle = f"{KNOWN} EXCEPT {_NOW} EXCEPT {_FAILED} EXCEPT {_IN_HAND}"
                hand = f"UNION {_IN_HAND} " if self.is_cancelled else ""
                return f"{idle} {hand}UNION {_REQUESTED} UNION {_UNREAD} EXCEPT {_SKIPPED}"
            case None:
                return KNOWN

    def by_rule(self) -> list[tuple[DocumentStatus, str]]:
        """What decides about a status, in the order in which it does; whatever is left is queued.

        Some of what is in hand, or has failed, may be of documents that are no longer known.
        """
        return [
            (DocumentStatus.SKIPPED, _SKIPPED),
            (DocumentStatus.QUEUED, _REQUESTED),
            (DocumentStatus.QUEUED, _UNREAD),
            (DocumentStatus.QUEUED if self.is_cancelled else DocumentStatus.PROCESSING, _IN_HAND),
            (DocumentStatus.FAILED, _FAILED),
            (DocumentStatus.INDEXED, _NOW),
            *((DocumentStatus.PROCESSING, each) for each in self._rebuilt()),
        ]

    def _rebuilt(self) -> list[str]:
        """Of what a rebuild has made, that which is not searchable yet in any way."""
        if not self.rebuilds:
            return []
        return [" UNION ".join(_LIVE % version for version in self.rebuilds) + f" EXCEPT {_NOW}"]
