-- The only place that defines tables. PRAGMA user_version numbers this file; store/migrations brings older files up to it.
-- Times are ISO 8601 in UTC with milliseconds. Durations are seconds. Hashes are BLAKE2b-128.

-- A named, searchable collection. Documents of its index version are searchable; those of a later one are a rebuild under way.
-- The id is internal and never used again (NAME~NUMBER; NAME alone in a file of version 1); all other tables refer to it.
-- Deleting a knowledge base takes its name away: nothing finds it any more, and the janitor removes its rows.
CREATE TABLE knowledge_bases (
    id            TEXT PRIMARY KEY,
    sources       TEXT,                           -- JSON, by name; null for the jobs of a program with its own pipeline
    settings      TEXT NOT NULL,                  -- JSON
    index_version INTEGER NOT NULL DEFAULT 1,
    model         TEXT,                           -- fingerprint of the vectors that search uses
    live_settings TEXT,                           -- JSON: what made all that search sees (domain/indexed_with)
    next_model    TEXT,                           -- fingerprint of the vectors of a rebuild
    search_revision INTEGER NOT NULL DEFAULT 0,   -- grows with each change to what search sees
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    name          TEXT,                           -- what people call it; null: deleted
    pushed_bytes  INTEGER NOT NULL DEFAULT 0      -- the sizes in pushed, added up
) STRICT;
CREATE UNIQUE INDEX knowledge_bases_by_name ON knowledge_bases (name);

