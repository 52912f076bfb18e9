"""A connection to the file: how it is opened, and what its errors mean."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiosqlite

from phaseflow.domain.errors import EngineStopped, NotADatabase, StoreUnavailable
from phaseflow.domain.globs import glob
from phaseflow.loop_answer import LoopAnswer
from phaseflow.store.open_file import connected
from phaseflow.store.stop_deadline import CLOSE_S, PARTS_S, StopDeadline

T = TypeVar("T")

BUSY_S = 5.0
"""How long a statement waits for a lock of another program, before it says that the file is locked."""
WRITER_BUSY_S = 0.2
"""The same for the writer, which looks in between whether the engine stops."""


class Connection(aiosqlite.Connection):
    """A connection that takes a whole transaction at once, and whose thread may outlive the event loop.

    aiosqlite runs single statements in its thread; a transaction of ten would make ten trips, each through the event
    loop and the interpreter lock (measured: a third of the writer's time). And it answers to the loop of the caller,
    which may be closed by then: a stop that had to give up on a disk that stands still ended in a traceback. Both go
    by what it keeps for itself, so ``tests/test_private_parts.py`` says what breaks when that changes. Opened once, and
    closed once by whoever has opened it.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, 64)
        self._is_closed = False
        self._thread.name = "phaseflow-sqlite"

    async def open(self) -> None:
        """Start the thread and connect. Raises what connecting raises. Cancelling leaves it to the thread."""
        answer = self._asked(self._open)  # where that raises, no thread is left that nobody ends
        self._thread.start()
        await answer

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` with the bare connection in its thread. Raises EngineStopped once it is closed.

        Cancelling does not stop it: what comes next waits for its end.
        """
        if self._connection is None or self._is_closed:
            raise EngineStopped("the database was closed")
        return await self._answered(partial(work, self._connection))

    async def leave(self, ending: StopDeadline) -> None:
        """Take no more calls, and wait until those on their way are done and the file is closed.

        What still runs there at the deadline is interrupted. What cannot be is left to the thread, which closes the
        file after it, even when the loop is no more, and prints nothing.
        """
        if self._connection is None:  # it could not be opened, or is still being opened: then the thread closes it
            self._end().cancel()
            return
        with ending.limit(CLOSE_S):
            with ending.limit(PARTS_S) as patience:
                await self.call(lambda _: None)
            if patience.cancelled_caught and self._connection is not None:
                self._connection.interrupt()
            await self._end()

    def _end(self) -> "asyncio.Future[None]":
        self._is_closed = True
        return self._asked(self._close)

    async def _answered(self, call: Callable[[], T]) -> T:
        return await self._asked(call)

    def _asked(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        answer = LoopAnswer[T]()

        def run() -> None:
            answer.of(call)()

        self._tx.put_nowait((None, run))  # None: aiosqlite's thread leaves the answer to us
        return answer.future

    def _open(self) -> None:
        self._connection = self._connector()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.stop()  # in its thread, which has no loop: it ends after this, and answers to nobody


@asynccontextmanager
async def open_connection(
    path: Path, mode: str, *pragmas: str, ending: StopDeadline | None = None
) -> AsyncIterator[Connection]:
    """Open an absolute path for the length of the block; ``mode`` is ``rw``, ``ro`` or ``ro&immutable=1``.

    ``pragmas`` are set first. That reads the file, so it meets a full disk or a damaged file, which is explained.
    What still runs there at the deadline ``ending`` is interrupted, and what cannot be is left to its thread.
    """
    uri = f"{path.as_uri()}?mode={mode}"
    with connected(path):
        async with _opened(path, uri, pragmas, ending or StopDeadline()) as connection:
            yield connection


@asynccontextmanager
async def _opened(path: Path, uri: str, pragmas: tuple[str, ...], ending: StopDeadline) -> AsyncIterator[Connection]:
    connection = Connection(partial(_connect, uri, pragmas))
    try:
        try:
            await connection.open()
        except sqlite3.Error as error:
            raise explained(error, path) from error
        yield connection
    finally:
        await connection.leave(ending)


def _connect(uri: str, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    bare = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)
    try:
        bare.create_function("holds", 2, holds, deterministic=True)
        bare.create_function("globs", 2, _globs, deterministic=True)
        for pragma in pragmas:
            bare.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        bare.close()
        raise
    return bare


def holds(text: str, part: str) -> bool:
    """The SQL function of that name: a text contains another, in any case. SQLite itself knows ASCII only."""
    return part.casefold() in text.casefold()


def _globs(text: str, pattern: str) -> bool:
    """The SQL function of that name: a text matches a glob."""
    return glob(pattern)(text)


_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_OTHER_TABLES = ("no such table", "no such column", "no such index")
_FOREIGN = (*_OTHER_TABLES, "Could not decode to UTF-8", "malformed JSON")
"""How SQLite puts it, under the code of any mistake, when tables are gone or hold what was not written by us."""
_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, then retry",
    sqlite3.SQLITE_READONLY: "it is read-only; check its permissions, then retry",
    sqlite3.SQLITE_BUSY: "another program has it locked; close that program, then retry",
    sqlite3.SQLITE_LOCKED: "another program has it locked; close that program, then retry",
    sqlite3.SQLITE_IOERR: "the disk reports an error, or is full; check it and its free space, then retry",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that it exists and its permissions",
}


_UNWRITABLE = "it cannot be written; check its permissions and attributes (`lsattr`), then retry"


def begin_immediate(connection: sqlite3.Connection, is_over: Callable[[], bool]) -> None:
    """Begin to write. While another program has the file locked, wait for ``BUSY_S``, unless it is over before."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            is_busy = (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY
            if not is_busy or is_over() or time.monotonic() > give_up_at:
                raise
        else:
            return


def concerns_the_file(error: Exception) -> bool:
    """It is about the file, not about the statement."""
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and (code in _CAUSES or is_damage(error))


def is_damage(error: sqlite3.Error) -> bool:
    """The file is not what it was when it was opened: overwritten in place, by something else or by rubbish."""
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _DAMAGED or str(error).startswith(_FOREIGN)


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Errors of SQLite in this block are explained, see ``explained``."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(error, path) from error


def other_tables(name: object, what: object) -> NotADatabase:
    """A sound file of the right version without some of our tables or rows."""
    return NotADatabase(
        f"{name} has other tables than this phaseflow makes ({what}): a version in development made it, or another"
        " program has changed it; it was left as it is. Ingest into another file (--db), or restore a copy of this one"
    )


def explained(error: BaseException, path: Path) -> BaseException:
    """An error of SQLite about the file as one of ours, which says what to do; any other as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if str(error).startswith(_OTHER_TABLES):
        return other_tables(path, error)
    if is_damage(error):
        return NotADatabase(f"{path} is damaged ({error}); it was left as it is. Restore a copy of it")
    if code == sqlite3.SQLITE_IOERR and path.exists() and not os.access(path, os.W_OK):
        return StoreUnavailable(f"{path} cannot be used: {_UNWRITABLE} ({error})", _UNWRITABLE)
    if code in _CAUSES:
        return StoreUnavailable(f"{path} cannot be used: {_CAUSES[code]} ({error})", _CAUSES[code])
    return error
