"""The vectors of passages, as a search reads them: many in one row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from phaseflow.store.passages import Scope
from phaseflow.store.pieces import PIECE_BITS, document_of
from phaseflow.store.states import IS_SEARCHABLE
from phaseflow.store.transaction import Transaction, json_array

_VECTORS: Final = (
    # One bound each: with two, SQLite may begin at the one that is further away.
    f"FROM documents AS d NOT INDEXED CROSS JOIN chunks AS c ON c.id >= max(?4, d.id << {PIECE_BITS})"
    f" AND c.id < min(?5 + 1, d.id + 1 << {PIECE_BITS}) CROSS JOIN vectors AS v ON v.id = c.vector_id"
    # By their ids and no index: in their order, without sorting, and no document outside the two.
    f" WHERE d.id BETWEEN {document_of('?4')} AND {document_of('?5')}"
    f" AND d.kb_id = ?1 AND d.index_version = ?2 AND d.{IS_SEARCHABLE} AND d.search_revision > ?3"
)
"""SQL for the vectors of the chunks from ?4 to ?5, by id. Not from a statement inside, which copies each of them."""


@dataclass(frozen=True, slots=True)
class PackedVectors:
    """Vectors one behind the other, how many, and the bytes of each; 0 where they differ."""

    count: int
    packed: bytes
    size: int


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """The vectors of the passages that search sees of one version of an index."""

    tx: Transaction
    scope: Scope

    def since(self, search_revision: int, first: int, last: int) -> PackedVectors:
        """Of the chunks from ``first`` to ``last`` whose documents became searchable after ``search_revision``, those
        that have a vector, by id.

        One row, so that the GIL is taken once: row by row a million vectors take three times as long, and far longer
        beside other threads. As SQLite keeps texts in UTF-8, to put blobs together as texts changes no byte of them.
        """
        count, packed, least = self.tx.rows(
            f"SELECT count(*), CAST(group_concat(v.vector, '') AS BLOB), min(length(v.vector)) {_VECTORS}",
            self.scope.kb_key, self.scope.index_version, search_revision, first, last,
        )[0]  # fmt: skip
        return PackedVectors(count, packed or b"", least if count and count * least == len(packed) else 0)

    def ids_since(self, search_revision: int, first: int, last: int) -> str:
        """The ids of these chunks, with commas between them. All have one mostly, and to tell which takes longer."""
        found = self.tx.value(
            f"SELECT group_concat(c.id) {_VECTORS}",
            self.scope.kb_key, self.scope.index_version, search_revision, first, last,
        )  # fmt: skip
        return found or ""


def vectors_of(tx: Transaction, chunk_ids: Sequence[int]) -> list[tuple[int, bytes]]:
    """(chunk id, vector) of those of these chunks that have one, by id."""
    rows = tx.rows(
        "SELECT c.id, v.vector FROM chunks AS c JOIN vectors AS v ON v.id = c.vector_id"
        " WHERE c.id IN (SELECT value FROM json_each(?)) ORDER BY c.id",
        json_array(chunk_ids),
    )
    return [(row[0], row[1]) for row in rows]
