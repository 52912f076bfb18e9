"""What a database of PostgreSQL needs before the first table: pgvector, and a schema."""

from typing import TYPE_CHECKING, Any, Final

from phaseflow.domain.errors import ComponentUnavailable

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[Any]

SCHEMA: Final = "phaseflow"
_LEAST_VERSION: Final = (0, 8)
"""Of pgvector: half precision came with 0.7, filters that find enough with 0.8."""


async def set_up(connection: "Connection", server: str) -> None:
    """The extension and the schema. Two that do so at once are one: the lock is let go with the transaction."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('phaseflow set up'))")
        version = await _version(connection)
        if version is None:
            found = await connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
            if await found.fetchone() is None:
                raise ComponentUnavailable(f"{server} has no pgvector; install it there")
            may = await connection.execute(
                "SELECT rolsuper OR (SELECT bool_or(trusted) FROM pg_available_extension_versions"
                "  WHERE name = 'vector') FROM pg_roles WHERE rolname = current_user"
            )
            if not ((await may.fetchone()) or [False])[0]:
                raise ComponentUnavailable(
                    f"{server} has pgvector, but not in this database: an administrator has to CREATE EXTENSION vector"
                )
            await connection.execute("CREATE EXTENSION vector")
            version = await _version(connection)
        if version is None or version < _LEAST_VERSION:
            least = ".".join(map(str, _LEAST_VERSION))
            raise ComponentUnavailable(f"{server} has an older pgvector; it takes {least} or newer")
        found = await connection.execute("SELECT to_regnamespace(%s) IS NULL", [SCHEMA])
        if ((await found.fetchone()) or [True])[0]:  # IF NOT EXISTS asks for the right to make one all the same
            await connection.execute(f"CREATE SCHEMA {SCHEMA}")


async def _version(connection: "Connection") -> tuple[int, ...] | None:
    found = await connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    row = await found.fetchone()
    return None if row is None else tuple(int(part) for part in row[0].split(".") if part.isdecimal())
