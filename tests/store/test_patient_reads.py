"""Reads of a run, while the file is away and otherwise."""

import sqlite3
from collections.abc import Callable

import pytest

from phaseflow.domain.errors import StoreUnavailable
from phaseflow.store import database as database_module
from phaseflow.store.database import Database
from phaseflow.store.patient_reads import PatientReads
from phaseflow.store.transaction import Transaction


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "STORE_RETRY_S", 0.01)


class Failing:
    """A read that fails so many times, as SQLite does where the file is not what it was, and then answers."""

    def __init__(self, times: int, before_the_last: Callable[[], object] = lambda: None) -> None:
        self.left = times
        self.asked = 0
        self._before_the_last = before_the_last

    def __call__(self, tx: Transaction) -> int:
        self.asked += 1
        if self.left:
            self.left -= 1
            if not self.left:
                self._before_the_last()
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return int(tx.value("SELECT 7"))


@pytest.mark.parametrize("way", ["read", "read_long"])
async def test_a_read_waits_for_a_file_that_is_away(database: Database, way: str) -> None:
    away = database.path.rename(database.path.with_name("away.db"))
    read, told = Failing(9, lambda: away.rename(database.path)), []
    reads = PatientReads(database, lambda: told.append(database.unwritable))
    assert await getattr(reads, way)(read) == 7
    assert read.asked == 10
    assert len(told) == 9
    assert all("deleted or replaced" in str(why) for why in told[:-1])
    assert database.unwritable is None


async def test_a_read_that_failed_the_moment_before_is_made_again(database: Database) -> None:
    assert await PatientReads(database, lambda: None).read(Failing(2)) == 7


async def test_a_read_of_a_file_that_is_there_is_given_up(database: Database) -> None:
    read = Failing(9)
    with pytest.raises(StoreUnavailable, match="disk"):
        await PatientReads(database, lambda: None).read(read)
    assert read.asked == 3


async def test_a_read_of_a_file_that_is_away_ends_with_the_engine(database: Database) -> None:
    away = database.path.rename(database.path.with_name("away.db"))
    read = Failing(10**6)
    database.ending.begin()
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        await PatientReads(database, lambda: None).read(read)
    away.rename(database.path)
