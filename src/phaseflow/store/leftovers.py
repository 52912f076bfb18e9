"""What nobody sees any more and the janitor removes: documents that are gone, deleted knowledge bases, older crawls.

Each step is a transaction of some ten milliseconds, however large what it removes; a crash in between leaves the rest
for the next one. Rows of a knowledge base whose job is open and does not run (it is paused, or waits) are left alone:
a paused job is quiet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from phaseflow.store import postings
from phaseflow.store.knowledge_bases import IS_LIVE
from phaseflow.store.pieces import number_of, piece_id, pieces_of
from phaseflow.store.postings import IndexTables, Passage, WordIndex
from phaseflow.store.states import IS_GONE
from phaseflow.store.texts import Texts
from phaseflow.store.transaction import Row, Transaction, json_array
from phaseflow.store.unused_vectors import UnusedVectors
from phaseflow.store.upkeep import QUIET

_STEP_DOCUMENTS: Final = 100
"""Documents looked at in one step; …"""
_STEP_PASSAGES: Final = 64
"""… passages taken out of the full-text index, …"""
_STEP_CHARACTERS: Final = 75_000
"""… characters of them, …"""
_STEP_ROWS: Final = 1_000
"""… and other rows deleted."""
_STEP_SEGMENTS: Final = 128
"""Segments of texts deleted in one step: 8 million characters."""

_GONE: Final = f"SELECT id, indexed, kb_id FROM documents WHERE {IS_GONE} AND kb_id NOT IN {QUIET} LIMIT ?"
_DELETED: Final = "SELECT id FROM knowledge_bases WHERE name IS NULL LIMIT 1"
_OLDER_CRAWLS: Final = {
    table: f"WITH RECURSIVE crawls (seq) AS (SELECT min(job_seq) FROM {table} UNION ALL"
    f"  SELECT (SELECT min(job_seq) FROM {table} WHERE job_seq > crawls.seq) FROM crawls WHERE seq IS NOT NULL)"
    " SELECT crawls.seq FROM crawls JOIN ingestion_jobs AS j ON j.seq = crawls.seq"
    " WHERE EXISTS (SELECT 1 FROM ingestion_jobs AS newer WHERE newer.kb_id = j.kb_id AND newer.seq > j.seq"
    f"  AND newer.index_version IS NOT NULL) AND j.kb_id NOT IN {QUIET} LIMIT 1"
    for table in ("job_entries", "displaced_entries", "unlisted_parts")
}
"""A crawl is of use until a newer job of its knowledge base has begun."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is deleted or replaced, and still has rows."""

    tx: Transaction

    def are_there(self) -> bool:
        """Whether ``remove_some`` would find anything."""
        return (
            IndexTables(self.tx).is_emptying()
            or bool(self.tx.row(_GONE, 1) or self.tx.row(_DELETED))
            or any(self.tx.row(older) for older in _OLDER_CRAWLS.values())
        )

    def remove_some(self) -> bool:
        """One step; False when there is nothing (more) to remove."""
        if gone := self.tx.rows(_GONE, _STEP_DOCUMENTS):
            _remove_documents(self.tx, gone)
        elif deleted := self.tx.value(_DELETED):
            _remove_of_deleted(self.tx, deleted)
        elif not _remove_of_older_crawl(self.tx):
            return IndexTables(self.tx).empty_some()
        return True

    def kept_for(self) -> list[str]:
        """The names of the knowledge bases whose open jobs do not run: what nobody sees of them is left alone."""
        rows = self.tx.rows(
            "SELECT k.name FROM knowledge_bases AS k WHERE k.name IS NOT NULL"
            f" AND k.id IN {QUIET} AND (EXISTS (SELECT 1 FROM documents AS d INDEXED BY documents_gone"
            f"   WHERE d.kb_id = k.id AND d.{IS_GONE})"
            "  OR EXISTS (SELECT 1 FROM index_shards AS s JOIN index_tables AS t ON t.shard = s.shard"
            "   WHERE s.kb_id = k.id AND t.removed > 0))"
            " ORDER BY k.name LIMIT 100"
        )
        return [row[0] for row in rows]

    def free_job_id(self, job_id: str) -> None:
        """Let a job of a deleted knowledge base go before its turn: a program makes a new one under its id."""
        if self.tx.row(f"SELECT 1 FROM ingestion_jobs WHERE id = ? AND NOT {IS_LIVE}", job_id):
            self.tx.run("DELETE FROM ingestion_jobs WHERE id = ?", job_id)


def _remove_of_older_crawl(tx: Transaction) -> bool:
    for table, older in _OLDER_CRAWLS.items():
        if (crawl := tx.value(older)) is not None:
            return _delete_some(tx, table, "job_seq", crawl)
    return False


