"""Reads that nobody waits for end, and give their connection back."""

import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from phaseflow.store.connection import Connection
from phaseflow.store.database import Database
from phaseflow.store.read_pool import ReadPool, _StoppableRead, open_readers
from phaseflow.store.stop_deadline import StopDeadline
from phaseflow.store.transaction import Transaction
from tests.stopwatch import fail_soon

LONG = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000) SELECT count(*) FROM n"


async def cut_off(
    database: Database, began: threading.Event, read: Callable[[Transaction], None], kind: str = "search"
) -> None:
    """Cancel a search, or another kind of read, once it has begun."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(getattr(database, kind), read)
        assert await anyio.to_thread.run_sync(began.wait, 60)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["search", "read_long"])
async def test_a_read_that_is_cancelled_stops(database: Database, kind: str) -> None:
    began = threading.Event()

    def endless(tx: Transaction) -> None:
        began.set()
        tx.run(LONG)

    for _ in range(3):  # more than there are connections
        began.clear()
        await cut_off(database, began, endless, kind)
    with fail_soon(5):
        assert await getattr(database, kind)(lambda tx: tx.value("SELECT 1")) == 1


async def test_nothing_follows_the_statement_that_was_stopped(database: Database) -> None:
    began, stopped = threading.Event(), threading.Event()
    reads = []

    def several(tx: Transaction) -> None:
        began.set()
        assert stopped.wait(60)
        reads.append(tx.value("SELECT 1"))

    await cut_off(database, began, several)
    stopped.set()
    with fail_soon(5):
        await database.search(lambda tx: None)
        await database.search(lambda tx: None)
    assert reads == []


async def test_what_is_of_use_to_others_is_read_to_its_end(database: Database) -> None:
    began, ended = threading.Event(), threading.Event()

    def shared(tx: Transaction) -> None:
        with tx.to_the_end():
            began.set()
            time.sleep(0.05)  # until it was cancelled, and some more
            tx.run("SELECT 1")
            ended.set()
        tx.run(LONG)

    await cut_off(database, began, shared)
    assert await anyio.to_thread.run_sync(ended.wait, 60)
    with fail_soon(5):
        await database.search(lambda tx: None)
        await database.search(lambda tx: None)


class StoppedAtItsEnd(sqlite3.Connection):
    """Each read is stopped just as its transaction is rolled back."""

    reading: _StoppableRead
    interrupts = 0

    def rollback(self) -> None:
        self.reading.stop()
        super().rollback()

    def interrupt(self) -> None:
        self.interrupts += 1
        super().interrupt()


async def test_the_end_of_a_transaction_is_not_interrupted() -> None:
    opened: list[StoppedAtItsEnd] = []

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(":memory:", factory=StoppedAtItsEnd, isolation_level=None))
        return opened[0]

    def read(tx: Transaction) -> None:
        assert isinstance(tx, _StoppableRead)
        opened[0].reading = tx

    connection = Connection(connect)
    await connection.open()
    try:
        await ReadPool(Path("kb.db"), [connection], StopDeadline()).read_while_wanted(read)
        assert not opened[0].interrupts
        assert await connection.call(lambda bare: not bare.in_transaction)
    finally:
        await connection.leave(StopDeadline())


async def test_a_read_that_is_cancelled_before_its_thread_gets_to_it_never_begins(database: Database) -> None:
    is_busy, go_on = threading.Event(), threading.Event()
    begun = list[int]()

    def busy(tx: Transaction) -> None:
        is_busy.set()
        assert go_on.wait(60)

    async with open_readers(database.path) as readers:
        for read in (readers.read(busy), readers.read_while_wanted(lambda tx: begun.append(1))):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_awaited, read)
                await anyio.wait_all_tasks_blocked()
                assert await anyio.to_thread.run_sync(is_busy.wait, 60)
                tasks.cancel_scope.cancel()
        go_on.set()
        await readers.read(lambda tx: None)
        assert begun == []
        await readers.read_while_wanted(lambda tx: begun.append(2))
        assert begun == [2]


async def _awaited(read: Awaitable[None]) -> None:
    await read
