"""What becomes of a connection to a PostgreSQL whose call is given up."""

import asyncio
from typing import Any

from phaseflow.components.indexes.postgres_connections import PostgresConnections
from tests.indexes.postgres import Postgres


async def test_one_whose_call_is_cancelled_twice_is_not_used_again(postgres: Postgres) -> None:
    connections, begun, printed = PostgresConnections("main", postgres.url), asyncio.Event(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context))

    async def quick(connection: Any) -> Any:
        return (await (await connection.execute("SELECT 7")).fetchone())[0]

    async def slow(connection: Any) -> None:
        begun.set()
        await connection.execute("SELECT pg_sleep(60)")

    assert await connections.run(quick) == 7
    call = asyncio.ensure_future(connections.run(slow))
    await begun.wait()
    call.cancel()
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert connections._idle == []
    assert await connections.run(quick) == 7
    await connections.aclose()
    assert printed == []