def _remove_of_deleted(tx: Transaction, key: str) -> None:
    """Some of what hangs on a deleted knowledge base; at last its own row.

    Its words need not be taken out where its tables are its own: those are emptied as a whole.
    """
    if IndexTables(tx).has_table_alone(key):
        tx.run("DELETE FROM index_shards WHERE kb_id = ?", key)
    if found := tx.rows("SELECT id, indexed, kb_id FROM documents WHERE kb_id = ? LIMIT ?", key, _STEP_DOCUMENTS):
        _remove_documents(tx, found, at_once=True)
    elif any(_delete_by_uri(tx, table, key) for table in ("failures", "requests", "pushed", "catalogue", "left_out")):
        return
    elif job := tx.row("SELECT seq, id FROM ingestion_jobs WHERE kb_id = ? LIMIT 1", key):
        seq, job_id = job
        crawled = (_delete_some(tx, table, "job_seq", seq) for table in _OLDER_CRAWLS)
        if not any(crawled) and not _delete_some(tx, "transitions", "job_id", job_id):
            tx.run("DELETE FROM ingestion_jobs WHERE seq = ?", seq)
    elif not UnusedVectors(tx).let_go_of_all(key, _STEP_ROWS):
        tx.run("DELETE FROM knowledge_bases WHERE id = ?", key)


def _delete_by_uri(tx: Transaction, table: str, key: str) -> bool:
    rows = tx.rows(
        f"DELETE FROM {table} WHERE kb_id = ?1 AND uri IN (SELECT uri FROM {table} WHERE kb_id = ?1 LIMIT ?2)"
        " RETURNING 1",
        key, _STEP_ROWS,
    )  # fmt: skip
    return bool(rows)


def _delete_some(tx: Transaction, table: str, column: str, value: object) -> bool:
    """Up to a step's number of rows; whether there were any."""
    key = "seq" if table == "transitions" else "id"
    rows = tx.rows(
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {column} = ? LIMIT ?) RETURNING 1",
        value, _STEP_ROWS,
    )  # fmt: skip
    return bool(rows)


def _remove_documents(tx: Transaction, found: list[Row], *, at_once: bool = False) -> None:
    """Take as many passages of these documents (id, indexed, KB key) out of the index as a step may, then their other
    rows. ``at_once``: their vectors are not kept."""
    indexed = _take_out(tx, [(document, count) for document, count, _ in found if count])
    rows, segments = _STEP_ROWS, _STEP_SEGMENTS
    for document, count, key in found:
        if indexed.get(document, count):
            continue
        chunks = tx.rows(
            f"DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE {pieces_of('id', '?1')}"
            " LIMIT ?2) RETURNING vector_id, text_hash",
            document, rows,
        )  # fmt: skip
        UnusedVectors(tx).let_go(key, chunks, at_once=at_once)
        rows -= len(chunks)
        segments -= Texts(tx).remove(document, segments)
        if rows <= 0 or segments <= 0:
            return  # this one may have more
        tx.run("DELETE FROM documents WHERE id = ?", document)


def _take_out(tx: Transaction, found: list[Row]) -> dict[int, int]:
    """Take passages out of the full-text index, the last of each document first; how many each then has in it."""
    left: dict[int, int] = {}
    wanted: list[tuple[int, int, int, int, str]] = []
    room, characters = _STEP_PASSAGES, _STEP_CHARACTERS
    described = _described(tx, [document for document, _ in found])
    for document, count in found:
        if room <= 0 or characters <= 0:
            break
        left[document] = 0
        if described[document].table is None:
            continue  # it was left whole to be emptied
        for position, start, stop, context in tx.rows(
            f"SELECT {number_of('id')}, start, stop, context FROM chunks WHERE {pieces_of('id', '?1', before='?2')}"
            " ORDER BY id DESC LIMIT ?3",
            document, count, room,
        ):  # fmt: skip
            if characters <= 0:
                break
            wanted.append((document, position, start, stop, context))
            left[document] = position
            room, characters = room - 1, characters - (stop - start) - len(context)
    _delete_words(tx, described, wanted)
    tx.run(
        "UPDATE documents SET indexed = d.value ->> 1 FROM json_each(?) AS d WHERE documents.id = d.value ->> 0",
        json_array([list(item) for item in left.items()]),
    )
    return left


class _Described(NamedTuple):
    """What of a document the index has beside its passages, and where."""

    title: str
    uri: str
    kb_key: str
    index_version: int
    table: int | None


def _described(tx: Transaction, ids: Sequence[int]) -> dict[int, _Described]:
    rows = tx.rows(
        "SELECT d.id, d.title, d.uri, d.kb_id, d.index_version, s.shard FROM json_each(?) AS j"
        " JOIN documents AS d ON d.id = j.value"
        " LEFT JOIN index_shards AS s ON s.kb_id = d.kb_id AND s.index_version = d.index_version",
        json_array(ids),
    )
    return {row[0]: _Described(*row[1:]) for row in rows}


def _delete_words(
    tx: Transaction, described: Mapping[int, _Described], wanted: Sequence[tuple[int, int, int, int, str]]
) -> None:
    slices = Texts(tx).slices([(document, start, stop) for document, _, start, stop, _ in wanted])
    found: dict[tuple[str, int], list[Passage]] = {}
    for (document, position, _, _, context), (text, _) in zip(wanted, slices, strict=True):
        of = described[document]
        passage = Passage(piece_id(document, position), text, context, of.title, of.uri)
        found.setdefault((of.kb_key, of.index_version), []).append(passage)
    for (kb_key, index_version), some in found.items():
        WordIndex(tx, kb_key, index_version).take_out(postings.packed(some))
