"""Vectors in a PostgreSQL with pgvector: a table a space, in a schema of its own.

New rows come in by COPY, and no index is kept up row by row, which is a hundred times slower. Instead ``ready`` builds
HNSW indexes over ranges of document ids, which only ascend: each covers what came in since the one before, and
neighbours of about the same size become one. What no index covers yet is searched exactly.

Vectors are stored as half precision, which is enough to propose candidates; the head ranks them by the exact ones.
"""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from phaseflow.components.indexes.postgres_connections import PostgresConnections
from phaseflow.components.indexes.postgres_setup import SCHEMA, set_up
from phaseflow.components.indexes.protocol import Candidate, IndexDocument, Query, Space
from phaseflow.domain.errors import ComponentUnavailable

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[Any]

_MOST_DIMENSIONS: Final = 16_000
"""Of a vector that can be stored, and …"""
_MOST_INDEXED: Final = 4000
"""… of one that HNSW can index; longer ones are searched exactly."""
WORTH_AN_INDEX: Final = 10_000
"""Rows: fewer are searched exactly, in some milliseconds."""
_ALIKE: Final = 4
"""An index that is not this many times as large as the one behind it becomes one with it."""
FEW_DOCUMENTS: Final = 5_000
"""A filter that lets so many through is searched exactly."""
_MOST_EF: Final = 1000
"""Of ``hnsw.ef_search``: how many neighbours are followed at a time, …"""
ROWS_AN_EF: Final = 1000
"""… one for so many rows, since the more there are, the more of the nearest would be missed."""
_MEMORY: Final = "256MB"
"""For building an index, where the server is not set to more: 300,000 vectors of 256 numbers are built in memory."""
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_END: Final = b"\xff\xff"


class _Segment(NamedTuple):
    """An HNSW index: over documents above ``after`` up to ``last``."""

    name: str
    after: int
    last: int
    rows: int


