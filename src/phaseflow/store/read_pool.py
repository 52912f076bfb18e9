"""Reading beside the writer: a few connections, each lent for one snapshot, or until nobody waits for it any more."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

import anyio

from phaseflow.background_task import OwnLoop
from phaseflow.domain.errors import EngineStopped, NotADatabase, StoreUnavailable
from phaseflow.store.connection import Connection, explained, open_connection
from phaseflow.store.stop_deadline import PARTS_S, StopDeadline
from phaseflow.store.transaction import Row, Transaction

T = TypeVar("T")

_CLOSE_S = 2.0
"""How long closing waits for readers: longer than any of them takes."""

_STEPS = 1_000_000
"""Steps of SQLite between two looks, some 20 ms: each takes the interpreter lock."""


class ReadPool:
    """A few read-only connections, each lent for the length of one read."""

    def __init__(self, path: Path, connections: list[Connection], ending: StopDeadline) -> None:
        self._path = path
        self._ending = ending
        self._free = list(connections)
        self._count = len(connections)
        self._lent = anyio.Semaphore(self._count, fast_acquire=True)
        self._closed = anyio.Event()
        self._loop = OwnLoop()

    async def read(self, read: Callable[[Transaction], T], *, one_statement: bool = False) -> T:
        """Run ``read`` in a read transaction on the next free connection. Raises EngineStopped after ``close``,
        WrongEventLoop.

        ``one_statement``: it needs no transaction, since a statement sees one snapshot. Each of the two that begin and
        end one would wait for the interpreter lock like any other.

        Cancelling does not stop what is on its way to the connection's thread: it runs to the end of its transaction,
        and whoever has the connection next comes after it.
        """
        self._loop.check()
        connection = await self._lend()
        try:
            return await connection.call(lambda bare: _snapshot(bare, read, self._path, begin=not one_statement))
        finally:
            self._free.append(connection)
            self._lent.release()

    async def read_while_wanted(self, read: Callable[[Transaction], T]) -> T:
        """The same, but cancelling stops it: the statement that runs is interrupted, and no other follows."""
        self._loop.check()
        connection = await self._lend()
        begun: list[_StoppableRead] = []
        is_unwanted = Event()

        def stoppable(bare: sqlite3.Connection) -> T:
            begun.append(_StoppableRead(bare))
            if is_unwanted.is_set():  # else whoever sets it stops what has begun
                raise _ReadStopped
            with begun[0].watched():
                return _snapshot(bare, read, self._path, begun[0])

        try:
            return await connection.call(stoppable)
        except anyio.get_cancelled_exc_class():
            is_unwanted.set()
            for each in begun:
                each.stop()
            raise
        finally:
            self._free.append(connection)
            self._lent.release()

    async def close(self) -> None:
        """Lend no more, and wait until those that are lent are back, but not for ever."""
        self._closed.set()
        with self._ending.limit(PARTS_S), anyio.move_on_after(_CLOSE_S):
            for _ in range(self._count):
                await self._lent.acquire()

    async def _lend(self) -> Connection:
        if not self._closed.is_set():
            await self._lent.acquire()
            # Asked again after the wait: ``close`` takes all the permits, and whoever gets one after that must give it
            # back instead of a connection that is about to be closed.
            if not self._closed.is_set():
                return self._free.pop()
            self._lent.release()
        raise EngineStopped("the database was closed")


def _snapshot(
    connection: sqlite3.Connection,
    read: Callable[[Transaction], T],
    path: Path,
    tx: Transaction | None = None,
    *,
    begin: bool = True,
) -> T:
    tx = tx or Transaction(connection)
    try:
        if begin:
            connection.execute("BEGIN")
        return read(tx)
    except sqlite3.Error as error:
        raise explained(error, path) from error
    except ValueError as error:  # of a time, a word, JSON: what was written was right
        raise NotADatabase(
            f"{path} is damaged: it holds what phaseflow has not written ({type(error).__name__}); it was left as"
            " it is. Restore a copy of it"
        ) from error
    finally:
        # An interrupt would also stop the rollback, and whoever has the connection next could not begin.
        tx.hold_off_stop()
        if connection.in_transaction:
            connection.rollback()


@asynccontextmanager
async def open_readers(path: Path, count: int = 1, ending: StopDeadline | None = None) -> AsyncIterator[ReadPool]:
    """Read a file beside the process that has it. Read-only connections neither write nor checkpoint.

    Raises StoreUnavailable where the file cannot be read as it is.
    """
    mode, ending = reading_mode(path, may_write=os.access(path.parent, os.W_OK)), ending or StopDeadline()
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(open_connection(path, mode, ending=ending)) for _ in range(count)]
        reads = ReadPool(path, opened, ending)
        stack.push_async_callback(reads.close)
        yield reads


def reading_mode(path: Path, *, may_write: bool) -> str:
    """How SQLite is to open a file that is only read.

    In WAL mode it needs the file ``-shm`` beside the database. Where it could not be made, because the folder may not
    be written (a read-only mount, a backup), the file is read as one that nobody changes: then nobody can have it open.
    Raises StoreUnavailable when that would miss what stands in the WAL.
    """
    beside = {name: path.with_name(path.name + name) for name in ("-wal", "-shm")}
    if may_write or beside["-shm"].exists():
        return "ro"
    if beside["-wal"].exists() and beside["-wal"].stat().st_size:
        raise StoreUnavailable(
            f"{path} cannot be read here: {beside['-wal'].name} holds changes that are not in it yet, and its folder"
            " cannot be written. Copy both files to a folder that you can write, and read them there"
        )
    return "ro&immutable=1"


class _ReadStopped(Exception):  # nobody sees it: who waited has gone
    """Nobody waits for this read any more."""


class _StoppableRead(Transaction):
    """A transaction that another thread can stop: the statement that runs, and those that would follow."""

    __slots__ = ("_is_held_off", "_is_stopped", "_lock")

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._lock = Lock()
        self._is_stopped = False
        self._is_held_off = False

    def stop(self) -> None:
        """Interrupt what runs, unless that is brought to its end."""
        with self._lock:
            self._is_stopped = True
            if not self._is_held_off:
                self._connection.interrupt()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """In this block SQLite itself asks from time to time: an interrupt just before a statement begins is lost."""
        self._connection.set_progress_handler(lambda: self._is_stopped and not self._is_held_off, _STEPS)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None, 0)

    @contextmanager
    def to_the_end(self) -> Iterator[None]:
        """What is read in this block is of use to others, too."""
        self.hold_off_stop()
        try:
            yield
        finally:
            with self._lock:
                self._is_held_off = False

    def hold_off_stop(self) -> None:
        with self._lock:  # whoever is about to interrupt has done so after it
            self._is_held_off = True

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        if self._is_stopped and not self._is_held_off:
            raise _ReadStopped
        return super().rows(sql, *parameters)
