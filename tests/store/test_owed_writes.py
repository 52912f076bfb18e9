"""What is told of a file that could not be written: until all that is owed is stored, and not a moment longer."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from phaseflow.domain.errors import StoreUnavailable
from phaseflow.store import database as databases
from phaseflow.store import failpoints
from phaseflow.store.database import Database
from tests.stopwatch import fail_soon
from tests.store.probes import names, put


class Disk:
    """Takes nothing so many times."""

    def __init__(self) -> None:
        self.refuses = 0
        failpoints.install("store.before_commit", self._take)

    def _take(self) -> None:
        if self.refuses:
            self.refuses -= 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.setattr(databases, "STORE_RETRY_S", 0.0)
    yield Disk()
    failpoints.clear()


def told(database: Database) -> str | None:
    """Why the file cannot be written."""
    return database.unwritable


async def refuse(database: Database, disk: Disk) -> None:
    disk.refuses = 1
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await database.write(partial(put, name="lost"))


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_write_that_is_owed_is_made_again_until_it_is_stored_and_then_nothing_is_told(
    database: Database, path: Path, disk: Disk, times: int
) -> None:
    disk.refuses, heard = times, list[str | None]()

    def failed(error: StoreUnavailable) -> None:
        assert "disk is full" in str(error)
        heard.append(told(database))

    with fail_soon(10):
        assert await database.until_stored(lambda: database.write(partial(put, name="a")), failed) == "a"
    assert len(heard) == times
    assert all(heard)
    assert (names(path), told(database)) == (["a"], None)
    await database.check()


async def test_whoever_hears_of_a_failure_may_give_the_write_up(database: Database, disk: Disk) -> None:
    disk.refuses, heard = 9, list[StoreUnavailable]()

    def failed(error: StoreUnavailable) -> None:
        heard.append(error)
        if len(heard) == 3:
            raise error

    with fail_soon(10), pytest.raises(StoreUnavailable):
        await database.until_stored(lambda: database.write(partial(put, name="a")), failed)
    assert (len(heard), told(database)) == (3, None)


async def test_the_success_of_another_says_nothing_while_a_write_is_owed(database: Database, disk: Disk) -> None:
    with database.owed():
        await database.check()  # none has failed yet
        await refuse(database, disk)
        with database.owed():
            await database.write(partial(put, name="small"))
            assert told(database) is not None
        assert told(database) is not None
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await database.check()
        assert disk.refuses == 0
    assert told(database) is None
    await database.check()


async def test_a_file_that_could_not_be_written_is_asked_again_where_nothing_is_owed(
    database: Database, path: Path, disk: Disk
) -> None:
    await refuse(database, disk)
    disk.refuses = 1
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await database.check()
    assert told(database) is not None
    await database.check()
    assert (names(path), told(database)) == ([], None)
    await refuse(database, disk)
    await database.write(partial(put, name="a"))
    assert told(database) is None


async def test_after_a_stop_a_write_is_given_up_soon(
    database: Database, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.refuses, heard = 99, list[StoreUnavailable]()
    monkeypatch.setattr(database.ending, "is_over", lambda since: len(heard) == 4)
    with fail_soon(10), pytest.raises(StoreUnavailable):
        await database.until_stored(lambda: database.write(partial(put, name="a")), heard.append)
    assert len(heard) == 4