class PostgresIndex:
    """``address`` is a libpq URI; ``name`` is what people call the server."""

    def __init__(self, name: str, address: str) -> None:
        self._connections = PostgresConnections(name, address)
        self._is_set_up = False

    async def open(self) -> None:
        """Connections are made when they are needed."""

    async def aclose(self) -> None:
        await self._connections.aclose()

    async def ping(self) -> None:
        async def look(connection: "Connection") -> None:
            await connection.execute("SELECT 1")

        await self._connections.run(look)

    async def create(self, space: Space) -> None:
        if space.dimension > _MOST_DIMENSIONS:
            raise ComponentUnavailable(
                f"{self._connections!r} takes no vectors longer than {_MOST_DIMENSIONS} numbers:"
                f" these have {space.dimension}"
            )
        await self._connections.run(lambda connection: self._create(connection, space))

    async def put(self, space: Space, documents: Sequence[IndexDocument]) -> None:
        rows = _copied(documents)
        spans = [(d.document_id, d.first, d.first + len(d.vectors)) for d in documents]

        async def write(connection: "Connection") -> None:
            async with connection.transaction(), connection.cursor() as cursor:
                # COPY knows no ON CONFLICT, and a put may be repeated.
                await cursor.execute(
                    f"DELETE FROM {_table(space.name)} AS t USING unnest(%s::bigint[], %s::int[], %s::int[])"
                    " AS n (id, first, behind) WHERE t.document_id = n.id AND position >= first AND position < behind",
                    [list(each) for each in zip(*spans, strict=True)],
                )
                copying = f"COPY {_table(space.name)} (document_id, position, vector) FROM STDIN (FORMAT binary)"
                async with cursor.copy(copying) as copy:
                    await copy.write(rows)

        if spans:
            await self._connections.run(write)

    async def remove(self, space: Space, document_ids: Sequence[int]) -> None:
        async def delete(connection: "Connection") -> None:
            if await _exists(connection, space.name):
                await connection.execute(
                    f"DELETE FROM {_table(space.name)} WHERE document_id = ANY(%s)",
                    [list(document_ids)],
                )

        await self._connections.run(delete)

    async def ready(self, space: Space) -> None:
        await self._connections.run(lambda connection: _build(connection, space))

    async def drop(self, space_name: str) -> None:
        async def drop(connection: "Connection") -> None:
            if await _exists(connection, space_name):
                await connection.execute(f"DROP TABLE IF EXISTS {_table(space_name)}")

        await self._connections.run(drop)

    async def spaces(self) -> AsyncIterator[str]:
        async def names(connection: "Connection") -> list[str]:
            found = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [SCHEMA])
            return [row[0] for row in await found.fetchall()]

        for name in await self._connections.run(names):
            yield name

    async def document_ids(self, space: Space, after: int, limit: int) -> Sequence[int]:
        return [document_id for document_id, _ in await self.passages(space, after, limit)]

    async def count(self, space: Space) -> int:
        rows = await self._rows(space, f"SELECT count(*) FROM {_table(space.name)}", [])
        return rows[0][0] if rows else 0

    async def passages(self, space: Space, after: int, limit: int) -> Sequence[tuple[int, int]]:
        rows = await self._rows(
            space,
            f"SELECT document_id, count(*) FROM {_table(space.name)} WHERE document_id > %s"
            " GROUP BY 1 ORDER BY 1 LIMIT %s",
            [after, limit],
        )
        return [(row[0], row[1]) for row in rows]

    async def _rows(self, space: Space, sql: str, parameters: Sequence[object]) -> list[tuple[int, ...]]:
        """What a statement about a space answers; nothing of an unknown one."""

        async def read(connection: "Connection") -> list[tuple[int, ...]]:
            if not await _exists(connection, space.name):
                return []
            return await (await connection.execute(sql, parameters)).fetchall()

        return await self._connections.run(read)

    async def search(self, space: Space, query: Query) -> Sequence[Candidate]:
        async def read(connection: "Connection") -> list[Candidate]:
            if not await _exists(connection, space.name):
                return []
            segments = await _segments(connection, space.name)
            sql, parameters = _nearest(space, query, segments)
            await connection.execute(
                "SELECT set_config('hnsw.ef_search', %s, false), set_config('hnsw.iterative_scan', 'relaxed_order',"
                " false)",
                [str(min(max([query.limit, 40, *(segment.rows // ROWS_AN_EF for segment in segments)]), _MOST_EF))],
            )
            found = await connection.execute(sql, parameters)
            return [Candidate(*row) for row in await found.fetchall()]

        return await self._connections.run(read)

    async def _create(self, connection: "Connection", space: Space) -> None:
        if not self._is_set_up:
            await set_up(connection, repr(self._connections))
            self._is_set_up = True
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_table(space.name)} (document_id bigint, position int,"
            f" vector halfvec({int(space.dimension)}), PRIMARY KEY (document_id, position))"
        )


def _table(space_name: str) -> str:
    if not (space_name.isascii() and space_name.replace("_", "a").isalnum() and len(space_name) <= 40):
        raise ValueError(f"{space_name!r} is no name of a space")
    return f'{SCHEMA}."{space_name}"'


async def _exists(connection: "Connection", space_name: str) -> bool:
    found = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [_table(space_name)])
    row = await found.fetchone()
    return bool(row and row[0])


def _copied(documents: Sequence[IndexDocument]) -> bytes:
    """The rows as COPY takes them, in binary: a vector is its length, two empty bytes, and its numbers."""
    import numpy as np

    if not documents:
        return b""
    dimension = documents[0].vectors.shape[1]
    row = np.dtype(
        [
            ("fields", ">i2"), ("l1", ">i4"), ("document", ">i8"), ("l2", ">i4"), ("position", ">i4"), ("l3", ">i4"),
            ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", (dimension,)),
        ]
    )  # fmt: skip
    rows = np.zeros(sum(len(d.vectors) for d in documents), row)
    rows["fields"], rows["l1"], rows["l2"] = 3, 8, 4
    rows["l3"], rows["dimension"] = 4 + 2 * dimension, dimension
    at = 0
    for document in documents:
        behind = at + len(document.vectors)
        rows["document"][at:behind] = document.document_id
        rows["position"][at:behind] = np.arange(document.first, document.first + len(document.vectors))
        rows["vector"][at:behind] = document.vectors
        at = behind
    return _COPY_HEADER + rows.tobytes() + _COPY_END


async def _segments(connection: "Connection", space_name: str) -> list[_Segment]:
    """The indexes of a table, by what they cover. Their names say it."""
    found = await connection.execute(
        "SELECT c.relname, c.reltuples::bigint FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = to_regclass(%s) AND i.indisvalid AND NOT i.indisprimary",
        [_table(space_name)],
    )
    parts = [(*row, row[0].removeprefix(f"{space_name}_").split("_")) for row in await found.fetchall()]
    return sorted((_Segment(name, int(a, 16), int(b, 16), rows) for name, rows, (a, b) in parts), key=lambda s: s.after)


def _nearest(space: Space, query: Query, segments: Sequence[_Segment]) -> tuple[str, list[Any]]:
    """A statement for the nearest of each segment and of what none covers, best first."""
    vector = f"[{','.join(map(str, query.vector.tolist()))}]"
    near = f"vector <=> %s::halfvec({int(space.dimension)})"
    of = f"SELECT document_id, position, {near} AS distance FROM {_table(space.name)}"
    if query.document_ids is not None and len(query.document_ids) <= FEW_DOCUMENTS:
        # MATERIALIZED: else an HNSW index may be walked for them, which meets few of them among all the others.
        chosen = f"SELECT * FROM {_table(space.name)} WHERE document_id = ANY(%s)"
        return (
            f"WITH chosen AS MATERIALIZED ({chosen}) SELECT document_id, position FROM chosen ORDER BY {near} LIMIT %s",
            [list(query.document_ids), vector, query.limit],
        )
    # One part a segment: PostgreSQL uses a partial index only where its own condition stands in the statement.
    behind = segments[-1].last if segments else 0
    ranges = [*(f"document_id > {s.after} AND document_id <= {s.last}" for s in segments), f"document_id > {behind}"]
    also, more = ("", []) if query.document_ids is None else (" AND document_id = ANY(%s)", [list(query.document_ids)])
    parts = [f"({of} WHERE {where}{also} ORDER BY {near} LIMIT %s)" for where in ranges]
    sql = f"SELECT document_id, position FROM ({' UNION ALL '.join(parts)}) AS found ORDER BY distance LIMIT %s"
    return sql, [*([vector, *more, vector, query.limit] * len(parts)), query.limit]


async def _build(connection: "Connection", space: Space) -> None:
    """Cover what no index covers, where that is worth it; with neighbours of about the same size as one."""
    if space.dimension > _MOST_INDEXED or not await _exists(connection, space.name):
        return
    table, segments = _table(space.name), await _segments(connection, space.name)
    behind = segments[-1].last if segments else 0
    rows, last = await _count(connection, table, behind, None)
    if rows < WORTH_AN_INDEX:
        return
    # As a log-structured tree does it: a new index takes in the neighbours that are not much larger than itself. So
    # there are few of them, and each row is indexed anew a logarithmic number of times; one index for all would be made
    # over and over.
    merged: list[_Segment] = []
    for segment in reversed(segments):
        size, _ = await _count(connection, table, segment.after, segment.last)
        if size > _ALIKE * rows:
            break
        merged.append(segment)
        rows, behind = rows + size, segment.after
    name = f"{space.name}_{behind:x}_{last:x}"
    # The new index and the end of those it replaces at once: a search sees each range covered, and no two overlap.
    async with connection.transaction():
        await connection.execute(
            "SELECT set_config('statement_timeout', '0', true), set_config('maintenance_work_mem', greatest("
            "  pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes(%s)) / 1024 || 'kB', true)",
            [_MEMORY],
        )
        await connection.execute(
            f'CREATE INDEX "{name}" ON {table} USING hnsw (vector halfvec_cosine_ops)'
            f" WHERE document_id > {int(behind)} AND document_id <= {int(last)}"
        )
        for segment in merged:
            await connection.execute(f'DROP INDEX {SCHEMA}."{segment.name}"')
    await connection.execute(f"ANALYZE {table}")


async def _count(connection: "Connection", table: str, after: int, last: int | None) -> tuple[int, int]:
    """How many rows a range has, and the last document in it."""
    found = await connection.execute(
        f"SELECT count(*), coalesce(max(document_id), 0) FROM {table} WHERE document_id > %s"
        " AND (%s::bigint IS NULL OR document_id <= %s)",
        [after, last, last],
    )
    row = await found.fetchone()
    return (row[0], row[1]) if row else (0, 0)
