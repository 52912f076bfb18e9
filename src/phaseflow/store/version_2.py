"""What changes the tables of version 1 into those of version 2.

It says again what ``schema.sql`` says of the new tables, for a step once released must not change when the schema does.
A test compares a file that was brought forward with a new one: columns, keys, checks, indexes, triggers.
"""

from typing import Final

TO_VERSION_2: Final = """
ALTER TABLE knowledge_bases RENAME COLUMN epoch TO index_version;
ALTER TABLE knowledge_bases RENAME COLUMN generation TO search_revision;
ALTER TABLE ingestion_jobs RENAME COLUMN epoch TO index_version;
ALTER TABLE ingestion_jobs RENAME COLUMN run TO attempt;
ALTER TABLE documents RENAME COLUMN epoch TO index_version;
ALTER TABLE documents RENAME COLUMN generation TO search_revision;
ALTER TABLE knowledge_bases ADD COLUMN name TEXT;
ALTER TABLE knowledge_bases ADD COLUMN pushed_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE knowledge_bases SET name = id;
ALTER TABLE knowledge_bases RENAME COLUMN source TO sources;
ALTER TABLE ingestion_jobs RENAME COLUMN source TO sources;
UPDATE knowledge_bases SET sources = json_object('default', json(sources)) WHERE sources IS NOT NULL;
UPDATE knowledge_bases SET live_settings = json_set(live_settings, '$.rules', '1') WHERE live_settings IS NOT NULL;
UPDATE ingestion_jobs SET sources = json_object('default', json(sources)) WHERE sources IS NOT NULL;
CREATE UNIQUE INDEX knowledge_bases_by_name ON knowledge_bases (name);
ALTER TABLE ingestion_jobs ADD COLUMN lists INTEGER NOT NULL DEFAULT 1;
ALTER TABLE ingestion_phase_status ADD COLUMN note TEXT;
ALTER TABLE job_entries ADD COLUMN source TEXT NOT NULL DEFAULT 'default';
ALTER TABLE job_entries ADD COLUMN twin TEXT;
UPDATE job_entries SET source = 'push'
WHERE job_seq IN (SELECT seq FROM ingestion_jobs WHERE sources ->> '$.default.type' = 'upload');
CREATE TABLE webhooks (name TEXT PRIMARY KEY, id TEXT NOT NULL, url TEXT NOT NULL, chosen_by_client INTEGER NOT NULL,
    events TEXT NOT NULL, kbs TEXT NOT NULL, secret BLOB NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    last_delivery TEXT, last_error TEXT) STRICT;
CREATE TABLE webhook_queue (seq INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT NOT NULL REFERENCES webhooks (name) ON DELETE CASCADE, kb TEXT NOT NULL, event TEXT NOT NULL,
    data TEXT NOT NULL, at TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_at TEXT NOT NULL) STRICT;
CREATE INDEX webhook_queue_heads ON webhook_queue (webhook, kb, seq);
CREATE TABLE sequences (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO sequences (name, last) VALUES ('log', abs(random() >> 16)), ('index', abs(random() >> 16));
ALTER TABLE ingestion_jobs ADD COLUMN lease_s REAL;
ALTER TABLE ingestion_jobs ADD COLUMN lease_until TEXT;
ALTER TABLE ingestion_jobs ADD COLUMN can_retry INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ingestion_jobs ADD COLUMN allow_deletes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ingestion_jobs ADD COLUMN made_again TEXT;
ALTER TABLE ingestion_jobs ADD COLUMN made_with TEXT;
CREATE INDEX ingestion_jobs_leased ON ingestion_jobs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX job_entries_failed ON job_entries (job_seq, id) WHERE state IN (3, 5);
CREATE INDEX job_entries_twins ON job_entries (job_seq, uri) WHERE twin IS NOT NULL;
ALTER TABLE documents ADD COLUMN characters INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN turn INTEGER;
ALTER TABLE documents ADD COLUMN source TEXT NOT NULL DEFAULT 'default';
ALTER TABLE documents ADD COLUMN size INTEGER;
ALTER TABLE documents ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN own_metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN changed_at TEXT;
ALTER TABLE documents ADD COLUMN indexed_at TEXT;
ALTER TABLE documents ADD COLUMN text_type TEXT;
ALTER TABLE documents ADD COLUMN carried_from INTEGER;
DROP INDEX documents_open;
CREATE INDEX documents_open ON documents (job_seq, state, coalesce(turn, id)) WHERE state NOT IN (4, 10);
CREATE INDEX documents_in_hand ON documents (kb_id, uri, job_seq) WHERE state < 4 AND carried_from IS NULL;
CREATE INDEX documents_carried ON documents (kb_id, uri) WHERE carried_from IS NOT NULL;
CREATE INDEX documents_gone ON documents (kb_id, id) WHERE state = 10;
ALTER TABLE texts RENAME TO texts_of_version_1;
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL, parts TEXT NOT NULL) STRICT;
CREATE TABLE catalogue (
    kb_id       TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri         TEXT NOT NULL,
    document_id TEXT NOT NULL,
    source      TEXT NOT NULL DEFAULT 'default',
    skipped     INTEGER NOT NULL DEFAULT 0,
    metadata    TEXT,
    replaces    INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    created_at  TEXT NOT NULL,
    changed_at  TEXT,
    title       TEXT,
    media_type  TEXT,
    size        INTEGER,
    own_metadata TEXT,
    PRIMARY KEY (kb_id, uri)
) STRICT, WITHOUT ROWID;
CREATE TABLE left_out (
    kb_id TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri   TEXT NOT NULL,
    PRIMARY KEY (kb_id, uri)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX catalogue_by_id ON catalogue (kb_id, document_id);
CREATE INDEX catalogue_skipped ON catalogue (kb_id, uri) WHERE skipped = 1;
CREATE INDEX catalogue_by_change ON catalogue (kb_id, coalesce(changed_at, created_at));
CREATE INDEX failures_by_time ON failures (kb_id, at);
CREATE TABLE pushed (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kb_id      TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri        TEXT NOT NULL,
    title      TEXT,
    media_type TEXT,
    size       INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    origin     TEXT,
    file       TEXT,
    content    BLOB,
    pushed_at  TEXT NOT NULL,
    UNIQUE (kb_id, uri)
) STRICT;
CREATE INDEX pushed_by_origin ON pushed (kb_id, origin, uri) WHERE origin IS NOT NULL;
CREATE TABLE requests (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kb_id        TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri          TEXT NOT NULL,
    anew         INTEGER NOT NULL DEFAULT 0,
    job_seq      INTEGER,
    requested_at TEXT NOT NULL,
    UNIQUE (kb_id, uri)
) STRICT;
CREATE INDEX requests_by_job ON requests (kb_id, job_seq, id);
CREATE INDEX chunks_by_vector ON chunks (vector_id) WHERE vector_id IS NOT NULL;
CREATE TABLE unused_vectors (
    kb_id     TEXT NOT NULL,
    vector_id INTEGER NOT NULL,
    since     TEXT NOT NULL,
    PRIMARY KEY (kb_id, vector_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX unused_vectors_by_age ON unused_vectors (since);
CREATE INDEX unused_vectors_by_vector ON unused_vectors (vector_id);
CREATE INDEX unused_vectors_kept ON unused_vectors (kb_id) WHERE since > '';
ALTER TABLE chunks ADD COLUMN context TEXT NOT NULL DEFAULT '';
CREATE TABLE index_tables (
    shard    INTEGER PRIMARY KEY,
    is_empty INTEGER NOT NULL DEFAULT 1,
    removed  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE index_shards (
    kb_id         TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    index_version INTEGER NOT NULL,
    shard         INTEGER NOT NULL,
    passages      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kb_id, index_version)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_shards_by_shard ON index_shards (shard);
CREATE TABLE document_fields (
    document_id INTEGER NOT NULL,
    kb_id       TEXT NOT NULL,
    key         TEXT NOT NULL,
    place       INTEGER NOT NULL,
    text        TEXT,
    number      REAL,
    PRIMARY KEY (document_id, key, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_fields_by_text ON document_fields (kb_id, key, text) WHERE text IS NOT NULL;
CREATE INDEX document_fields_by_number ON document_fields (kb_id, key, number) WHERE number IS NOT NULL;
CREATE TRIGGER documents_get_fields AFTER UPDATE OF state, metadata ON documents
WHEN new.state = 4 AND new.metadata <> '{}' AND (old.state <> 4 OR old.metadata <> new.metadata)
BEGIN
    DELETE FROM document_fields WHERE document_id = new.id;
    INSERT INTO document_fields (document_id, kb_id, key, place, text, number)
    SELECT new.id, new.kb_id, f.key, 0,
        CASE f.type WHEN 'text' THEN f.atom WHEN 'true' THEN char(1) || 'true' WHEN 'false' THEN char(1) || 'false' END,
        CASE WHEN f.type IN ('integer', 'real') THEN CAST(f.atom AS REAL) END
    FROM json_each(new.metadata) AS f WHERE f.type NOT IN ('array', 'object', 'null')
    UNION ALL
    SELECT new.id, new.kb_id, f.key, e.key + 1, e.atom, NULL
    FROM json_each(new.metadata) AS f, json_each(f.value) AS e WHERE f.type = 'array' AND e.type = 'text';
END;
CREATE TRIGGER documents_lose_fields AFTER UPDATE OF state, metadata ON documents
WHEN old.state = 4 AND old.metadata <> '{}' AND (new.state <> 4 OR new.metadata = '{}')
BEGIN
    DELETE FROM document_fields WHERE document_id = old.id;
END;
CREATE TRIGGER documents_take_fields_along AFTER DELETE ON documents WHEN old.metadata <> '{}'
BEGIN
    DELETE FROM document_fields WHERE document_id = old.id;
END;
DROP INDEX job_entries_open;
CREATE INDEX job_entries_open ON job_entries (job_seq, source, depth, id) WHERE state = 0;
CREATE INDEX job_entries_unread ON job_entries (job_seq, uri) WHERE state = 0;
CREATE TABLE job_sources (
    job_seq INTEGER NOT NULL REFERENCES ingestion_jobs (seq) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    listed  INTEGER NOT NULL DEFAULT 0,
    error   TEXT,
    displaced TEXT,
    canonical TEXT,
    kept    TEXT,
    PRIMARY KEY (job_seq, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE unlisted_parts (
    id      INTEGER PRIMARY KEY,
    job_seq INTEGER NOT NULL REFERENCES ingestion_jobs (seq) ON DELETE CASCADE,
    source  TEXT NOT NULL,
    place   TEXT NOT NULL,
    uri     TEXT NOT NULL,
    UNIQUE (job_seq, source, place)
) STRICT;
CREATE TABLE displaced_entries (
    id      INTEGER PRIMARY KEY,
    job_seq INTEGER NOT NULL REFERENCES ingestion_jobs (seq) ON DELETE CASCADE,
    source  TEXT NOT NULL,
    holder  TEXT NOT NULL,
    uri     TEXT NOT NULL,
    size    INTEGER,
    stamp   TEXT,
    depth   INTEGER NOT NULL DEFAULT 0,
    reading INTEGER NOT NULL DEFAULT 0,
    UNIQUE (job_seq, source, uri)
) STRICT;
CREATE INDEX displaced_entries_by_holder ON displaced_entries (job_seq, holder, source, uri);
CREATE INDEX displaced_entries_unread ON displaced_entries (job_seq, source, depth, id) WHERE reading = 1;
CREATE TABLE kept_files (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    purpose TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0, is_whole INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL, expires_at TEXT) STRICT;
CREATE TABLE kept_parts (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE kb_notes (kb_id TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE, key TEXT NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY (kb_id, key)) STRICT, WITHOUT ROWID;
CREATE TABLE index_spaces (
    name TEXT PRIMARY KEY, kb_id TEXT NOT NULL, index_version INTEGER NOT NULL, server TEXT NOT NULL,
    is_next INTEGER NOT NULL DEFAULT 0, UNIQUE (kb_id, index_version, is_next)
) STRICT, WITHOUT ROWID;
CREATE TABLE index_outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    server      TEXT NOT NULL,
    space       TEXT NOT NULL,
    kb_id       TEXT NOT NULL,
    document_id INTEGER,
    passages    INTEGER NOT NULL DEFAULT 0,
    again       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX index_outbox_by_space ON index_outbox (server, space, id);
CREATE INDEX index_outbox_whole ON index_outbox (server, space) WHERE document_id IS NULL;
CREATE INDEX index_outbox_renamed ON index_outbox (server, space, id) WHERE again = 1;
CREATE TRIGGER documents_leave_index AFTER UPDATE OF state ON documents
WHEN new.state = 10 AND old.state IN (3, 4, 9)
BEGIN
    INSERT INTO index_outbox (server, space, kb_id, document_id, passages)
    SELECT server, name, kb_id, new.id, new.chunk_count FROM index_spaces
    WHERE kb_id = new.kb_id AND index_version = new.index_version;
END;
CREATE TRIGGER documents_take_index_along AFTER DELETE ON documents WHEN old.state IN (3, 4, 9)
BEGIN
    INSERT INTO index_outbox (server, space, kb_id, document_id, passages)
    SELECT server, name, kb_id, old.id, old.chunk_count FROM index_spaces
    WHERE kb_id = old.kb_id AND index_version = old.index_version;
END;
CREATE TRIGGER documents_renamed_in_index AFTER UPDATE OF uri ON documents
WHEN new.state = 4 AND new.chunk_count > 0 AND new.uri <> old.uri
BEGIN
    INSERT INTO index_outbox (server, space, kb_id, document_id, again)
    SELECT server, name, kb_id, new.id, 1 FROM index_spaces
    WHERE kb_id = new.kb_id AND index_version = new.index_version;
END;
CREATE TRIGGER index_spaces_leave AFTER DELETE ON index_spaces
BEGIN
    INSERT INTO index_outbox (server, space, kb_id) VALUES (old.server, old.name, old.kb_id);
END;
CREATE TRIGGER knowledge_bases_leave_index AFTER UPDATE OF name ON knowledge_bases WHEN new.name IS NULL
BEGIN
    DELETE FROM index_spaces WHERE kb_id = new.id;
END;
CREATE TRIGGER knowledge_bases_switch_index AFTER UPDATE OF index_version ON knowledge_bases
WHEN new.index_version <> old.index_version
BEGIN
    DELETE FROM index_spaces WHERE kb_id = new.id AND index_version <> new.index_version;
END;
"""
"""The columns follow in the order of schema.sql. An older phaseflow refuses the file from here on."""
