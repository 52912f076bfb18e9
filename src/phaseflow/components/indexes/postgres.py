"""Vectors in a PostgreSQL with pgvector: a table a space, in a schema of its own.

New rows come in by COPY, and no index is kept up row by row, which is a hundred times slower. Instead ``ready`` builds
HNSW indexes over ranges of document ids, which only ascend: each covers what came in since the one before, and
neighbours of about the same size become one. What no index covers yet is searched exactly.

Vectors are stored as half precision, which is enough to propose candidates; the head ranks them by the exact ones.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from phaseflow.components.indexes.postgres_claim import PostgresClaim
from phaseflow.components.indexes.postgres_connections import PostgresConnections
from phaseflow.components.indexes.postgres_copy import put
from phaseflow.components.indexes.postgres_setup import SCHEMA, set_up
from phaseflow.components.indexes.protocol import Candidate, IndexDocument, Query, Space
from phaseflow.domain.errors import ComponentUnavailable

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[Any]

T = TypeVar("T")

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
ROWS_AN_EF: Final = 2500
"""… one for so many rows, since the more there are, the more of the nearest would be missed."""
_EF_CONSTRUCTION: Final = 128
"""Twice what pgvector takes by itself: with that, too few of the nearest of a million are found, however many
neighbours a search follows."""
_MEMORY: Final = "256MB"
"""For building an index, where the server is not set to more: 300,000 vectors of 256 numbers are built in memory."""


class _Segment(NamedTuple):
    """An HNSW index: over documents above ``after`` up to ``last``."""

    name: str
    after: int
    last: int
    rows: int


class PostgresIndex:
    """``address`` is a libpq URI; ``name`` is what people call the server.

    ``owner``: what the names of all spaces begin with that this process writes to. Only one process of an owner can use
    the server at a time. None for one that only searches, beside the one that writes.
    """

    def __init__(self, name: str, address: str, owner: str | None = None) -> None:
        self._connections = PostgresConnections(name, address)
        self._claim = None if owner is None else PostgresClaim(self._connections, owner)

    async def open(self) -> None:
        """Connections are made when they are needed."""

    async def aclose(self) -> None:
        if self._claim is not None:
            await self._claim.let_go()
        await self._connections.aclose()

    async def hold(self) -> int:
        """Have the server for this process alone: how often that was begun, since another one may have had it in
        between. Raises IndexUnavailable while another process of the same owner has it."""
        return 0 if self._claim is None else await self._claim.hold()

    async def ping(self) -> None:
        async def look(connection: "Connection") -> None:
            await connection.execute("SELECT 1")

        await self._held(look)

    async def create(self, space: Space) -> None:
        if space.dimension > _MOST_DIMENSIONS:
            raise ComponentUnavailable(
                f"{self._connections!r} takes no vectors longer than {_MOST_DIMENSIONS} numbers:"
                f" these have {space.dimension}"
            )
        await self._held(lambda connection: _create(connection, space, repr(self._connections)))

    async def put(self, space: Space, documents: Sequence[IndexDocument]) -> None:
        await self._held(lambda connection: put(connection, _table(space.name), documents))

    async def remove(self, space: Space, document_ids: Sequence[int]) -> None:
        async def delete(connection: "Connection") -> None:
            if await _exists(connection, space.name):
                await connection.execute(
                    f"DELETE FROM {_table(space.name)} WHERE document_id = ANY(%s)",
                    [list(document_ids)],
                )

        await self._held(delete)

    async def ready(self, space: Space) -> None:
        async def analyze(connection: "Connection") -> None:
            await connection.execute(f"ANALYZE {_table(space.name)}")

        if await self._held(lambda connection: _build(connection, space)):
            await self._connections.run(analyze)  # by itself: until it ends, searches would wait for dropped indexes

    async def drop(self, space_name: str) -> None:
        async def drop(connection: "Connection") -> None:
            if await _exists(connection, space_name):
                await connection.execute(f"DROP TABLE IF EXISTS {_table(space_name)}")

        await self._held(drop)

    async def spaces(self) -> AsyncIterator[str]:
        async def names(connection: "Connection") -> list[str]:
            found = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [SCHEMA])
            return [row[0] for row in await found.fetchall()]

        for name in await self._connections.run(names):
            yield name

    async def document_ids(self, space: Space, after: int, limit: int) -> Sequence[int]:
        return [document_id for document_id, _ in await self.passages(space, after, limit)]

    async def count(self, space: Space) -> int:
        async def count(connection: "Connection") -> int:
            if not await _exists(connection, space.name):
                return 0
            return (await _count(connection, _table(space.name), 0, None))[0]

        return await self._held(count)

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
        await self.hold()  # another head would have removed what this one knows

        async def read(connection: "Connection") -> list[Candidate]:
            segments = await _segments(connection, space.name)
            if segments is None:
                return []
            sql, parameters = _nearest(space, query, segments)
            await connection.execute(
                "SELECT set_config('hnsw.ef_search', %s, false), set_config('hnsw.iterative_scan', 'relaxed_order',"
                " false)",
                [str(min(max([query.limit, 40, *(segment.rows // ROWS_AN_EF for segment in segments)]), _MOST_EF))],
            )
            found = await connection.execute(sql, parameters)
            return [Candidate(*row) for row in await found.fetchall()]

        return await self._connections.run(read)

    async def _held(self, work: "Callable[[Connection], Awaitable[T]]") -> T:
        """Do ``work`` in one transaction, with the server held by this process alone."""
        if self._claim is not None:
            return await self._claim.run(work)

        async def once(connection: "Connection") -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._connections.run(once)


def _table(space_name: str) -> str:
    if not (space_name.isascii() and space_name.replace("_", "a").isalnum() and len(space_name) <= 40):
        raise ValueError(f"{space_name!r} is no name of a space")
    return f'{SCHEMA}."{space_name}"'


async def _create(connection: "Connection", space: Space, server: str) -> None:
    await set_up(connection, server)  # each time: somebody may have dropped the schema, or made the database anew
    await connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_table(space.name)} (document_id bigint, position int,"
        f" vector halfvec({int(space.dimension)}), PRIMARY KEY (document_id, position))"
    )


async def _exists(connection: "Connection", space_name: str) -> bool:
    found = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [_table(space_name)])
    row = await found.fetchone()
    return bool(row and row[0])


async def _segments(connection: "Connection", space_name: str) -> list[_Segment] | None:
    """The indexes of a table, by what they cover: their names say it. None without the table."""
    found = await connection.execute(
        "SELECT c.relname, c.reltuples::bigint FROM (SELECT to_regclass(%s) AS oid) AS t"
        " LEFT JOIN (pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid)"
        " ON i.indrelid = t.oid AND i.indisvalid AND NOT i.indisprimary WHERE t.oid IS NOT NULL",
        [_table(space_name)],
    )
    rows = await found.fetchall()
    named = [(name, count, name.removeprefix(f"{space_name}_").split("_")) for name, count in rows if name is not None]
    segments = [_Segment(name, int(after, 16), int(last, 16), count) for name, count, (after, last) in named]
    return sorted(segments, key=lambda segment: segment.after) if rows else None


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


async def _build(connection: "Connection", space: Space) -> bool:
    """Cover what no index covers, where that is worth it; with neighbours of about the same size as one. The new index
    and the end of those that it replaces are one transaction: a search sees each range covered, and no two overlap."""
    table, segments = _table(space.name), await _segments(connection, space.name)
    if space.dimension > _MOST_INDEXED or segments is None:
        return False
    behind = segments[-1].last if segments else 0
    rows, last = await _count(connection, table, behind, None)
    if rows < WORTH_AN_INDEX:
        return False
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
    await connection.execute(
        "SELECT set_config('statement_timeout', '0', true), set_config('maintenance_work_mem', greatest("
        "  pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes(%s)) / 1024 || 'kB', true)",
        [_MEMORY],
    )
    await connection.execute(
        f'CREATE INDEX "{name}" ON {table} USING hnsw (vector halfvec_cosine_ops)'
        f" WITH (ef_construction = {_EF_CONSTRUCTION})"
        f" WHERE document_id > {int(behind)} AND document_id <= {int(last)}"
    )
    for segment in merged:
        await connection.execute(f'DROP INDEX {SCHEMA}."{segment.name}"')
    return True


async def _count(connection: "Connection", table: str, after: int, last: int | None) -> tuple[int, int]:
    """How many rows a range has, and the last document in it."""
    found = await connection.execute(
        f"SELECT count(*), coalesce(max(document_id), 0) FROM {table} WHERE document_id > %s"
        " AND (%s::bigint IS NULL OR document_id <= %s)",
        [after, last, last],
    )
    row = await found.fetchone()
    return (row[0], row[1]) if row else (0, 0)
