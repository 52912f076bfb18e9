"""An index outside the database in a file of its own: small, exact, and with a handle on its faults."""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from phaseflow.components.indexes import Candidate, IndexDocument, Query, Space

Fault = Callable[[str, Sequence[IndexDocument]], Awaitable[None]]

_TABLES = """
CREATE TABLE IF NOT EXISTS spaces (name TEXT PRIMARY KEY, dimension INTEGER);
CREATE TABLE IF NOT EXISTS passages (space TEXT, document INTEGER, position INTEGER, vector BLOB,
    PRIMARY KEY (space, document, position)) WITHOUT ROWID;
"""


class FileIndex:
    """Each call commits at once. ``fault`` is awaited before each, with its name and the documents of a ``put``, and
    may raise or wait; ``calls`` counts them, and ``inside`` those that are in progress."""

    def __init__(self, path: Path, fault: Fault | None = None) -> None:
        self.path = path
        self.fault = fault
        self.calls: Counter[str] = Counter()
        self.inside = 0

    async def _begin(self, call: str, documents: Sequence[IndexDocument] = ()) -> None:
        self.calls[call] += 1
        if self.fault is not None:
            self.inside += 1
            try:
                await self.fault(call, documents)
            finally:
                self.inside -= 1

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=60)
        connection.executescript(_TABLES)
        return connection

    async def open(self) -> None:
        self.calls["open"] += 1

    async def aclose(self) -> None:
        self.calls["aclose"] += 1

    async def ping(self) -> None:
        await self._begin("ping")

    async def create(self, space: Space) -> None:
        await self._begin("create")
        with closing(self._connect()) as connection:
            connection.execute("INSERT OR IGNORE INTO spaces VALUES (?, ?)", (space.name, space.dimension))

    async def put(self, space: Space, documents: Sequence[IndexDocument]) -> None:
        await self._begin("put", documents)
        rows = [
            (space.name, d.document_id, d.first + n, vector.astype("<f4").tobytes())
            for d in documents
            for n, vector in enumerate(d.vectors)
        ]
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO passages VALUES (?, ?, ?, ?)", rows)
            connection.execute("COMMIT")

    async def remove(self, space: Space, document_ids: Sequence[int]) -> None:
        await self._begin("remove")
        with closing(self._connect()) as connection:
            connection.executemany(
                "DELETE FROM passages WHERE space = ? AND document = ?", [(space.name, key) for key in document_ids]
            )

    async def ready(self, space: Space) -> None:
        await self._begin("ready")

    async def drop(self, space_name: str) -> None:
        await self._begin("drop")
        with closing(self._connect()) as connection:
            connection.execute("DELETE FROM passages WHERE space = ?", (space_name,))
            connection.execute("DELETE FROM spaces WHERE name = ?", (space_name,))

    async def spaces(self) -> AsyncIterator[str]:
        await self._begin("spaces")
        for name in self.all_spaces():
            yield name

    def all_spaces(self) -> list[str]:
        """The names of all spaces."""
        with closing(self._connect()) as connection:
            return [row[0] for row in connection.execute("SELECT name FROM spaces ORDER BY name")]

    async def document_ids(self, space: Space, after: int, limit: int) -> Sequence[int]:
        await self._begin("document_ids")
        return self.documents(space.name, after, limit)

    def documents(self, space_name: str, after: int = 0, limit: int = -1) -> list[int]:
        """The ids of the documents in a space."""
        with closing(self._connect()) as connection:
            rows = connection.execute(
                "SELECT DISTINCT document FROM passages WHERE space = ? AND document > ? ORDER BY 1 LIMIT ?",
                (space_name, after, limit),
            )
            return [row[0] for row in rows]

    async def search(self, space: Space, query: Query) -> Sequence[Candidate]:
        await self._begin("search")
        with closing(self._connect()) as connection:
            rows = connection.execute(
                "SELECT document, position, vector FROM passages WHERE space = ?", (space.name,)
            ).fetchall()
        if query.document_ids is not None:
            wanted = set(query.document_ids)
            rows = [row for row in rows if row[0] in wanted]
        if not rows:
            return []
        nearness = np.stack([np.frombuffer(row[2], "<f4") for row in rows]) @ query.vector
        return [Candidate(*rows[n][:2]) for n in np.argsort(-nearness, kind="stable")[: query.limit]]


class CountingFileIndex(FileIndex):
    """One that can also say how much it has."""

    async def count(self, space: Space) -> int:
        await self._begin("count")
        return sum(count for _, count in self._passages(space, 0, -1))

    async def passages(self, space: Space, after: int, limit: int) -> list[tuple[int, int]]:
        await self._begin("passages")
        return self._passages(space, after, limit)

    def _passages(self, space: Space, after: int, limit: int) -> list[tuple[int, int]]:
        with closing(self._connect()) as connection:
            return connection.execute(
                "SELECT document, count(*) FROM passages WHERE space = ? AND document > ?"
                " GROUP BY 1 ORDER BY 1 LIMIT ?",
                (space.name, after, limit),
            ).fetchall()
