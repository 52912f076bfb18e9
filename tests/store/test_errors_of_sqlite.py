"""What errors of SQLite mean, by their codes, plain and extended; and how long a lock of others is waited for."""

import re
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from phaseflow.domain.errors import NotADatabase, StoreUnavailable
from phaseflow.store import connection
from phaseflow.store.connection import BUSY_S, begin_immediate, concerns_the_file, explained, explaining, holds
from phaseflow.store.read_pool import open_readers
from phaseflow.store.session import open_session
from phaseflow.store.transaction import Transaction
from tests.matrices import together

EXTENDED = [0, 1 << 8, 2 << 8, 3 << 8, 255 << 8]
"""What SQLite puts before a code to say more: the code is the last byte."""


def fails(code: int | None, text: str = "it said so") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize("more", EXTENDED)
def test_a_code_says_what_to_do_however_much_more_is_said_with_it(more: int, tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    for code, advice in connection._CAUSES.items():
        error = fails(code | more)
        assert concerns_the_file(error)
        found = explained(error, path)
        assert isinstance(found, StoreUnavailable)
        assert str(found) == f"{path} cannot be used: {advice} (it said so)"
        assert found.reason == advice
    for code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        error = fails(code | more)
        assert concerns_the_file(error)
        assert isinstance(explained(error, path), NotADatabase)
    for code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG):
        error = fails(code | more)
        assert not concerns_the_file(error)
        assert explained(error, path) is error


def test_an_error_without_a_code_and_one_of_another_kind_are_left_as_they_are() -> None:
    for error in (fails(None), ValueError("no")):
        assert not concerns_the_file(error)
        assert explained(error, Path("/kb.db")) is error


@together("text", ["no such table: kbs", "no such column: sources", "no such index: of_kbs"])
def test_a_file_with_other_tables_is_called_neither_damaged_nor_ours(text: str) -> None:
    error = fails(sqlite3.SQLITE_ERROR, text)
    assert concerns_the_file(error)
    with (
        pytest.raises(NotADatabase, match=r"/kb.db has other tables .*left as it is. Ingest into another"),
        explaining(Path("/kb.db")),
    ):
        raise error


@pytest.mark.parametrize("text", ["malformed JSON", "Could not decode to UTF-8 column"])
def test_a_file_that_holds_what_we_have_not_written_is_damaged_under_any_code(text: str) -> None:
    error = fails(sqlite3.SQLITE_ERROR, text)
    assert concerns_the_file(error)
    with pytest.raises(NotADatabase, match=r"is damaged .*left as it is. Restore"), explaining(Path("/kb.db")):
        raise error


class Locked(sqlite3.Connection):
    """A connection to a file that another program has locked for so many tries."""

    def __init__(self, code: int, tries: float = float("inf")) -> None:
        super().__init__(":memory:")
        self.code = code
        self.tries = tries
        self.begun = 0

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        assert sql == "BEGIN IMMEDIATE"
        self.begun += 1
        if self.begun <= self.tries:
            raise fails(self.code)
        return self.cursor()


@pytest.fixture
def _seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second with each look."""
    times = count(1000.0)
    monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: next(times)))


@pytest.mark.parametrize("more", EXTENDED)
@pytest.mark.usefixtures("_seconds")
def test_a_lock_is_waited_for_so_long_and_no_longer(more: int) -> None:
    busy = sqlite3.SQLITE_BUSY | more
    with closing(Locked(busy, tries=BUSY_S)) as patient, closing(Locked(busy)) as endless:
        begin_immediate(patient, lambda: False)
        with pytest.raises(sqlite3.OperationalError):
            begin_immediate(endless, lambda: False)
    assert patient.begun == endless.begun == BUSY_S + 1


@pytest.mark.parametrize(("code", "is_over"), [(sqlite3.SQLITE_BUSY, True), (sqlite3.SQLITE_FULL, False)])
@pytest.mark.usefixtures("_seconds")
def test_what_is_no_lock_and_what_nobody_waits_for_is_tried_once(code: int, is_over: bool) -> None:
    with closing(Locked(code)) as tried, pytest.raises(sqlite3.OperationalError):
        begin_immediate(tried, lambda: is_over)
    assert tried.begun == 1


def test_a_part_is_found_in_any_case_of_any_alphabet_and_nowhere_else() -> None:
    assert holds("Straße/ÄRGER.md", "STRASSE")
    assert holds("a", "")
    assert not holds("part", "a part")


@pytest.mark.parametrize("error", [ValueError("no time"), fails(sqlite3.SQLITE_CORRUPT), fails(None, "malformed JSON")])
async def test_whoever_reads_a_damaged_file_is_told_which_it_is(path: Path, error: Exception) -> None:
    async with open_session(path):
        pass

    def read(_: Transaction) -> None:
        raise error

    async with open_readers(path) as reads:
        with pytest.raises(NotADatabase, match=f"^{re.escape(str(path))} is damaged"):
            await reads.read(read)
