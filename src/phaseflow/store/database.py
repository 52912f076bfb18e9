"""One SQLite file: one writer, readers apart.

What is to be read or written is a plain function of a transaction. It runs whole in the thread of its connection: each
trip there costs 40 µs, and a hundred times that while other threads want the GIL. Only the writer writes, inside its
``BEGIN IMMEDIATE``; requests that wait at the same time share one, a savepoint each. Whoever asks may be cancelled: the
request is carried out all the same, and ``then`` is called right after the commit: nothing is committed and not told.
"""

import math
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio

from phaseflow.background_task import OwnLoop
from phaseflow.domain.errors import EngineStopped, NotADatabase, StoreError, StoreUnavailable
from phaseflow.store import failpoints, upkeep
from phaseflow.store.connection import Connection, begin_immediate, explained, explaining
from phaseflow.store.document_changes import DocumentChanges
from phaseflow.store.open_file import OpenFile
from phaseflow.store.read_pool import ReadPool
from phaseflow.store.schema import APPLICATION_ID
from phaseflow.store.stop_deadline import PARTS_S, StopDeadline
from phaseflow.store.transaction import Transaction
from phaseflow.store.write_queue import WriteQueue
from phaseflow.store.write_request import Write, WriteRequest, in_turn

T = TypeVar("T")

STORE_RETRY_S = 0.5
"""How often those that must write try again while the file cannot be written."""
_SHARED_S = 0.02
"""Requests that wait share a transaction for so long; the others come next, after the verbs that came meanwhile."""
IDLE_S = 1.0
"""After so long without a request the WAL is given back, and memory."""
WRITING_S = 0.1
"""So long after a transaction, another is taken to follow: searches then go one at a time."""


