"""What an ingestion cannot do without: the work on texts, and the same rows by a bare script in one transaction.

    python -m benchmarks bound FOLDER [--copies 5]

FOLDER holds Markdown files, as for `ingest`; the vectors are constant. Seconds of the processor in one thread, of the
same documents: reading and extracting; cutting, with what stands above each passage; the words of the index; then the
rows that the ingestion has left, table by table, copied into an empty file of the same schema in one transaction.
Beside them what the ingestion took as a whole, of which the rest is what it does for the sake of its status: four
states of each document and their counts, hand-over from phase to phase, many transactions instead of one, and the
start of a job.

Then, of the clock, where a job with a remote embedder (50 ms a batch of 64, 8 at once) is without a call: before the
first one, between calls, and after the last answer; medians of five, in turn with a bare script that does the same work
on texts and rows beside calls that only sleep (`bare_remote`). Last, of processes, what starting takes: the libraries
alone, an engine that opens an empty database and does nothing, a job that finds nothing changed.
"""

import argparse
import asyncio
import math
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

import bare_remote
import ingest
import processes
from constant import Constant

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.chunker import MarkdownChunker
from phaseflow.components.context import contexts
from phaseflow.components.extraction import extract
from phaseflow.store import failpoints, postings, schema
from phaseflow.store.documents import text_hash
from phaseflow.store.pieces import piece_id
from phaseflow.store.postings import WordIndex
from phaseflow.store.transaction import Transaction

TABLES = ("knowledge_bases", "ingestion_jobs", "ingestion_phase_status", "transitions", "job_entries", "job_sources",
          "catalogue", "documents", "texts", "models", "vectors", "chunks")  # fmt: skip


def timed(what: str, work: Callable[[], object]) -> float:
    """Seconds of the processor, shown."""
    began = time.process_time()
    work()
    spent = time.process_time() - began
    print(f"{what:58} {spent:6.2f} s", flush=True)
    return spent


async def ingested(folder: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=Constant()) as flow:
        done = await (await flow.start("bench", FolderSource(str(folder), include=["**/*.md"]))).wait()
        assert done.status == "completed", done.message


def copied(database: Path, table: str) -> Callable[[sqlite3.Connection], None]:
    """Copies the rows of a table, but for what is computed."""

    def copy(connection: sqlite3.Connection) -> None:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        names = ", ".join(columns)
        connection.execute(f"INSERT OR REPLACE INTO main.{table} ({names}) SELECT {names} FROM old.{table}")

    return copy


ROUNDS = 5
LIBRARIES = "import aiosqlite, anyio, asyncio, numpy, pydantic, semantic_text_splitter, sqlite3"
IDLE = """
import asyncio, sys
from phaseflow import PhaseFlow
async def main():
    async with PhaseFlow(sys.argv[1]):
        pass
asyncio.run(main())
"""


async def remotely(folder: Path, database: Path, url: str) -> tuple[float, float, float, float]:
    """Seconds of a job: before its first call, from there to its last answer, after that; and those that its calls
    would take with all places taken all the time."""
    answered: list[float] = []
    failpoints.install("embedding.answered", lambda: answered.append(time.perf_counter()))
    settings = {"embedder": {"type": "openai", "base_url": url, "model": "fake"}}
    began = time.perf_counter()
    async with PhaseFlow(database, settings=settings) as flow:
        done = await (await flow.start("bench", FolderSource(str(folder), include=["**/*.md"]))).wait()
        assert done.status == "completed", done.message
    ended = time.perf_counter()
    failpoints.clear()
    first = answered[0] - ingest.DELAY_S
    least = math.ceil(done.metrics.embeddings_computed / ingest.BATCH / ingest.IN_FLIGHT) * ingest.DELAY_S
    return first - began, answered[-1] - first, ended - answered[-1], least


