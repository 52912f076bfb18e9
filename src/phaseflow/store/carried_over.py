"""Copies, in an index that is made anew, of versions that search sees: of documents that could not be made again.

A copy is on its way like any other version, as it was cut, and without vectors. It says nothing new of its document:
status, failure and requests are as if it were not there. It is dropped where the version it was copied from has been
taken out meanwhile, and where the job has made the document after all.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from phaseflow.store.documents import Target
from phaseflow.store.job_sources import was_found_gone
from phaseflow.store.pieces import MOST_PIECES, PIECE_BITS, number_of, pieces_of
from phaseflow.store.states import IS_IN_HAND, IS_SEARCHABLE, DocumentState, EntryState
from phaseflow.store.transaction import Transaction, json_array
from phaseflow.store.unlisted import is_hidden

_IS_LACKING: Final = (
    f"c.skipped = 0 AND (coalesce(e.state, {EntryState.SKIPPED}) < {EntryState.SKIPPED}"
    f"  OR (c.source IN (SELECT value FROM json_each(?6)) OR {is_hidden('d.uri', 'c.source', '?3')})"
    f"  AND NOT {was_found_gone('e', 'c.source')})"
    f" AND e.state IS NOT {EntryState.UNCHANGED:d}"
    f" AND NOT EXISTS (SELECT 1 FROM documents AS n WHERE n.kb_id = ?1 AND n.uri = d.uri AND n.job_seq = ?3"
    f"  AND n.{IS_IN_HAND})"
    f" AND NOT EXISTS (SELECT 1 FROM documents AS n WHERE n.kb_id = ?1 AND n.index_version = ?4 AND n.uri = d.uri"
    f"  AND n.{IS_SEARCHABLE} AND n.id > d.id)"
    " AND NOT EXISTS (SELECT 1 FROM documents AS n WHERE n.kb_id = ?1 AND n.uri = d.uri AND n.carried_from = d.id"
    f"  AND n.index_version = ?4 AND (n.{IS_SEARCHABLE} OR n.job_seq = ?3 AND n.state <> {DocumentState.GONE}))"
)
"""SQL: a document stays (a source has it, or may have it), and the new index has no version of it as new as ``d``. What
an older job has left on its way is none: nobody goes on with it."""
_COPIED: Final = (
    "kb_id, uri, title, media_type, content_hash, recipe, chunk_count, characters, source, size, own_metadata,"
    " changed_at, indexed_at, text_type"
)


class Origin(NamedTuple):
    """A version that search sees and the new index lacks."""

    id: int
    characters: int
    chunks: int


class CarriedOver(NamedTuple):
    """The copies that one job makes."""

    tx: Transaction
    target: Target

    def lacking(
        self, index_version: int, uncertain: Sequence[str], after: str, limit: int
    ) -> tuple[list[Origin], str | None]:
        """Of the next ``limit`` documents by uri that search sees, in ``index_version``, those to be copied; and the
        uri to go on after, None at the end. Whatever ``uncertain`` sources have had stays, but for what
        the job has asked for and found gone."""
        rows = self.tx.rows(
            f"SELECT d.uri, d.id, d.characters, d.chunk_count, c.uri IS NOT NULL AND {_IS_LACKING}"
            " FROM documents AS d LEFT JOIN catalogue AS c ON c.kb_id = ?1 AND c.uri = d.uri"
            " LEFT JOIN job_entries AS e ON e.job_seq = ?3 AND e.uri = d.uri"
            f" WHERE d.kb_id = ?1 AND d.index_version = ?2 AND d.{IS_SEARCHABLE} AND d.uri > ?5"
            " ORDER BY d.uri LIMIT ?7",
            self.target.kb_key, index_version, self.target.job_seq, self.target.index_version, after,
            json_array(uncertain), limit,
        )  # fmt: skip
        return [Origin(*row[1:4]) for row in rows if row[4]], str(rows[-1][0]) if rows else None

    def begin(self, ids: Sequence[int]) -> dict[int, int]:
        """Copies of these versions, by their origins, still without text and passages; none of what search sees no
        more. They keep no stamp, and a recipe that is not this job's: the next job reads their documents again."""
        rows = self.tx.rows(
            f"INSERT INTO documents ({_COPIED}, job_seq, index_version, state, carried_from)"
            f" SELECT {_COPIED}, ?2, ?3, {DocumentState.STORING}, id FROM documents"
            f" WHERE id IN (SELECT value FROM json_each(?1)) AND {IS_SEARCHABLE} ORDER BY id"
            " RETURNING carried_from, id",
            json_array(ids), self.target.job_seq, self.target.index_version,
        )  # fmt: skip
        return dict(rows)

    def copy_texts(self, copies: Mapping[int, int], first: int = 0, before: int = MOST_PIECES) -> None:
        """Give copies the segments of their origins' texts, from number ``first`` up to ``before``."""
        self._copy_pieces("texts", "text, parts", copies, first, before)

    def copy_chunks(self, copies: Mapping[int, int], first: int = 0, before: int = MOST_PIECES) -> None:
        """Give copies the passages of their origins, from number ``first`` up to ``before``, without the vectors."""
        self._copy_pieces("chunks", "start, stop, text_hash, context", copies, first, before)

    def _copy_pieces(self, table: str, columns: str, copies: Mapping[int, int], first: int, before: int) -> None:
        self.tx.run(
            f"INSERT OR REPLACE INTO {table} (id, {columns})"
            f" SELECT ((n.value ->> 1) << {PIECE_BITS}) + {number_of('p.id')}, {columns} FROM json_each(?1) AS n"
            f" JOIN {table} AS p ON {pieces_of('p.id', 'n.value ->> 0', first='?2', before='?3')}",
            json_array([list(pair) for pair in copies.items()]), first, before,
        )  # fmt: skip

    def finish(self, copies: Mapping[int, int]) -> int:
        """The copies are whole: embedding has them next. How many passages they have; those whose origin search sees no
        more are gone instead, for they may lack what it has lost."""
        rows = self.tx.rows(
            "UPDATE documents AS d SET state = iif(EXISTS (SELECT 1 FROM documents AS o WHERE o.id = d.carried_from"
            f"  AND o.{IS_SEARCHABLE}), {DocumentState.CHUNKED}, {DocumentState.GONE})"
            f" WHERE id IN (SELECT value FROM json_each(?)) AND state = {DocumentState.STORING}"
            " RETURNING state, chunk_count",
            json_array(list(copies.values())),
        )
        return sum(chunks for state, chunks in rows if state == DocumentState.CHUNKED)


def drop_superseded(tx: Transaction, ids: Sequence[int]) -> set[int]:
    """Those of these copies, whose passages are indexed, whose documents the job has made after all, or has in
    hand: they are gone."""
    rows = tx.rows(
        f"UPDATE documents AS d SET state = {DocumentState.GONE}, indexed = chunk_count"
        " WHERE id IN (SELECT value FROM json_each(?)) AND carried_from IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM documents AS n WHERE n.kb_id = d.kb_id AND n.uri = d.uri AND n.job_seq = d.job_seq"
        f"  AND n.{IS_IN_HAND} UNION ALL"
        "  SELECT 1 FROM documents AS n WHERE n.kb_id = d.kb_id AND n.uri = d.uri AND n.job_seq = d.job_seq"
        f"  AND n.index_version = d.index_version AND n.{IS_SEARCHABLE} AND n.carried_from IS NULL)"
        " RETURNING id",
        json_array(ids),
    )
    return {row[0] for row in rows}
