"""DBOS: a durable workflow for each document, or for as many as the fourth argument says, on a queue.

The step of a workflow reads, cuts, embeds and stores. DBOS brings no loader, splitter or store: those here are ours.
The identifier of a workflow is a hash of paths and contents, by which DBOS leaves out what is done.
"""

import hashlib
import sqlite3
import sys
import threading
from pathlib import Path

import numpy as np
from dbos import DBOS, SetWorkflowID
from measured import OVERLAP, SIZE, Vectors, measured
from semantic_text_splitter import MarkdownSplitter

TABLE = """
CREATE TABLE IF NOT EXISTS passages (file TEXT, start INTEGER, text TEXT, vector BLOB, PRIMARY KEY (file, start))
"""


class Job:
    """What the workflows of this process work with; their arguments are stored, so they hold paths alone."""

    vectors: Vectors
    connection: sqlite3.Connection
    lock = threading.Lock()
    splitter = MarkdownSplitter(SIZE, overlap=OVERLAP)


@DBOS.step()
def index_files(paths: list[str]) -> int:
    rows = []
    for path in paths:
        found = Job.splitter.chunk_indices(Path(path).read_text(encoding="utf-8"))
        vectors = np.asarray(Job.vectors([text for _, text in found]), np.float32)
        rows += [(path, start, text, v.tobytes()) for (start, text), v in zip(found, vectors, strict=True)]
    with Job.lock, Job.connection:
        Job.connection.executemany("DELETE FROM passages WHERE file = ?", [(path,) for path in paths])
        Job.connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?)", rows)
    return len(rows)


@DBOS.workflow()
def index_documents(paths: list[str]) -> int:
    return index_files(paths)


def ingest(folder: Path, state: Path, vectors: Vectors) -> dict:
    size = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    Job.vectors = vectors
    Job.connection = sqlite3.connect(state / "index.db", check_same_thread=False)
    Job.connection.execute("PRAGMA journal_mode = WAL")
    Job.connection.execute("PRAGMA synchronous = NORMAL")
    Job.connection.execute(TABLE)
    DBOS(config={"name": "benchmark", "system_database_url": f"sqlite:///{state / 'dbos.db'}", "log_level": "ERROR"})
    DBOS.launch()
    DBOS.register_queue("documents", polling_interval_sec=0.05)
    files = sorted(folder.rglob("*.md"))
    handles = []
    for batch in (files[start : start + size] for start in range(0, len(files), size)):
        named = hashlib.blake2b(digest_size=16)
        for file in batch:
            named.update(str(file.relative_to(folder)).encode() + b"\0" + hashlib.blake2b(file.read_bytes()).digest())
        with SetWorkflowID(named.hexdigest()):
            handles.append(DBOS.enqueue_workflow("documents", index_documents, [str(file) for file in batch]))
    for handle in handles:
        handle.get_result(polling_interval_sec=0.05)
    passages = Job.connection.execute("SELECT count(*) FROM passages").fetchone()[0]
    DBOS.destroy()
    return {"passages": passages}


if __name__ == "__main__":
    measured(ingest)
