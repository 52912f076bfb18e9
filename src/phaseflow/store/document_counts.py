"""How many documents have each status, by the rule with which ``document_status`` judges one.

Counted as what each part of the rule adds to those before it, in merges of indexes: nothing is judged one by one.
"""

from typing import Final

from phaseflow.domain.status import DocumentCounts
from phaseflow.domain.vocabulary import DocumentStatus
from phaseflow.store.catalogue import PUSH
from phaseflow.store.document_status import View
from phaseflow.store.states import IS_SEARCHABLE
from phaseflow.store.status_candidates import BETWEEN, KNOWN, MERGED, Candidates
from phaseflow.store.transaction import Transaction

FEW: Final = 8
"""A set that is so many times smaller than another is looked up in it; else the two are merged."""
_EVERY: Final = "?1, ?2, ?3, ?4, ?5, ?6"
"""Of parameters given by number, one that a statement does not use is refused."""


def counts(tx: Transaction, seen: View) -> DocumentCounts:
    """The documents by status; their sum is the number of rows in the catalogue."""
    counted = _Counted(tx, seen)
    found = dict.fromkeys(DocumentStatus, 0)
    for status, uris in Candidates(seen.rebuilds, seen.is_cancelled).by_rule():
        found[status] += counted.add(uris, may_be_unknown=status in _MAY_BE_UNKNOWN, is_rest=status in _REST)
    found[DocumentStatus.QUEUED] = counted.total - sum(found.values())
    return DocumentCounts(**found)


def searchable(tx: Transaction, kb_key: str, index_version: int) -> tuple[int, int]:
    """(documents, chunks) that search sees."""
    documents, chunks = tx.rows(
        "SELECT count(*), coalesce(sum(chunk_count), 0) FROM documents"
        f" WHERE kb_id = ? AND index_version = ? AND {IS_SEARCHABLE}",
        kb_key, index_version,
    )[0]  # fmt: skip
    return documents, chunks


_REST: Final = {DocumentStatus.QUEUED}
_MAY_BE_UNKNOWN: Final = {DocumentStatus.PROCESSING, DocumentStatus.FAILED}
"""What a phase has in hand, or could not use, when its document was deleted."""


class _Counted:
    """The sets that have been counted, largest not known to hold any: most are empty, and each costs a look a row."""

    def __init__(self, tx: Transaction, seen: View) -> None:
        self._tx = tx
        self._values = (*seen.scope, "", b"")
        self._sets: list[str] = []
        self._size = 0
        self.total = self._count(KNOWN)

    def add(self, uris: str, *, may_be_unknown: bool, is_rest: bool) -> int:
        """How many of these are in none of the sets before; none of those that ``is_rest`` are counted."""
        size = self._count(uris)
        found = 0 if is_rest or not size else self._beyond(uris, size, may_be_unknown=may_be_unknown)
        if size:
            self._sets.append(uris)
            self._size += size
        return found

    def _beyond(self, uris: str, size: int, *, may_be_unknown: bool) -> int:
        known = f" INTERSECT {KNOWN}" if may_be_unknown else ""
        if FEW * self._size > size:
            return self._count("".join([uris, known, *(f" EXCEPT {each}" for each in self._sets)]))
        if may_be_unknown:
            size = self._count(uris + known)
        if not self._sets:
            return size
        both = f"{_is_one_of(uris)} AND {_is_one_of(KNOWN)}"
        return size - self._count(" UNION ".join(self._sets), f" AS n WHERE {both}")

    def _count(self, uris: str, which: str = "") -> int:
        # What needs no merge is counted in its index: a row of each that is only counted takes twice the time.
        merged = MERGED if uris.count("SELECT ") > 1 or "DISTINCT" in uris else ""
        return int(self._tx.value(f"SELECT count(*), {_EVERY} FROM ({uris}{merged}){which}", *self._values))


def _is_one_of(uris: str) -> str:
    """SQL: whether ``n.uri`` is one of these."""
    return f"EXISTS ({uris.replace(BETWEEN, 'uri = n.uri')})"


def bytes_of_sources(tx: Transaction, kb_key: str, index_version: int) -> int:
    """The sizes of the documents that search sees of all sources but what was pushed, added up."""
    found = tx.value(
        f"SELECT sum(size) FROM documents WHERE kb_id = ? AND index_version = ? AND {IS_SEARCHABLE} AND source <> ?",
        kb_key, index_version, PUSH,
    )  # fmt: skip
    return int(found or 0)
