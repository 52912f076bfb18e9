"""The other side of the comparison: what people write today. One loop, no status, no way to pause or resume.

Reads the same files, strips the same front matter, cuts with the same splitter at the same size, puts the same headings
above each passage, embeds with the same vectors, and writes the same fields of text and context to SQLite: titles,
metadata and texts of documents; ranges, contexts and vectors of passages; and a full-text index of the same columns, of
the same words.

It keeps the hash and the time of each file: in a second run it reads those that have changed.

    python benchmarks/script.py FOLDER DATABASE [static|constant]
"""

import hashlib
import json
import sqlite3
import sys
from pathlib import Path

from constant import Constant
from semantic_text_splitter import MarkdownSplitter

from phaseflow.components.context import contexts
from phaseflow.components.embedders import StaticEmbedder
from phaseflow.components.extraction import extract
from phaseflow.domain.words import indexed_words

TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY, uri TEXT UNIQUE, title TEXT, media_type TEXT, hash BLOB, stamp TEXT, size INTEGER,
    metadata TEXT, text TEXT
);
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY, document_id INTEGER, start INTEGER, stop INTEGER, context TEXT, vector BLOB
);
CREATE VIRTUAL TABLE IF NOT EXISTS passages USING fts5 (
    text, headings, title, name, content = '',
    tokenize = "porter unicode61 remove_diacritics 2 categories 'L* M* N* Co'"
);
"""
BATCH = 256
COMMIT_EVERY = 32


def ingest(folder: Path, database: Path, embedder) -> int:
    """Ingest every Markdown file under ``folder``; the number of chunks."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(TABLES)
    splitter = MarkdownSplitter(1000, overlap=100)
    known = {
        uri: (stamp, digest) for uri, stamp, digest in connection.execute("SELECT uri, stamp, hash FROM documents")
    }
    chunks, last = 0, connection.execute("SELECT coalesce(max(id), 0) FROM documents").fetchone()[0]
    connection.execute("BEGIN")
    for number, path in enumerate(sorted(folder.rglob("*.md")), start=last + 1):
        uri, info = str(path.relative_to(folder)), path.stat()
        stamp = f"{info.st_size}:{info.st_mtime_ns}"
        if uri in known and known[uri][0] == stamp:
            continue
        data = path.read_bytes()
        digest = hashlib.blake2b(data).digest()
        if uri in known and known[uri][1] == digest:
            continue
        document = extract(data, path.name)
        pieces = splitter.chunk_indices(document.text)
        spans = [(start, start + len(text)) for start, text in pieces]
        above = contexts(document.text, document.media_type, document.title, uri, spans)
        texts = [f"{head}\n\n{text}" if head else text for head, (_, text) in zip(above, pieces, strict=True)]
        batches = (texts[n : n + BATCH] for n in range(0, len(texts), BATCH))
        vectors = [vector for batch in batches for vector in embedder.embed_documents(batch)]
        facts = (document.title, document.media_type, digest, stamp, len(data))
        connection.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, uri, *facts, json.dumps(dict(document.metadata)), document.text),
        )
        first = number << 20
        rows = [
            (first + n, number, *span, head, vector.tobytes())
            for n, (span, head, vector) in enumerate(zip(spans, above, vectors, strict=True))
        ]
        connection.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", rows)
        names = (document.title, uri)
        connection.executemany(
            "INSERT INTO passages (rowid, text, headings, title, name) VALUES (?, ?, ?, ?, ?)",
            [
                (
                    first + n,
                    indexed_words(text),
                    indexed_words(head),
                    *(map(indexed_words, names) if not n else ("", "")),
                )
                for n, ((_, text), head) in enumerate(zip(pieces, above, strict=True))
            ],
        )
        chunks += len(texts)
        if number % COMMIT_EVERY == 0:
            connection.execute("COMMIT")
            connection.execute("BEGIN")
    connection.execute("COMMIT")
    connection.close()
    return chunks


if __name__ == "__main__":
    kind = sys.argv[3] if len(sys.argv) > 3 else "static"
    print(ingest(Path(sys.argv[1]), Path(sys.argv[2]), Constant() if kind == "constant" else StaticEmbedder()))
