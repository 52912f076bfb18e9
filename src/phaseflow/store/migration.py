"""From an older file format to the next: a step of SQL that changes tables, then the rows, a bounded number at a time.

A crash in between leaves a file of the new version with the rest of the old rows beside it; the next start goes on.
"""

import json
import sqlite3
from typing import Final

from phaseflow.domain.log import get_logger
from phaseflow.store import failpoints
from phaseflow.store.texts import SEGMENT_BITS, segmented

TO_VERSION_2: Final = """
ALTER TABLE knowledge_bases RENAME COLUMN epoch TO index_version;
ALTER TABLE knowledge_bases RENAME COLUMN generation TO search_revision;
ALTER TABLE ingestion_jobs RENAME COLUMN epoch TO index_version;
ALTER TABLE documents RENAME COLUMN epoch TO index_version;
ALTER TABLE documents RENAME COLUMN generation TO search_revision;
ALTER TABLE knowledge_bases ADD COLUMN name TEXT;
UPDATE knowledge_bases SET name = id;
CREATE UNIQUE INDEX knowledge_bases_by_name ON knowledge_bases (name);
CREATE TABLE sequences (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX job_entries_failed ON job_entries (job_seq, id) WHERE state IN (3, 5);
ALTER TABLE documents ADD COLUMN characters INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN turn INTEGER;
UPDATE documents SET indexed = chunk_count WHERE state = 4;
DROP INDEX documents_open;
CREATE INDEX documents_open ON documents (job_seq, state, coalesce(turn, id)) WHERE state NOT IN (4, 10);
CREATE INDEX documents_gone ON documents (kb_id, id) WHERE state = 10;
ALTER TABLE texts RENAME TO texts_of_version_1;
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL, parts TEXT NOT NULL) STRICT;
INSERT INTO passages (passages, rank) VALUES ('crisismerge', 64);
"""
"""The columns follow in the order of schema.sql. An older phaseflow refuses the file from here on."""

MIGRATIONS: dict[int, str] = {1: TO_VERSION_2}
"""SQL that brings a file of the version named to the next one."""

_OLD_TEXTS = "SELECT count(*) FROM sqlite_schema WHERE name = 'texts_of_version_1'"


def move_rows(connection: sqlite3.Connection) -> None:
    """Bring the rows of an older version over, one document a transaction; nothing to do in a file that has none."""
    if not connection.execute(_OLD_TEXTS).fetchone()[0]:
        return
    left = connection.execute("SELECT count(*) FROM texts_of_version_1").fetchone()[0]
    get_logger().info("bringing the database to the new version; this is done once and may take a while", texts=left)
    while row := connection.execute("SELECT document_id, text, parts FROM texts_of_version_1 LIMIT 1").fetchone():
        _move_text(connection, *row)
        failpoints.hit("schema.moved")
    connection.execute("DROP TABLE texts_of_version_1")


def _move_text(connection: sqlite3.Connection, document_id: int, text: str, parts: str) -> None:
    segments = segmented(text, json.loads(parts))
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            "INSERT INTO texts (id, text, parts) VALUES (?, ?, ?)",
            (((document_id << SEGMENT_BITS) + n, part.text, part.parts) for n, part in enumerate(segments)),
        )
        connection.execute("UPDATE documents SET characters = ? WHERE id = ?", (len(text), document_id))
        connection.execute("DELETE FROM texts_of_version_1 WHERE document_id = ?", (document_id,))
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.rollback()
        raise
