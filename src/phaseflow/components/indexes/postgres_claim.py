"""Which head a PostgreSQL obeys where there are two with copies of one database file: each would remove what only the
other knows.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from phaseflow.components.indexes.postgres_connections import PostgresConnections
from phaseflow.domain.errors import IndexUnavailable

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[Any]

T = TypeVar("T")

PATIENCE_S: Final = 1.0
"""How long a head that has just ended may take to let go."""
_LOOK_S: Final = 0.05
_TRIES: Final = 3
_SETTINGS: Final = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""So that the server notices within 20 s that the machine of a head is gone: nothing is sent over this connection."""
_APPLICATION: Final = "phaseflow head"


class _ClaimLost(Exception):
    """The server has closed the connection that held the claim; this process had not noticed."""

    def __init__(self, word: int) -> None:
        super().__init__("the claim is lost")
        self.word = word


class PostgresClaim:
    """Held by one head at a time. ``owner``: what the names of all spaces of a file begin with, also of its copies.

    Three advisory locks. One is held by a connection that is kept open, and ends with it: after a ``kill -9`` the next
    head has it at once. One of a random number, the word, is held by the same connection, so that each transaction
    that writes can see whether the server still has that connection. One is shared by all that write, and whoever has
    taken the claim waits until those of the head before are over.
    """

    def __init__(self, connections: PostgresConnections, owner: str) -> None:
        self._connections = connections
        self._held, self._writing = _number(f"head {owner}"), _number(f"writing {owner}")
        self._word = 0
        self._connection: Connection | None = None
        self._taking = anyio.Lock()
        self._times = 0

    async def hold(self) -> int:
        """Have the claim: how often it was taken. Raises IndexUnavailable while another head has it."""
        async with self._taking:
            if self._connection is None or self._connection.closed:
                self._word = secrets.randbits(62)
                self._connection = await self._connections.keep(self._take)
                self._times += 1
            return self._times

    async def run(self, work: "Callable[[Connection], Awaitable[T]]") -> T:
        """Do ``work`` in a transaction, before the end of which no other head gets the claim. Raises IndexUnavailable
        while another one has it, and what ``work`` raises."""

        async def alone(connection: "Connection") -> T:
            async with connection.transaction():
                await self._check(connection)
                return await work(connection)

        for _ in range(_TRIES):
            await self.hold()
            try:
                return await self._connections.run(alone)
            except _ClaimLost as lost:
                await self.let_go(lost.word)
        raise IndexUnavailable(f"{self._connections!r} closes its connections again and again")

    async def _check(self, connection: "Connection") -> None:
        word = self._word
        # Two statements: what the second sees is from after the first has been waited for.
        found = await connection.execute(
            f"SELECT pg_advisory_xact_lock_shared({self._writing}); SELECT pg_try_advisory_xact_lock_shared({word})"
        )
        found.nextset()
        row = await found.fetchone()
        if row is None or row[0]:
            raise _ClaimLost(word)

    async def let_go(self, word: int | None = None) -> None:
        """Give up the claim; with ``word``, only if it is still that one."""
        async with self._taking:
            if self._connection is not None and word in {None, self._word}:
                await self._connections.close(self._connection)
                self._connection = None

    async def _take(self, connection: "Connection") -> None:
        settings = _SETTINGS | {"application_name": _APPLICATION}
        set_all = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
        await connection.execute(f"SELECT {set_all}")
        # Servers before version 14 do not know it, and never end an idle session.
        await connection.execute(
            "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
        )
        until = anyio.current_time() + PATIENCE_S
        while not await _got(connection, self._held):
            if anyio.current_time() > until:
                raise IndexUnavailable(
                    f"{self._connections!r} is in use by another phaseflow, which has a copy of this database: only one"
                    " of them can use it; stop the other one, or give this one a server of its own"
                )
            await asyncio.sleep(_LOOK_S)
        await connection.execute(f"SELECT pg_advisory_lock({self._word})")
        await connection.execute(f"SELECT pg_advisory_xact_lock({self._writing})")  # at once let go


async def _got(connection: "Connection", number: int) -> bool:
    found = await connection.execute(f"SELECT pg_try_advisory_lock({number})")
    row = await found.fetchone()
    return bool(row and row[0])


def _number(name: str) -> int:
    """Of an advisory lock."""
    return int.from_bytes(hashlib.blake2b(f"phaseflow {name}".encode(), digest_size=8).digest(), signed=True)
