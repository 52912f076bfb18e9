"""No transaction grows with a document: one that is four times as long takes more of them, not longer ones."""

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np
import numpy.typing as npt
import pytest

from phaseflow import FolderSource, PhaseFlow, Settings
from phaseflow.actors import chunking, release
from phaseflow.actors.transaction_size import TransactionSize
from phaseflow.store import database as database_module
from phaseflow.store import failpoints, postings
from phaseflow.store.database import Database
from phaseflow.store.schema import schema_sql
from phaseflow.store.transaction import Transaction
from phaseflow.store.unused_vectors import UnusedVectors
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.probes import until_removed

STEPS = 100
"""SQLite's virtual machine reports each time it has made so many steps."""
OF_FTS5 = re.compile(r"-- .*'passages_\d+_(?:data|idx|docsize|config|content)'", re.DOTALL)
"""What FTS5 runs inside our statements, on its own tables."""


SMALL = Settings(chunk_size=350, chunk_overlap=0)
"""A passage a paragraph, so that few words make many."""


class EqualVectors:
    """An embedder that costs nothing, so that storing is what is left."""

    fingerprint = "equal"
    batch_size = 256

    async def embed_documents(self, texts: list[str]) -> "npt.NDArray[np.float32]":
        return np.ones((len(texts), 4), np.float32)


async def until_no_vectors(database: Database) -> None:
    """Until those of a deleted knowledge base are gone."""
    while await database.read(lambda tx: tx.row("SELECT 1 FROM vectors LIMIT 1")):  # noqa: ASYNC110  # nobody tells when
        await anyio.sleep(0.01)


@dataclass(slots=True)
class Longest:
    """The most that any transaction has done: steps of SQLite, rows changed (by us; inside FTS5), segments stored."""

    steps: int = 0
    rows: int = 0
    rows_of_fts5: int = 0
    segments: int = 0
    count: int = 0


class Rows:
    """Tells the rows that statements of ours change from those that FTS5 changes in its own tables meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._seen = connection.total_changes
        self._is_of_fts5 = False
        self._changed = {False: 0, True: 0}
        connection.set_trace_callback(self._begins)

    def _begins(self, statement: str) -> None:
        """What has changed since the last statement began is the work of that one."""
        self._changed[self._is_of_fts5] += self._connection.total_changes - self._seen
        self._seen = self._connection.total_changes
        self._is_of_fts5 = OF_FTS5.match(statement) is not None

    def take(self) -> tuple[int, int]:
        """(by us, inside FTS5) since the last call."""
        self._begins("")
        taken = self._changed[False], self._changed[True]
        self._changed = {False: 0, True: 0}
        return taken


async def measured(folder: Path, database: Path, paragraphs: int, *, repeat: bool = False) -> Longest:
    """Index one document, put another version in its place, delete the knowledge base."""
    folder.mkdir()
    longest, now, rows = Longest(), Longest(), list[Rows]()

    def ended(connection: sqlite3.Connection) -> None:
        ours, of_fts5 = rows[0].take()
        longest.rows, longest.rows_of_fts5 = max(longest.rows, ours), max(longest.rows_of_fts5, of_fts5)
        longest.steps = max(longest.steps, now.steps)
        (segments,) = connection.execute("SELECT count(*) FROM texts").fetchone()
        longest.segments = max(longest.segments, segments - now.segments)
        longest.count += 1
        now.steps, now.segments = 0, segments

    def step() -> None:
        now.steps += STEPS

    async with PhaseFlow(database, embedder=EqualVectors()) as flow:
        store = flow._engine.hub.database

        def watch(connection: sqlite3.Connection) -> None:
            connection.set_progress_handler(step, STEPS)
            rows.append(Rows(connection))
            failpoints.install("store.before_commit", lambda: ended(connection))

        await store._writer.call(watch)  # nobody else shows what SQLite does
        for version in ("first", "second"):
            text = (f"{version} {'same' if repeat else n} " + "word " * 60 for n in range(paragraphs))
            (folder / "large.md").write_text("\n\n".join(text))
            await (await flow.start("kb", FolderSource(str(folder)), settings=SMALL, full=True)).wait()
        assert (await flow.kb("kb")).chunks >= paragraphs
        await flow.delete_kb("kb")
        await until_removed(store)
        await until_no_vectors(store)
        failpoints.clear()
    return longest


@pytest.mark.parametrize(
    "repeat", first_of_each([False, True], ids=["all passages differ", "all passages are the same"])
)
async def test_no_transaction_grows_with_a_document(
    tmp_path: Path, repeat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What goes by time is not what grows with a document, and differs on a busy machine: which requests share a
    # transaction, and how many passages are taken into one.
    monkeypatch.setattr(database_module, "_SHARED_S", 0.0)
    monkeypatch.setattr(TransactionSize, "passages", 128)
    # Small enough that both documents fill every transaction.
    monkeypatch.setattr(chunking, "STORE_CHUNKS", 500)
    monkeypatch.setattr(release, "STORE_CHUNKS", 250)
    monkeypatch.setattr(postings, "_STEP", 50)
    with fail_soon(100):
        small = await measured(tmp_path / "a", tmp_path / "a.db", 1000, repeat=repeat)
        large = await measured(tmp_path / "b", tmp_path / "b.db", 2500, repeat=repeat)
    assert min(small.steps, small.rows, small.rows_of_fts5, small.segments) > 0
    assert large.count > 1.5 * small.count
    assert large.segments <= 32
    # Apart by kind: ours are as many whatever the document is like. FTS5 merges its segments a few pages at a time, but
    # the places of one word whole, and here all passages have the same words; when a merge falls due, and into which
    # transaction, nobody says.
    assert large.rows <= 1.05 * small.rows
    assert large.rows_of_fts5 <= 2 * small.rows_of_fts5
    assert large.steps <= 1.3 * small.steps


async def test_letting_go_of_a_deleted_knowledge_base_passes_over_no_vector_that_has_gone_before(
    tmp_path: Path,
) -> None:
    gone, kept, steps = 20_000, 10, 0

    def step() -> None:
        nonlocal steps
        steps += STEPS

    with closing(sqlite3.connect(tmp_path / "kb.db")) as connection:
        connection.executescript(schema_sql())
        connection.executemany(
            "INSERT INTO unused_vectors VALUES ('kb~1', ?, iif(?, '', '2026'))",
            ((n, n < gone) for n in range(gone + kept)),
        )
        connection.set_progress_handler(step, STEPS)
        tx = Transaction(connection)
        assert UnusedVectors(tx).let_go_of_all("kb~1", 2 * kept)
        assert not UnusedVectors(tx).let_go_of_all("kb~1", 2 * kept)
        connection.set_progress_handler(None, STEPS)
        assert connection.execute("SELECT count(*) FROM unused_vectors WHERE since > ''").fetchone() == (0,)
    assert 0 < steps < gone / 4


async def test_a_wal_is_given_back_when_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseflow.store.database.IDLE_S", 0.05)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("word " * 20_000)
    wal = tmp_path / "kb.db-wal"
    async with PhaseFlow(tmp_path / "kb.db", embedder=EqualVectors()) as flow:
        await (await flow.start("kb", FolderSource(str(tmp_path / "docs")))).wait()
        with fail_soon(50):
            while wal.stat().st_size:  # noqa: ASYNC110  # SQLite tells nobody
                await anyio.sleep(0.02)