-- Numbers that are never used again; log and index: random ones that tell the log of this file, and its spaces in an index
-- outside it, from those of any other.
CREATE TABLE sequences (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sequences (name, last) VALUES ('log', abs(random() >> 16)), ('index', abs(random() >> 16));

-- One ingestion run. Its status is derived from its phases and never stored.
CREATE TABLE ingestion_jobs (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    id                TEXT NOT NULL UNIQUE,
    kb_id             TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    managed           INTEGER NOT NULL,           -- 0: a program with its own pipeline moves the phases
    sources           TEXT,
    settings          TEXT NOT NULL,
    full_run          INTEGER NOT NULL DEFAULT 0, -- trust no size and mtime
    attempt           INTEGER NOT NULL DEFAULT 0, -- grows with each time that the job gets a slot; writes carry it
    index_version     INTEGER,
    model             TEXT,
    held              INTEGER NOT NULL DEFAULT 0,
    hold_reason       TEXT,
    intent            TEXT,
    intent_phases     TEXT NOT NULL DEFAULT '[]',
    queued_at         TEXT,
    listed            INTEGER NOT NULL DEFAULT 0, -- the crawl is complete
    documents_deleted INTEGER NOT NULL DEFAULT 0,
    documents_failed  INTEGER NOT NULL DEFAULT 0,
    characters_sent   INTEGER NOT NULL DEFAULT 0, -- to the embedder
    cancelled_at      TEXT,
    created_at        TEXT NOT NULL,
    started_at        TEXT,
    completed_at      TEXT,                       -- set while the job is over
    lists             INTEGER NOT NULL DEFAULT 1, -- 0: no source is listed, only requests are taken
    lease_s           REAL,                       -- of a program that reports over the wire: alive so long after a report
    lease_until       TEXT,                       -- null: it has not been heard of for that long
    can_retry         INTEGER NOT NULL DEFAULT 0, -- that program can
    allow_deletes     INTEGER NOT NULL DEFAULT 0, -- any number of documents may be taken out
    made_again        TEXT,                       -- what of the index this job makes again, and why, in words
    made_with         TEXT                        -- JSON: what its documents so far were made with (domain/indexed_with); null: it has
                                                  -- not begun
) STRICT;
CREATE INDEX ingestion_jobs_by_kb ON ingestion_jobs (kb_id, seq);
CREATE INDEX ingestion_jobs_open ON ingestion_jobs (seq) WHERE completed_at IS NULL OR intent IS NOT NULL;
CREATE INDEX ingestion_jobs_leased ON ingestion_jobs (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE ingestion_phase_status (
    id              INTEGER PRIMARY KEY,
    job_id          TEXT NOT NULL REFERENCES ingestion_jobs (id) ON DELETE CASCADE,
    phase_name      TEXT NOT NULL CHECK (phase_name IN ('loading', 'chunking', 'embedding', 'indexing')),
    status          TEXT NOT NULL CHECK (status IN ('not_started', 'running', 'paused', 'completed', 'failed')),
    progress        INTEGER NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    items_processed INTEGER NOT NULL DEFAULT 0,
    items_total     INTEGER,
    items_failed    INTEGER NOT NULL DEFAULT 0,
    items_reused    INTEGER NOT NULL DEFAULT 0,
    items_available INTEGER NOT NULL DEFAULT 0,   -- handed over by the phase before
    active_seconds  REAL NOT NULL DEFAULT 0,
    running_since   TEXT,
    waiting_on      TEXT,
    held            INTEGER NOT NULL DEFAULT 0,
    hold_reason     TEXT,
    started_at      TEXT,
    completed_at    TEXT,
    error           TEXT,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL,
    note            TEXT,                         -- what takes long within one item, in words
    UNIQUE (job_id, phase_name)
) STRICT;

-- The append-only log. A number is never used again, and their order is the order of the commits.
CREATE TABLE transitions (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    kb_id       TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    job_id      TEXT NOT NULL REFERENCES ingestion_jobs (id) ON DELETE CASCADE,
    phase       TEXT,
    from_status TEXT NOT NULL,
    to_status   TEXT NOT NULL,
    reason      TEXT,
    error       TEXT,
    at          TEXT NOT NULL
) STRICT;
CREATE INDEX transitions_by_job ON transitions (job_id, seq);
CREATE INDEX transitions_by_kb ON transitions (kb_id, seq);

-- What the source of the newest job has: the frontier of the crawl. state: 0 listed, 1 loaded, 2 unchanged,
-- 3 failed, 4 no document of its own, 5 does not exist any more, 6 exists again.
CREATE TABLE job_entries (
    id      INTEGER PRIMARY KEY,
    job_seq INTEGER NOT NULL REFERENCES ingestion_jobs (seq) ON DELETE CASCADE,
    uri     TEXT NOT NULL,
    size    INTEGER,
    stamp   TEXT,
    depth   INTEGER NOT NULL DEFAULT 0,
    state   INTEGER NOT NULL DEFAULT 0,
    source  TEXT NOT NULL DEFAULT 'default',
    twin    TEXT,                                 -- the uri of what has the same bytes, where that is the document
    UNIQUE (job_seq, uri)
) STRICT;
CREATE INDEX job_entries_open ON job_entries (job_seq, source, depth, id) WHERE state = 0;
CREATE INDEX job_entries_unread ON job_entries (job_seq, uri) WHERE state = 0;
CREATE INDEX job_entries_failed ON job_entries (job_seq, id) WHERE state IN (3, 5);
CREATE INDEX job_entries_twins ON job_entries (job_seq, uri) WHERE twin IS NOT NULL;

-- The sources of the newest job that have been listed to their end, or could not be.
CREATE TABLE job_sources (
    job_seq INTEGER NOT NULL REFERENCES ingestion_jobs (seq) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    listed  INTEGER NOT NULL DEFAULT 0,           -- 1: to its end; what it does not have any more is known
    error   TEXT,                                 -- why it could not be listed, or read
    displaced TEXT,                               -- JSON {holder: [how many, one of them]}: what displaced_entries has of it
    canonical TEXT,                               -- JSON [how many, one of them]: what names another document as the one that stands for it
    kept    TEXT,                                 -- JSON [how many, [pages, …], why]: what it was not found to have and is searchable all
                                                  -- the same, since pages, or all of it for the reason why, could not be read
    PRIMARY KEY (job_seq, name)
) STRICT, WITHOUT ROWID;

-- Parts of the sources of the newest job that could not be listed: what is below them is not known to be gone. No part lies
-- in another one.
CREATE TABLE unlisted_parts (
    id      INTEGER PRIMARY KEY,
    job_seq INTEGER NOT NULL REFERENCES ingestion_jobs (seq) ON DELETE CASCADE,
    source  TEXT NOT NULL,
    place   TEXT NOT NULL,                        -- what uris below it begin with; ends in a slash
    uri     TEXT NOT NULL,                        -- the entry that stands for it, and fails
    UNIQUE (job_seq, source, place)
) STRICT;

-- What sources of the newest job have under uris that others hold: it is left out of the job. Where source and holder are
-- the same, a page that was read and is to be read again for its links: a shorter way to it was found.
CREATE TABLE displaced_entries (
    id      INTEGER PRIMARY KEY,
    job_seq INTEGER NOT NULL REFERENCES ingestion_jobs (seq) ON DELETE CASCADE,
    source  TEXT NOT NULL,
    holder  TEXT NOT NULL,                        -- the source that has it, or had it last; push: it was pushed
    uri     TEXT NOT NULL,
    size    INTEGER,
    stamp   TEXT,
    depth   INTEGER NOT NULL DEFAULT 0,
    reading INTEGER NOT NULL DEFAULT 0,           -- for its links: 0 it is not read, 1 still to be read, 2 read
    UNIQUE (job_seq, source, uri)
) STRICT;
CREATE INDEX displaced_entries_by_holder ON displaced_entries (job_seq, holder, source, uri);
CREATE INDEX displaced_entries_unread ON displaced_entries (job_seq, source, depth, id) WHERE reading = 1;

-- One version of a document. state: 0 being stored, 1 loaded, 2 chunked, 3 embedded, 4 searchable, 9 failed, 10 gone (for
-- the janitor to remove). What the phase after state n has to do is the rows in state n, by turn: the table is the
-- hand-over.
CREATE TABLE documents (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kb_id        TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    job_seq      INTEGER NOT NULL,
    index_version INTEGER NOT NULL,
    uri          TEXT NOT NULL,
    title        TEXT NOT NULL,
    media_type   TEXT NOT NULL,
    content_hash TEXT NOT NULL,                   -- hex
    stamp        TEXT,
    recipe       TEXT NOT NULL,                   -- how it was extracted and cut; another recipe makes it stale
    chunk_count  INTEGER NOT NULL DEFAULT 0,
    state        INTEGER NOT NULL DEFAULT 1,
    search_revision INTEGER,                      -- of the knowledge base, when it became searchable
    characters   INTEGER NOT NULL DEFAULT 0,      -- of its text
    indexed      INTEGER NOT NULL DEFAULT 0,      -- how many of its passages, from the first, stand in the full-text index
    turn         INTEGER,                         -- its place in the hand-over; null: that of its id
    source       TEXT NOT NULL DEFAULT 'default', -- the name of the source that held it
    size         INTEGER,                         -- bytes
    metadata     TEXT NOT NULL DEFAULT '{}',      -- JSON object: what holds, from own_metadata and the catalogue's
    own_metadata TEXT NOT NULL DEFAULT '{}',      -- JSON object: found in the document
    changed_at   TEXT,                            -- of its state
    indexed_at   TEXT,
    text_type    TEXT,                            -- media type of the text, where it is not that of the document
    carried_from INTEGER                          -- the version of an older index that this one is a copy of, for the
                                                  -- document could not be made again; null: it was loaded
) STRICT;
CREATE UNIQUE INDEX documents_live ON documents (kb_id, index_version, uri) WHERE state = 4;
CREATE INDEX documents_open ON documents (job_seq, state, coalesce(turn, id)) WHERE state NOT IN (4, 10);
CREATE INDEX documents_in_hand ON documents (kb_id, uri, job_seq) WHERE state < 4 AND carried_from IS NULL;
CREATE INDEX documents_carried ON documents (kb_id, uri) WHERE carried_from IS NOT NULL;
CREATE INDEX documents_gone ON documents (kb_id, id) WHERE state = 10;
CREATE INDEX documents_by_kb ON documents (kb_id, search_revision);

-- The text of a document in segments, so that no statement goes through all of a long one.
-- id = document id * 2^20 + number of the segment, which begins at character number * 2^16.
CREATE TABLE texts (
    id    INTEGER PRIMARY KEY,
    text  TEXT NOT NULL,                          -- 2^16 characters; the last segment has what is left
    parts TEXT NOT NULL                           -- JSON: [[offset, label], …] that begin in it, and the one before them
) STRICT;

-- id = document id * 2^20 + position: it follows from document and position, and a document's chunks are one range.
-- start and stop count characters of the document's text; the passage is exactly that slice.
CREATE TABLE chunks (
    id          INTEGER PRIMARY KEY,
    document_id INTEGER GENERATED ALWAYS AS (id >> 20) VIRTUAL,
    start       INTEGER NOT NULL,
    stop        INTEGER NOT NULL,
    text_hash   BLOB NOT NULL,
    vector_id   INTEGER,
    context     TEXT NOT NULL DEFAULT ''          -- the headings above the passage, and the head row of its table
) STRICT;
CREATE INDEX chunks_by_vector ON chunks (vector_id) WHERE vector_id IS NOT NULL;

-- The documents that a knowledge base knows, one row a uri: what stays the same from version to version. Where each stands is
-- derived from the other tables, never stored here. document_id follows from the name of the knowledge base and the uri.
CREATE TABLE catalogue (
    kb_id       TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri         TEXT NOT NULL,
    document_id TEXT NOT NULL,
    source      TEXT NOT NULL DEFAULT 'default',  -- the name of the source that holds it; 'push': what was pushed
    skipped     INTEGER NOT NULL DEFAULT 0,       -- 1: taken out on request, until it is retried
    metadata    TEXT,                             -- JSON object given with a push or set later; null: none
    replaces    INTEGER NOT NULL DEFAULT 0,       -- 1: stands in place of the metadata found in the document; 0: over it
    attempts    INTEGER NOT NULL DEFAULT 0,       -- how often it was loaded
    created_at  TEXT NOT NULL,
    changed_at  TEXT,                             -- when it was asked for, skipped, or given metadata last
    title       TEXT,                             -- this and what follows: of the last version that was seen, when it
    media_type  TEXT,                             -- failed or was skipped; there may be no version left to tell it
    size        INTEGER,                          -- bytes
    own_metadata TEXT,                            -- JSON object
    PRIMARY KEY (kb_id, uri)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX catalogue_by_id ON catalogue (kb_id, document_id);
CREATE INDEX catalogue_skipped ON catalogue (kb_id, uri) WHERE skipped = 1;
CREATE INDEX catalogue_by_change ON catalogue (kb_id, coalesce(changed_at, created_at));

-- Documents that were skipped and that no source has any more: one that comes back under such a uri is skipped, too.
CREATE TABLE left_out (
    kb_id TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri   TEXT NOT NULL,
    PRIMARY KEY (kb_id, uri)
) STRICT, WITHOUT ROWID;

-- What was pushed: the source named push. A small document is in its row, a larger one in a file.
CREATE TABLE pushed (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kb_id      TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri        TEXT NOT NULL,
    title      TEXT,                              -- given with it; null: the one found in the document
    media_type TEXT,                              -- given with it; null: judged by name and content
    size       INTEGER NOT NULL,
    digest     TEXT NOT NULL,                     -- hex, of the bytes
    origin     TEXT,                              -- where it came from, as its sender calls it; null: not said
    file       TEXT,                              -- its name in the folder of uploads; null: the bytes are in content
    content    BLOB,
    pushed_at  TEXT NOT NULL,
    UNIQUE (kb_id, uri)
) STRICT;
CREATE INDEX pushed_by_origin ON pushed (kb_id, origin, uri) WHERE origin IS NOT NULL;

-- Documents to be loaded (again) without listing a source: pushed, or retried. The loading phase of the open job takes them
-- into its entries; while there is none that can, they wait here. A row goes when the document is searchable, unchanged or
-- failed; one that an older job has taken, or a cancelled one, waits again.
CREATE TABLE requests (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kb_id        TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri          TEXT NOT NULL,
    anew         INTEGER NOT NULL DEFAULT 0,      -- 1: even if it is unchanged (a retry)
    job_seq      INTEGER,                         -- the job that has taken it; null: it waits; 0: for the next job
    requested_at TEXT NOT NULL,
    UNIQUE (kb_id, uri)
) STRICT;
CREATE INDEX requests_by_job ON requests (kb_id, job_seq, id);

CREATE TABLE models (
    id          INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    dimension   INTEGER
) STRICT;

-- Of length 1: float32, little-endian, or in fewer bytes where an index outside has them too (components/stored_vectors). Kept by (model, text hash): one that is paid for is not computed again while it is kept (unused_vectors).
CREATE TABLE vectors (
    id        INTEGER PRIMARY KEY,
    model_id  INTEGER NOT NULL REFERENCES models (id),
    text_hash BLOB NOT NULL,
    vector    BLOB NOT NULL,
    UNIQUE (model_id, text_hash)
) STRICT;

-- Vectors that passages of a knowledge base have let go of, and since when. One that no passage names is kept for a
-- while, since a document that comes back should not be paid for again; since '' means that it need not be. The
-- knowledge base may be gone; '' stands for one that nobody remembers.
CREATE TABLE unused_vectors (
    kb_id     TEXT NOT NULL,
    vector_id INTEGER NOT NULL,
    since     TEXT NOT NULL,
    PRIMARY KEY (kb_id, vector_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX unused_vectors_by_age ON unused_vectors (since);
CREATE INDEX unused_vectors_by_vector ON unused_vectors (vector_id);
CREATE INDEX unused_vectors_kept ON unused_vectors (kb_id) WHERE since > '';

-- The tables of FTS5, passages_N, which are made when they are first needed, all the same (store/postings); rowid = chunks.id.
-- Without content of their own: the text is in texts.
CREATE TABLE index_tables (
    shard    INTEGER PRIMARY KEY,
    is_empty INTEGER NOT NULL DEFAULT 1,          -- 0: it is used, or was and has yet to be emptied
    removed  INTEGER NOT NULL DEFAULT 0           -- passages taken out: their words stay in its segments until these are merged
) STRICT;

-- Which of them holds the words of an index version of a knowledge base.
CREATE TABLE index_shards (
    kb_id         TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    index_version INTEGER NOT NULL,
    shard         INTEGER NOT NULL,
    passages      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kb_id, index_version)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_shards_by_shard ON index_shards (shard);

-- The metadata of searchable documents, by which a search can be filtered: a row a value. Kept by triggers, so that whatever
-- makes a document searchable or changes its metadata need not think of it. Booleans are texts that begin with U+0001.
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

CREATE TABLE failures (
    kb_id    TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    uri      TEXT NOT NULL,
    job_seq  INTEGER NOT NULL,                    -- the job that counts it; 0: none; negative: that job tries it again
    phase    TEXT NOT NULL,
    code     TEXT NOT NULL,
    error    TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (kb_id, uri)
) STRICT, WITHOUT ROWID;
CREATE INDEX failures_by_time ON failures (kb_id, at);

-- Addresses that are told what has become of jobs and documents. events and kbs are JSON; no kbs: all.
CREATE TABLE webhooks (
    name             TEXT PRIMARY KEY,
    id               TEXT NOT NULL,               -- of this webhook alone, also among those that had its name before
    url              TEXT NOT NULL,
    chosen_by_client INTEGER NOT NULL,            -- its address came over the HTTP API
    events           TEXT NOT NULL,
    kbs              TEXT NOT NULL,
    secret           BLOB NOT NULL,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    last_delivery    TEXT,                        -- JSON
    last_error       TEXT                         -- JSON
) STRICT;

-- What a webhook has yet to be told. The first row of a knowledge base is delivered before the next one is tried.
CREATE TABLE webhook_queue (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook  TEXT NOT NULL REFERENCES webhooks (name) ON DELETE CASCADE,
    kb       TEXT NOT NULL,
    event    TEXT NOT NULL,
    data     TEXT NOT NULL,                       -- JSON
    at       TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at  TEXT NOT NULL
) STRICT;
CREATE INDEX webhook_queue_heads ON webhook_queue (webhook, kb, seq);

-- Files that were sent and belong to no knowledge base (yet). One that is not whole is on its way in, or out.
CREATE TABLE kept_files (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    purpose    TEXT NOT NULL DEFAULT '',          -- what its sender says
    size       INTEGER NOT NULL DEFAULT 0,
    is_whole   INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    expires_at TEXT
) STRICT;

-- Their bytes in parts of 2^18. id = number of the file * 2^20 + position.
CREATE TABLE kept_parts (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- What a face keeps about a knowledge base, under keys of its own.
CREATE TABLE kb_notes (
    kb_id TEXT NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,                          -- JSON
    PRIMARY KEY (kb_id, key)
) STRICT, WITHOUT ROWID;

-- Index versions whose vectors stand in an index outside the database: under which name, which is never used again, and on
-- which server ('*': the program's own index). All others are searched here. A second one of the same version is where it is
-- about to move.
CREATE TABLE index_spaces (
    name          TEXT PRIMARY KEY,
    kb_id         TEXT NOT NULL,
    index_version INTEGER NOT NULL,
    server        TEXT NOT NULL,
    is_next       INTEGER NOT NULL DEFAULT 0,     -- 1: being filled, and not searched yet
    UNIQUE (kb_id, index_version, is_next)
) STRICT, WITHOUT ROWID;

-- What is gone here and has yet to go there: a document, or with null a whole space; and what has been renamed. Filled by triggers,
-- in the transaction in which it goes; a row is deleted when the index has done it.
CREATE TABLE index_outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    server      TEXT NOT NULL,
    space       TEXT NOT NULL,
    kb_id       TEXT NOT NULL,
    document_id INTEGER,
    passages    INTEGER NOT NULL DEFAULT 0,
    again       INTEGER NOT NULL DEFAULT 0         -- 1: not gone, but to be put again: it has another uri now
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
