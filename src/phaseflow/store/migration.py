"""From an older file format to the next: a step of SQL that changes tables, then the rows, a bounded number at a time.

A crash in between leaves a file of the new version with the rest of the old rows beside it; the next start goes on.
"""

import json
import sqlite3
from typing import Final

from phaseflow.domain.identifiers import document_id
from phaseflow.domain.log import get_logger
from phaseflow.store import failpoints, postings
from phaseflow.store.pieces import piece_id
from phaseflow.store.postings import Passage, WordIndex
from phaseflow.store.texts import Texts, segmented
from phaseflow.store.transaction import Transaction
from phaseflow.store.version_2 import TO_VERSION_2

MIGRATIONS: dict[int, str] = {1: TO_VERSION_2}
"""SQL that brings a file of the version named to the next one."""


def move_rows(connection: sqlite3.Connection) -> None:
    """Bring the rows of an older version over, one document a transaction. The old texts' table goes last: while it is
    there, rows are left to be moved."""
    left = connection.execute("SELECT count(*) FROM texts_of_version_1").fetchone()[0]
    get_logger().info("bringing the database to the new version; this is done once and may take a while", texts=left)
    _drop_old_index(connection)
    while row := connection.execute("SELECT document_id, text, parts FROM texts_of_version_1 LIMIT 1").fetchone():
        _move_text(connection, *row)
        failpoints.hit("schema.moved")
    _fill_catalogue(connection)
    _note_unused_vectors(connection)
    _index_again(connection)
    connection.execute("DROP TABLE texts_of_version_1")


_OLD_INDEX: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'passages'"
_DROP_STEP: Final = 500
"""Pages of some 4 kB."""


def _drop_old_index(connection: sqlite3.Connection) -> None:
    """Take the full-text index of version 1 out, a bounded part at a time: its room is used for the new one."""
    if not connection.execute(_OLD_INDEX).fetchone():
        return
    for table in ("passages_data", "passages_docsize"):
        while connection.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id > 10 LIMIT ?) RETURNING 1",
            (_DROP_STEP,),
        ).fetchall():  # below: the records without which it cannot be opened, to be dropped
            failpoints.hit("schema.emptied")
    connection.execute("DROP TABLE passages")


_INDEX_STEP: Final = 200


def _index_again(connection: sqlite3.Connection) -> None:
    """Put what is searchable into the full-text index of its knowledge base, a bounded number of passages at a time."""
    tx = Transaction(connection)
    while row := connection.execute(
        "SELECT id, uri, title, kb_id, index_version, indexed FROM documents WHERE state = 4 AND indexed < chunk_count"
        " LIMIT 1"
    ).fetchone():
        document, uri, title, kb_key, index_version, indexed = row
        connection.execute("BEGIN IMMEDIATE")
        try:
            spans = tx.rows(
                "SELECT start, stop FROM chunks WHERE id >= (?1 << 20) + ?2 AND id < (?1 + 1) << 20"
                " ORDER BY id LIMIT ?3",
                document, indexed, _INDEX_STEP,
            )  # fmt: skip
            slices = Texts(tx).slices([(document, *span) for span in spans])
            passages = postings.packed(
                Passage(piece_id(document, n), text, "", title, uri) for n, (text, _) in enumerate(slices, indexed)
            )
            WordIndex(tx, kb_key, index_version).put(passages)
            tx.run(
                "UPDATE documents SET indexed = iif(?2 = 0, chunk_count, indexed + ?2) WHERE id = ?1",
                document, passages.size,
            )  # fmt: skip
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.rollback()
            raise
        failpoints.hit("schema.indexed")


_CATALOGUE_STEP: Final = 1000
_KNOWN_URIS: Final = (
    "SELECT DISTINCT d.kb_id, d.uri, k.name, k.created_at,"
    " iif(k.sources ->> '$.default.type' = 'upload', 'push', 'default')"
    " FROM (SELECT kb_id, uri FROM documents WHERE state <> 10 UNION ALL SELECT kb_id, uri FROM failures UNION ALL"
    "  SELECT j.kb_id, e.uri FROM job_entries AS e JOIN ingestion_jobs AS j ON j.seq = e.job_seq WHERE e.state = 0)"
    " AS d JOIN knowledge_bases AS k ON k.id = d.kb_id WHERE k.name IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM catalogue AS c WHERE c.kb_id = d.kb_id AND c.uri = d.uri) LIMIT ?"
)


def _fill_catalogue(connection: sqlite3.Connection) -> None:
    """A row for each document that version 1 knew, a bounded number at a time."""
    while rows := connection.execute(_KNOWN_URIS, (_CATALOGUE_STEP,)).fetchall():
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO catalogue (kb_id, uri, document_id, source, created_at) VALUES (?, ?, ?, ?, ?)",
            [(key, uri, document_id(name, uri), source, at) for key, uri, name, at, source in rows],
        )
        connection.execute("COMMIT")
        failpoints.hit("schema.catalogued")


_VECTORS_STEP: Final = 5000


def _note_unused_vectors(connection: sqlite3.Connection) -> None:
    """Version 1 kept all vectors: those that no passage names begin to be kept for a while only."""
    last = connection.execute("SELECT coalesce(max(id), 0) FROM vectors").fetchone()[0]
    for first in range(0, last + 1, _VECTORS_STEP):
        connection.execute(
            "INSERT OR IGNORE INTO unused_vectors (kb_id, vector_id, since)"
            " SELECT '', id, strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM vectors WHERE id >= ?1 AND id < ?1 + ?2"
            " AND NOT EXISTS (SELECT 1 FROM chunks WHERE vector_id = vectors.id)",
            {"1": first, "2": _VECTORS_STEP},
        )


_NOTE_MOVED: Final = (
    "UPDATE documents SET characters = ?1, indexed_at = CASE WHEN state = 4 THEN coalesce("
    " (SELECT completed_at FROM ingestion_jobs WHERE seq = job_seq), strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) END"
    " WHERE id = ?2"
)
"""Version 1 did not keep when a document became searchable: no later than its job was over."""


def _move_text(connection: sqlite3.Connection, document_id: int, text: str, parts: str) -> None:
    segments = segmented(text, json.loads(parts))
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            "INSERT INTO texts (id, text, parts) VALUES (?, ?, ?)",
            ((piece_id(document_id, n), part.text, part.parts) for n, part in enumerate(segments)),
        )
        connection.execute(_NOTE_MOVED, (len(text), document_id))
        connection.execute("DELETE FROM texts_of_version_1 WHERE document_id = ?", (document_id,))
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.rollback()
        raise