class Database:
    """A file that is open for writing, by the only process that may. Made by ``session.open_database``.

    ``unwritable`` says why the last write was not stored, without a path, or one that is owed; None when all were.
    ``ending``: when whoever waits for the file gives up, once the engine stops.
    """

    def __init__(
        self, path: Path, file: OpenFile, writer: Connection, readers: Sequence[ReadPool], ending: StopDeadline
    ) -> None:
        self.path = path
        self.ending = ending
        self._writer = writer
        self._reads, self._long_reads, self._looks, self._searches = readers
        self._loop = OwnLoop()
        self._file = file
        self._synchronous = ""
        self.unwritable: str | None = None
        self.document_changes = DocumentChanges()
        self._searching = anyio.Lock(fast_acquire=True)
        self._written_at = float("-inf")
        self._owed = 0
        self._queue = WriteQueue()

    @property
    def queue_length(self) -> int:
        """Requests that wait for the writer."""
        return len(self._queue)

    @property
    def is_away(self) -> bool:
        """Whether the file has been deleted, renamed or replaced, and not been put back."""
        return self._file.gone() is not None

    async def read(self, read: Callable[[Transaction], T], *, one_statement: bool = False) -> T:
        """Run ``read`` on a consistent view, which never waits for a write; quicker where it is ``one_statement``.

        Cancelling leaves it to end unseen. Raises EngineStopped once the database is closed.
        """
        return await self._explained(self._reads.read(read, one_statement=one_statement))

    async def read_long(self, read: Callable[[Transaction], T]) -> T:
        """The same for what may take long: no ``read`` waits for it. Cancelling stops it: the next one waits for it."""
        return await self._explained(self._long_reads.read_while_wanted(read))

    async def look_for_search(self, read: Callable[[Transaction], T]) -> T:
        """The same for what a search looks up first: no ``read`` waits for it, and it waits for no other search."""
        return await self._explained(self._looks.read(read))

    async def search(self, read: Callable[[Transaction], T]) -> T:
        """The same for a search, on connections of their own. Cancelling stops it. While a job writes, one at a time:
        two are no quicker beside it, and statuses and verbs would wait twice as long for the interpreter."""
        if time.monotonic() - self._written_at > WRITING_S:
            return await self._explained(self._searches.read_while_wanted(read))
        async with self._searching:
            return await self._explained(self._searches.read_while_wanted(read))

    async def _explained(self, reading: Awaitable[T]) -> T:
        """What SQLite makes of a file that was taken away is a fault of the disk: the true cause is named instead."""
        try:
            return await reading
        except StoreError as error:
            if gone := self._file.gone():
                raise StoreUnavailable(f"{self.path} {gone}", f"the file {gone}") from error
            raise
        except (TypeError, ValueError) as error:
            # Statements that were prepared for our tables may go on for a while on what was written over them.
            if self._file.is_of_another(APPLICATION_ID):
                raise NotADatabase(
                    f"{self.path} was overwritten with another database; restore a copy of it"
                ) from error
            raise

    async def write(self, write: Write[T], *, durable: bool = False, then: Callable[[T], None] | None = None) -> T:
        """Run ``write`` in a transaction and return what it returned, after the commit.

        ``durable``: on the disk, not only safe from a crash of the process. ``then`` is called with the result by the
        writer, in the order of the commits, before this returns; it must not raise. When ``write`` raises, nothing of
        it is stored. Cancelling: the request, once taken, is carried out and told. Raises StoreUnavailable when the
        file cannot be written, WrongEventLoop.
        """
        self._loop.check()
        request = WriteRequest(write, durable, then)
        await self._queue.put(request)
        await request.done
        if request.error is not None:
            raise request.error
        return request.value  # type: ignore[return-value]  # set by the write that succeeded

    async def check(self) -> None:
        """Raise StoreUnavailable when the file is gone or damaged, a write is owed, or writing fails again."""
        if self._owed and self.unwritable is not None:
            raise StoreUnavailable(f"{self.path} cannot be used: {self.unwritable}", self.unwritable)
        if self.unwritable is not None:
            await self.write(_write_nothing_new)
        else:
            await self._writer.call(lambda _: self._check_file())

    @contextmanager
    def owed(self) -> Iterator[None]:
        """A write that has failed is tried again in this block, which ends with its success, or is cancelled.

        Meanwhile the success of another, which may need less room, says nothing.
        """
        self._owed += 1
        try:
            yield
        finally:
            self._owed -= 1
            if not self._owed:
                self.unwritable = None

    async def give_back_wal(self) -> bool:
        """Bring the WAL into the file and cut it to nothing; False when somebody reads what is still needed of it."""
        return await self._writer.call(self._cut_wal)

    async def rebuild(self) -> None:
        """Write the whole file anew (``upkeep.rebuild``); other writes wait. Raises StoreUnavailable without room."""
        with explaining(self.path):
            await self._writer.call(upkeep.rebuild)

    async def until_stored(self, write: Callable[[], Awaitable[T]], failed: Callable[[StoreUnavailable], None]) -> T:
        """Make a write that is owed, or a read that a run cannot do without, again until the file can be used; what it
        returned.

        ``failed`` hears of each attempt that was not stored; what it raises gives up. Cancelling does too, and a stop
        soon after it has begun, with the last error.
        """
        try:
            return await write()
        except StoreUnavailable as error:
            failed(error)
        since = anyio.current_time()
        with self.owed():
            while True:
                await self.ending.sleep(STORE_RETRY_S)
                try:
                    return await write()
                except StoreUnavailable as error:
                    failed(error)
                    if self.ending.is_over(since):
                        raise

    def close(self) -> None:
        """Take no more requests; ``serve`` ends when those that wait are done."""
        self._queue.close()

    async def serve(self) -> None:
        """The writer: takes requests until ``close``. Ends with no transaction open."""
        async with self._queue:
            while (first := await self._next()) is not None:
                with self.ending.limit(PARTS_S) as patience:
                    waiting = [first]
                    while waiting:
                        # Those that wait share one transaction.
                        waiting = in_turn([*waiting, *self._queue.waiting()])
                        waiting = await self._carry_out(waiting)
                if patience.cancelled_caught:
                    return  # the file keeps its thread; those who waited have been told

    async def _next(self) -> WriteRequest[Any] | None:
        """The next request, None at the end. After a while without, the WAL is brought in and memory given back."""
        try:
            with anyio.move_on_after(IDLE_S):
                return await self._queue.next()
            with self.ending.limit(PARTS_S):
                await self.give_back_wal()
                await self._writer.call(lambda _: upkeep.give_back_memory())
            return await self._queue.next()
        except anyio.EndOfStream:
            return None

    async def _carry_out(self, group: list[WriteRequest[Any]]) -> list[WriteRequest[Any]]:
        """One transaction; the requests for which it had no time."""
        try:
            done = await self._writer.call(lambda connection: self._commit(connection, group))
        except BaseException:
            self._leave(group)
            raise
        self._written_at = time.monotonic()
        # In the order of the transaction; who has asked is woken after everybody else has been told.
        self.document_changes.tell()
        for request in group[:done]:
            request.settle()
        failpoints.hit("store.told")
        return group[done:]

    def _leave(self, group: list[WriteRequest[Any]]) -> None:
        """The writer ends in the middle (its loop is being closed): nobody waits for an answer that will not come."""
        for request in (*group, *self._queue.waiting(math.inf)):
            request.error = EngineStopped(
                "the engine ended before it could answer; look at the status before asking again"
            )
            request.answered()

    def _commit(self, connection: sqlite3.Connection, group: list[WriteRequest[Any]]) -> int:
        """In the writer's thread: the whole transaction in one hop. How many requests it has carried out, or failed."""
        done, stored = 0, False
        try:
            self._begin(connection, durable=any(request.durable for request in group))
            # By time, not by number: a verb waits behind all of these. The first one always goes.
            until_s = time.monotonic() + _SHARED_S
            while done < len(group) and (done == 0 or time.monotonic() < until_s):
                group[done].run(connection, alone=len(group) == 1)
                done += 1
            failpoints.hit("store.before_commit")
            connection.commit()
            stored = True
            if not self._owed:
                self.unwritable = None
            failpoints.hit("store.after_commit")
        except (sqlite3.Error, StoreUnavailable) as error:
            failure = explained(error, self.path)
            if isinstance(failure, StoreUnavailable):
                self.unwritable = failure.reason or "its file cannot be used"
            # All, begun or not: the transaction or the file has failed, no request (its errors stay in its savepoint).
            for request in group:
                request.error = request.error or failure
            done = len(group)
        finally:
            if connection.in_transaction:
                connection.rollback()
            if not stored:
                for request in reversed(group):
                    request.roll_back_effects()
            for request in group:
                request.end()
        return done

    def _cut_wal(self, connection: sqlite3.Connection) -> bool:
        # else it would go into a file without a name, and be gone from the one that has it
        return self._file.fault() is None and upkeep.cut_wal(connection)

    def _begin(self, connection: sqlite3.Connection, *, durable: bool) -> None:
        self._check_file()
        synchronous = "FULL" if durable else "NORMAL"
        if synchronous != self._synchronous:
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        begin_immediate(connection, lambda: self.ending.is_asked)

    def _check_file(self) -> None:
        """SQLite would go on writing into a file that has lost its name, or its beginning."""
        if fault := self._file.fault():
            raise StoreUnavailable(f"{self.path} {fault}", f"the file {fault}")


def _write_nothing_new(tx: Transaction) -> None:
    """A write that needs room like any other, and changes nothing."""
    tx.run(f"PRAGMA user_version = {tx.value('PRAGMA user_version')}")
