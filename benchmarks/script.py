"""The other side of the comparison: what people write today. One loop, no status, no way to stop or go on.

Reads the same files, strips the same front matter, cuts with the same splitter at the same size, embeds with the same
vectors, and writes the same text, chunks, vectors and full-text rows to SQLite.

    python benchmarks/script.py FOLDER DATABASE [static|constant]
"""

import hashlib
import sqlite3
import sys
from pathlib import Path

import numpy as np
from semantic_text_splitter import MarkdownSplitter

from phaseflow.components.embedders import StaticEmbedder
from phaseflow.components.extraction import extract

TABLES = """
CREATE TABLE documents (id INTEGER PRIMARY KEY, uri TEXT UNIQUE, title TEXT, hash BLOB, text TEXT);
CREATE TABLE chunks (id INTEGER PRIMARY KEY, document_id INTEGER, start INTEGER, stop INTEGER, vector BLOB);
CREATE VIRTUAL TABLE passages USING fts5 (text, content = '', tokenize = "porter unicode61 remove_diacritics 2");
"""
BATCH = 256
COMMIT_EVERY = 32


class Constant:
    """A free embedder: the same vector for every text."""

    fingerprint = "constant"
    batch_size = 256
    in_flight = 2

    def embed_documents(self, texts):
        vectors = np.zeros((len(texts), 256), np.float32)
        vectors[:, 0] = 1
        return vectors

    def embed_query(self, text):
        return self.embed_documents([text])[0]


def ingest(folder: Path, database: Path, embedder) -> int:
    """Ingest every Markdown file under ``folder``; the number of chunks."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(TABLES)
    splitter = MarkdownSplitter(1000, overlap=100)
    chunks = 0
    connection.execute("BEGIN")
    for number, path in enumerate(sorted(folder.rglob("*.md")), start=1):
        data = path.read_bytes()
        document = extract(data, path.name)
        passages = splitter.chunk_indices(document.text)
        texts = [text for _, text in passages]
        batches = (texts[n : n + BATCH] for n in range(0, len(texts), BATCH))
        vectors = [vector for batch in batches for vector in embedder.embed_documents(batch)]
        connection.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?)",
            (number, str(path.relative_to(folder)), document.title, hashlib.blake2b(data).digest(), document.text),
        )
        first = number << 20
        rows = [
            (first + n, number, start, start + len(text), vector.tobytes())
            for n, ((start, text), vector) in enumerate(zip(passages, vectors, strict=True))
        ]
        connection.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", rows)
        connection.executemany(
            "INSERT INTO passages (rowid, text) VALUES (?, ?)", [(first + n, text) for n, text in enumerate(texts)]
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
