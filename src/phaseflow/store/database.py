"""One SQLite file: one writer, readers apart.

Only the writer writes; a write is a coroutine function run to its end in the writer's thread, inside its ``BEGIN
IMMEDIATE``: it may wait for its transaction only. Requests that wait at the same time share one, a savepoint each.
Whoever asks may be cancelled: the request is carried out all the same, and its ``then`` is called right after the
commit, so that nothing is committed and never told.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiosqlite
import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from phaseflow.domain.errors import EngineStopped, NotADatabase, StoreUnavailable
from phaseflow.store import faults
from phaseflow.store.transaction import Reading, Transaction, Writing, run_at_once

T = TypeVar("T")
Write = Callable[[Transaction], Coroutine[Any, Any, T]]

READERS = 2
"""Connections for reading; a status read waits for no search."""
INBOX = 64
"""Requests that may wait for the writer before whoever asks has to."""
BUSY_S = 5.0
"""How long a statement waits for a lock of another program, before it says that the file is locked."""
CLOSE_S = 2.0
"""How long closing waits for readers: longer than any of them takes."""
CHECKPOINT_PAGES = 4000
"""The WAL is brought into the file at about 16 MB: a quarter of the syncs of the default, and still small."""


@dataclass(slots=True)
class _Request(Generic[T]):
    write: Write[T]
    durable: bool
    then: Callable[[T], None] | None
    done: anyio.Event = field(default_factory=anyio.Event)
    value: T | None = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.error is None and self.then is not None:
            self.then(self.value)  # type: ignore[arg-type]  # set by the write that succeeded
        self.done.set()


class Database:
    """A file that is open for writing, by the only process that may. Made by ``open_database``."""

    def __init__(self, path: Path, writer: "Connection", reads: "ReadPool") -> None:
        self.path = path
        self._writer = writer
        self._reads = reads
        self._inode = path.stat().st_ino
        self._synchronous = ""
        inbox: tuple[MemoryObjectSendStream[_Request[Any]], MemoryObjectReceiveStream[_Request[Any]]]
        inbox = anyio.create_memory_object_stream(INBOX)
        self._ask, self._asked = inbox

    @property
    def queue_length(self) -> int:
        """Requests that wait for the writer."""
        return self._asked.statistics().current_buffer_used

    def read(self) -> "_Reading":
        """``async with database.read() as tx``: a consistent view, which never waits for a write."""
        return self._reads.reading()

    async def write(self, write: Write[T], *, durable: bool = False, then: Callable[[T], None] | None = None) -> T:
        """Run ``write`` in a transaction and return what it returned, after the commit.

        ``durable``: on the disk, not only safe from a crash of the process. ``then`` is called with the result by the
        writer, in the order of the commits, before this returns; it must not raise. When ``write`` raises, nothing of
        it is stored. Cancelling: the request, once taken, is carried out and told. Raises StoreUnavailable when the
        file cannot be written.
        """
        request = _Request(write, durable, then)
        try:
            await self._ask.send(request)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise EngineStopped("the database was closed") from None
        await request.done.wait()
        if request.error is not None:
            raise request.error
        return request.value  # type: ignore[return-value]  # set by the write that succeeded

    def close(self) -> None:
        """Take no more requests; ``serve`` ends when those that wait are done."""
        self._ask.close()

    async def serve(self) -> None:
        """The writer: takes requests until ``close``. Ends with no transaction open."""
        async with self._asked:
            async for first in self._asked:
                group = [first]
                while len(group) < INBOX and self._asked.statistics().current_buffer_used:
                    group.append(self._asked.receive_nowait())
                with anyio.CancelScope(shield=True):
                    await self._carry_out(group)

    async def _carry_out(self, group: list[_Request[Any]]) -> None:
        await self._writer.call(lambda connection: self._commit(connection, group))
        for request in group:
            request.settle()

    def _commit(self, connection: sqlite3.Connection, group: list[_Request[Any]]) -> None:
        """In the writer's thread: the whole transaction in one hop."""
        try:
            self._begin(connection, durable=any(request.durable for request in group))
            for request in group:
                _run(connection, request, alone=len(group) == 1)
            faults.reach("store.before_commit")
            connection.commit()
            faults.reach("store.after_commit")
        except (sqlite3.Error, StoreUnavailable) as error:
            failure = _explained(error, self.path)
            for request in group:
                request.error = request.error or failure
        finally:
            if connection.in_transaction:
                connection.rollback()

    def _begin(self, connection: sqlite3.Connection, *, durable: bool) -> None:
        self._check_file()
        synchronous = "FULL" if durable else "NORMAL"
        if synchronous != self._synchronous:
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        connection.execute("BEGIN IMMEDIATE")

    def _check_file(self) -> None:
        """SQLite would go on writing into a file that has lost its name."""
        try:
            there = self.path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise StoreUnavailable(f"{self.path} was deleted or replaced while in use; put it back or start anew")


