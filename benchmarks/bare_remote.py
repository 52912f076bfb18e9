"""A bare script with threads, beside calls that only sleep: by what an ingestion with a remote embedder is bounded.

It reads, cuts and stores as `script.py` does, without a status, a state of a document or a protocol. Texts go to
sleeping calls in batches as they are cut, each text once, so many calls at a time; another thread stores rows and words
as they come, in large transactions, and the vectors of each answer.
"""

import queue
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from ingest import BATCH, DELAY_S, IN_FLIGHT
from script import TABLES

from phaseflow.components.chunker import MarkdownChunker
from phaseflow.components.context import contexts
from phaseflow.components.extraction import extract
from phaseflow.domain.words import indexed_words
from phaseflow.store.documents import text_hash

COMMIT_EVERY = 32
"""Documents stored in a transaction."""
VECTORS = "CREATE TABLE vectors (hash BLOB PRIMARY KEY, vector BLOB)"
Rows = list[tuple[str, list[tuple]]]
"""Statements, each with its rows."""


def call(hashes: list[bytes]) -> Rows:
    """A call with a batch, and what is stored of its answer."""
    time.sleep(DELAY_S)
    vectors = np.ones((len(hashes), 16), np.float32)
    rows = [(key, vector.tobytes()) for key, vector in zip(hashes, vectors, strict=True)]
    return [("INSERT INTO vectors VALUES (?, ?)", rows)]


def rows_of(number: int, uri: str, data: bytes, chunker: MarkdownChunker) -> tuple[Rows, list[bytes]]:
    """What is stored of a document, and the hashes of its texts."""
    document = extract(data, uri)
    spans = chunker.spans(document.text, document.media_type)
    above = contexts(document.text, document.media_type, document.title, uri, spans)
    pieces = [document.text[start:end] for start, end in spans]
    first, names = number << 20, (indexed_words(document.title), indexed_words(uri))
    hashes = [text_hash(f"{head}\n\n{text}") for head, text in zip(above, pieces, strict=True)]
    facts = (number, uri, document.title, document.media_type, b"", "", len(data), "{}", document.text)
    chunks = [
        (first + n, number, *span, head, key)
        for n, (span, head, key) in enumerate(zip(spans, above, hashes, strict=True))
    ]
    words = [
        (first + n, indexed_words(text), indexed_words(head), *(names if not n else ("", "")))
        for n, (text, head) in enumerate(zip(pieces, above, strict=True))
    ]
    return [
        ("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [facts]),
        ("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", chunks),
        ("INSERT INTO passages (rowid, text, headings, title, name) VALUES (?, ?, ?, ?, ?)", words),
    ], hashes


def store(database: Path, coming: "queue.SimpleQueue[Rows | None]") -> None:
    """In a thread of its own: what comes, until None does."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {TABLES}; {VECTORS};")
        connection.execute("BEGIN")
        documents = 0
        while (rows := coming.get()) is not None:
            for statement, values in rows:
                connection.executemany(statement, values)
            documents += len(rows) > 1
            if documents == COMMIT_EVERY:
                connection.execute("COMMIT")
                connection.execute("BEGIN")
                documents = 0
        connection.execute("COMMIT")


def ingested(folder: Path, database: Path) -> float:
    """Seconds from the first look at the folder until all is stored."""
    coming: queue.SimpleQueue[Rows | None] = queue.SimpleQueue()
    began, chunker, seen, waiting = time.perf_counter(), MarkdownChunker(), set[bytes](), list[bytes]()
    with ThreadPoolExecutor(1) as storing, ThreadPoolExecutor(IN_FLIGHT) as calls:
        writer = storing.submit(store, database, coming)

        def ask(hashes: list[bytes]) -> None:
            calls.submit(call, hashes).add_done_callback(lambda done: coming.put(done.result()))

        for number, file in enumerate(sorted(folder.rglob("*.md")), 1):
            rows, hashes = rows_of(number, str(file.relative_to(folder)), file.read_bytes(), chunker)
            coming.put(rows)
            new = [key for key in dict.fromkeys(hashes) if key not in seen]
            seen.update(new)
            waiting += new
            while len(waiting) >= BATCH:
                ask(waiting[:BATCH])
                del waiting[:BATCH]
        if waiting:
            ask(waiting)
        calls.shutdown()
        coming.put(None)
        writer.result()
    return time.perf_counter() - began