def remote(place: Path, work: Path) -> None:
    """Where a job with a remote embedder is without a call."""
    rounds, bare = [], []
    with ingest.embedding_server() as url:
        for number in range(ROUNDS):
            bare.append(bare_remote.ingested(place, work / f"bare{number}.db"))
            rounds.append(asyncio.run(remotely(place, work / f"remote{number}.db", url)))
    before, between, after, least = (median(column) for column in zip(*rounds, strict=True))
    ratio = median(sum(ours[:3]) / theirs for ours, theirs in zip(rounds, bare, strict=True))
    print(f"\nremote: {before:.2f} s before the first call ({rounds[0][0]:.2f} in the first round, which imports)")
    print(f"remote: {between:.2f} s to the last answer (calls alone {least:.2f} s), {after:.2f} s after it")
    print(f"remote: a bare script with threads {median(bare):.2f} s; phaseflow {ratio:.2f} × that", flush=True)


def starting(place: Path, work: Path) -> None:
    """What processes take that do nothing, or find nothing changed."""
    ingest.ours(place, work / "kept.db", "constant")
    commands = {
        "libraries": [sys.executable, "-c", LIBRARIES],
        "an engine that does nothing": [sys.executable, "-c", IDLE, str(work / "idle.db")],
        "nothing changed": [
            sys.executable, str(processes.HERE / "once.py"), str(place), str(work / "kept.db"), "constant",
        ],
        "nothing changed, by the script": [
            sys.executable, str(processes.HERE / "script.py"), str(place), str(work / "kept-script.db"), "constant",
        ],
    }  # fmt: skip
    processes.timed(commands["nothing changed, by the script"])
    print()
    for name, command in commands.items():
        runs = [processes.timed(command) for _ in range(ROUNDS)]
        cpu, seconds = median(each.cpu for each in runs), median(each.seconds for each in runs)
        print(f"process: {name:48} {cpu:6.2f} s of the processor, {seconds:.2f} s of the clock", flush=True)


def main(folder: Path, copies: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        place, old, new = ingest.copies(folder, work / "copies", copies), work / "old.db", work / "new.db"
        files = sorted(place.rglob("*.md"))
        whole = timed(
            "the ingestion as a whole, without the start of Python", lambda: asyncio.run(ingested(place, old))
        )
        documents: list = []
        texts = timed(
            "reading and extracting", lambda: documents.extend(extract(file.read_bytes(), file.name) for file in files)
        )
        chunker, cut = MarkdownChunker(), []

        def cutting() -> None:
            for file, document in zip(files, documents, strict=True):
                uri = str(file.relative_to(place))
                spans = chunker.spans(document.text, document.media_type)
                above = contexts(document.text, document.media_type, document.title, uri, spans)
                for head, (start, end) in zip(above, spans, strict=True):
                    text_hash(f"{head}\n\n{document.text[start:end]}")
                cut.append((uri, document, spans, above))

        texts += timed("cutting, headings above passages, hashes", cutting)
        packed: list[postings.Packed] = []

        def words() -> None:
            for number, (uri, document, spans, above) in enumerate(cut, 1):
                packed.append(
                    postings.packed(
                        postings.Passage(piece_id(number, n), document.text[start:end], head, document.title, uri)
                        for n, ((start, end), head) in enumerate(zip(spans, above, strict=True))
                    )
                )

        texts += timed("words of the index", words)
        schema.prepare(new)
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -16384", "foreign_keys = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("ATTACH ? AS old", (str(old),))
            connection.execute("BEGIN")
            rows = 0.0
            for table in TABLES:
                rows += timed(f"rows: {table}", lambda table=table: copied(old, table)(connection))
            tx = Transaction(connection)
            key = tx.value("SELECT id FROM knowledge_bases")
            rows += timed("rows: full-text index", lambda: [WordIndex(tx, key, 1).put(each) for each in packed])
            rows += timed("commit", lambda: connection.execute("COMMIT"))
        print(
            f"\nbound {texts + rows:.2f} s ({texts:.2f} of texts, {rows:.2f} of rows): {whole / (texts + rows):.2f} ×"
        )
        remote(place, work)
        starting(place, work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks bound")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=5)
    given = parser.parse_args()
    main(given.folder, given.copies)