def _run(connection: sqlite3.Connection, request: _Request[Any], *, alone: bool) -> None:
    if not alone:
        connection.execute("SAVEPOINT request")
    try:
        request.value = run_at_once(request.write(Writing(connection)))
    except Exception as error:
        if _concerns_the_file(error):
            raise
        request.error = error  # handed to whoever asked
        if alone:
            connection.rollback()
        else:
            connection.execute("ROLLBACK TO request")
    if not alone:
        connection.execute("RELEASE request")


class Connection(aiosqlite.Connection):
    """A connection that takes a whole transaction at once.

    aiosqlite runs single statements in its thread; a transaction of ten would make ten trips, each through the event
    loop and the GIL (measured: a third of the writer's time). What it offers its own classes is used for that.
    """

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` with the bare connection in its thread."""
        result: T = await self._execute(lambda: work(self._conn))  # type: ignore[no-untyped-call]  # untyped there
        return result


class ReadPool:
    """A few read-only connections, lent one at a time."""

    def __init__(self, connections: list[Connection]) -> None:
        self._free = list(connections)
        self._count = len(connections)
        self._lent = anyio.Semaphore(self._count)
        self._closed = False

    def reading(self) -> "_Reading":
        """A context that lends one connection inside a read transaction. Raises EngineStopped after ``close``."""
        return _Reading(self)

    async def lend(self) -> Connection:
        """The next free connection."""
        await self._lent.acquire()
        if self._closed:
            self._lent.release()
            raise EngineStopped("the database was closed")
        return self._free.pop()

    def give_back(self, connection: Connection) -> None:
        """It is free again."""
        self._free.append(connection)
        self._lent.release()

    async def close(self) -> None:
        """Lend no more, and wait until those that are lent are back, but not for ever."""
        self._closed = True
        with anyio.move_on_after(CLOSE_S, shield=True):
            for _ in range(self._count):
                await self._lent.acquire()


class _Reading:
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
            raise _explained(error, None) from error

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
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open a file (absolute path) that ``schema.prepare`` has accepted. The caller has its lock and runs ``serve``."""
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(_connection(path, "rw"))
        await writer.execute_fetchall("PRAGMA foreign_keys = ON")
        await writer.execute_fetchall(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        await writer.execute_fetchall("PRAGMA cache_size = -32768")
        reads = ReadPool([await stack.enter_async_context(_connection(path, "ro")) for _ in range(READERS)])
        stack.push_async_callback(reads.close)
        yield Database(path, writer, reads)


@asynccontextmanager
async def open_readers(path: Path, count: int = 1) -> AsyncIterator[ReadPool]:
    """Read a file beside the process that has it. Read-only connections neither write nor checkpoint."""
    async with AsyncExitStack() as stack:
        reads = ReadPool([await stack.enter_async_context(_connection(path, "ro")) for _ in range(count)])
        stack.push_async_callback(reads.close)
        yield reads


@asynccontextmanager
async def _connection(path: Path, mode: str) -> AsyncIterator[Connection]:
    uri = f"{path.as_uri()}?mode={mode}"
    try:
        connection = Connection(partial(sqlite3.connect, uri, uri=True, isolation_level=None, timeout=BUSY_S), 64)
        await connection
    except sqlite3.Error as error:
        raise _explained(error, path) from error
    try:
        yield connection
    finally:
        with anyio.CancelScope(shield=True):
            await connection.close()


_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, then retry",
    sqlite3.SQLITE_READONLY: "it is read-only; check its permissions, then retry",
    sqlite3.SQLITE_BUSY: "another program has it locked; close that program, then retry",
    sqlite3.SQLITE_LOCKED: "another program has it locked; close that program, then retry",
    sqlite3.SQLITE_IOERR: "the disk reports an error; check it, then retry",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that it exists and its permissions",
}


def _concerns_the_file(error: Exception) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and (code in _CAUSES or code in _DAMAGED)


def _explained(error: BaseException, path: Path | None) -> BaseException:
    if not isinstance(error, sqlite3.Error):
        return error
    name = path or "the database"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED:
        return NotADatabase(f"{name} is damaged ({error}); it was left as it is. Restore a copy of it")
    if code in _CAUSES:
        return StoreUnavailable(f"{name} cannot be used: {_CAUSES[code]} ({error})")
    return error
