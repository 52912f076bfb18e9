"""What another program sees of a file: whether someone writes, whether someone reads, what is in it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio

from phaseflow.store.database import Database
from phaseflow.store.leftovers import Leftovers
from phaseflow.store.transaction import Row, Transaction
from phaseflow.store.upkeep import FreeSpace
from tests.stopwatch import fail_soon


def select(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows that are committed."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def nobody_writes(path: Path) -> bool:
    """No write transaction is open."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.rollback()
    return True


def nobody_reads(path: Path) -> bool:
    """No read transaction pins the log of writes."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


async def until_nobody_reads(path: Path) -> None:
    """The statement of a reader that was cancelled goes on in its thread, and ends soon."""
    with fail_soon(20):
        while not nobody_reads(path):  # noqa: ASYNC110  # seen from outside only
            await anyio.sleep(0.01)


def put(tx: Transaction, name: str) -> str:
    """One row that can be counted."""
    tx.run("INSERT INTO models (fingerprint) VALUES (?)", name)
    return name


def names(path: Path) -> list[str]:
    """The rows of ``put``, in order."""
    return [row[0] for row in select(path, "SELECT fingerprint FROM models ORDER BY id")]


class Steps(Transaction):
    """Counts the steps of SQLite: what a statement costs, whatever the machine does."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.taken = 0
        self._bare = connection

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        self._bare.set_progress_handler(self._count, 10)
        try:
            return super().rows(sql, *parameters)
        finally:
            self._bare.set_progress_handler(None, 0)

    def _count(self) -> int:
        self.taken += 10
        return 0


class Plans(Transaction):
    """Keeps how each statement is carried out."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.lines: list[str] = []

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        self.lines += [row[3] for row in super().rows(f"EXPLAIN QUERY PLAN {sql}", *parameters)]
        return super().rows(sql, *parameters)


async def until_removed(database: Database) -> None:
    """Until the janitor of a running engine has nothing left to remove."""
    with fail_soon(20):
        while await database.read(lambda tx: Leftovers(tx).are_there()):  # noqa: ASYNC110  # nobody tells when
            await anyio.sleep(0.01)


async def until_merged(database: Database) -> None:
    """Until the janitor of a running engine, none of whose jobs run, has cleared the words of what was removed."""
    await until_removed(database)
    with fail_soon(20):
        while await database.read(lambda tx: FreeSpace(tx).has_removed_words()):  # noqa: ASYNC110  # nobody tells when
            await anyio.sleep(0.01)


async def until_given_back(database: Database) -> None:
    """Until it has made the file shorter by the pages that are free then, too."""
    await until_merged(database)
    with fail_soon(20):
        while await database.read(lambda tx: FreeSpace(tx).has_free_pages()):  # noqa: ASYNC110  # nobody tells when
            await anyio.sleep(0.01)
