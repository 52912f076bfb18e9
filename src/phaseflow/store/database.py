"""One SQLite file: one writer, readers apart.

What is to be read or written is a plain function of a transaction. It runs whole in the thread of its connection: each
trip there costs 40 µs, and a hundred times that while other threads want the GIL. Only the writer writes, inside its
``BEGIN IMMEDIATE``; requests that wait at the same time share one, a savepoint each. Whoever asks may be cancelled: the
request is carried out all the same, and its ``then`` is called right after the commit, so that nothing is committed and
never told.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from phaseflow.domain.errors import EngineStopped, StoreUnavailable
from phaseflow.store import faults
from phaseflow.store.connection import Connection, concerns_the_file, explained, open_connection
from phaseflow.store.reads import ReadPool, open_readers
from phaseflow.store.transaction import Transaction

T = TypeVar("T")
Write = Callable[[Transaction], T]

READERS = 3
"""Connections for reading; a status read waits for no two searches."""
INBOX = 64
"""Requests that may wait for the writer before whoever asks has to."""
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

    def __init__(self, path: Path, writer: Connection, reads: ReadPool) -> None:
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

    async def read(self, read: Callable[[Transaction], T]) -> T:
        """Run ``read`` on a consistent view, which never waits for a write, and return what it returned.

        Cancelling leaves it to end unseen. Raises EngineStopped once the database is closed.
        """
        return await self._reads.read(read)

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
                with anyio.CancelScope(shield=True):
                    await self._carry_out([first, *self._waiting()])

    def _waiting(self) -> list[_Request[Any]]:
        """The requests that wait, so that they share one transaction."""
        waiting: list[_Request[Any]] = []
        while len(waiting) < INBOX and self._asked.statistics().current_buffer_used:
            waiting.append(self._asked.receive_nowait())
        return waiting

    async def _carry_out(self, group: list[_Request[Any]]) -> None:
        try:
            await self._writer.call(lambda connection: self._commit(connection, group))
        except BaseException:
            self._leave(group)
            raise
        for request in group:
            request.settle()
        faults.reach("store.told")

    def _leave(self, group: list[_Request[Any]]) -> None:
        """The writer ends in the middle (its loop is being closed): nobody waits for an answer that will not come."""
        while self._asked.statistics().current_buffer_used:
            group.append(self._asked.receive_nowait())
        for request in group:
            request.error = EngineStopped(
                "the engine ended before it could answer; look at the status before asking again"
            )
            request.done.set()

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
            failure = explained(error, self.path)
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
        request.value = request.write(Transaction(connection))
    except Exception as error:
        if concerns_the_file(error):
            raise
        request.error = error  # handed to whoever asked
        if alone:
            connection.rollback()
        else:
            connection.execute("ROLLBACK TO request")
    if not alone:
        connection.execute("RELEASE request")


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open a file (absolute path) that ``schema.prepare`` has accepted. The caller has its lock and runs ``serve``."""
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(open_connection(path, "rw"))
        await writer.execute_fetchall("PRAGMA foreign_keys = ON")
        await writer.execute_fetchall(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        await writer.execute_fetchall("PRAGMA cache_size = -16384")
        yield Database(path, writer, await stack.enter_async_context(open_readers(path, READERS)))
