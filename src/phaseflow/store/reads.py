"""Reading beside the writer: a few connections, each lent for the length of one snapshot."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from phaseflow.domain.errors import EngineStopped
from phaseflow.store.connection import Connection, explained, open_connection
from phaseflow.store.transaction import Reading, Transaction

CLOSE_S = 2.0
"""How long closing waits for readers: longer than any of them takes."""


class ReadPool:
    """A few read-only connections, lent one at a time."""

    def __init__(self, connections: list[Connection]) -> None:
        self._free = list(connections)
        self._count = len(connections)
        self._lent = anyio.Semaphore(self._count)
        self._closed = anyio.Event()

    def reading(self) -> "Snapshot":
        """A context that lends one connection inside a read transaction. Raises EngineStopped after ``close``."""
        return Snapshot(self)

    async def lend(self) -> Connection:
        """The next free connection."""
        if not self._closed.is_set():
            await self._lent.acquire()
            if not self._closed.is_set():
                return self._free.pop()
            self._lent.release()
        raise EngineStopped("the database was closed")

    def give_back(self, connection: Connection) -> None:
        """It is free again."""
        self._free.append(connection)
        self._lent.release()

    async def close(self) -> None:
        """Lend no more, and wait until those that are lent are back, but not for ever."""
        self._closed.set()
        with anyio.move_on_after(CLOSE_S, shield=True):
            for _ in range(self._count):
                await self._lent.acquire()


class Snapshot:
    """Begins a snapshot on a free connection and gives it back, also when the reader is cancelled.

    Cancelling does not stop a statement that is on its way to the connection's thread. So the end of the transaction
    is sent after it in any case, and each transaction begins by ending what it finds, in the same hop.
    """

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Transaction:
        self._connection = await self._pool.lend()
        try:
            await self._connection.call(_begin_reading)
        except BaseException:
            await self._end()
            raise
        return Reading(self._connection)

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self._end()
        if isinstance(error, sqlite3.Error):
            raise explained(error, None) from error

    async def _end(self) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._connection.call(_end_reading)
        finally:
            self._pool.give_back(self._connection)


def _begin_reading(connection: sqlite3.Connection) -> None:
    _end_reading(connection)
    connection.execute("BEGIN")


def _end_reading(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.rollback()


@asynccontextmanager
async def open_readers(path: Path, count: int = 1) -> AsyncIterator[ReadPool]:
    """Read a file beside the process that has it. Read-only connections neither write nor checkpoint."""
    async with AsyncExitStack() as stack:
        reads = ReadPool([await stack.enter_async_context(open_connection(path, "ro")) for _ in range(count)])
        stack.push_async_callback(reads.close)
        yield reads
