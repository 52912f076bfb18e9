"""What of the full-text index is merged now, and what is left to the hour."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from phaseflow.store import upkeep
from phaseflow.store.connection import WRITER_BUSY_S
from phaseflow.store.schema import schema_sql
from phaseflow.store.transaction import Transaction
from phaseflow.store.upkeep import FreeSpace, cut_wal
from tests.matrices import together


@pytest.fixture
def tx(monkeypatch: pytest.MonkeyPatch) -> Iterator[Transaction]:
    monkeypatch.setattr(upkeep, "FEW_PAGES", 15)
    monkeypatch.setattr(upkeep, "WORTH_IT", 10)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema_sql())
        yield Transaction(connection)


def table(tx: Transaction, number: int, pages: int, removed: int) -> None:
    tx.run("INSERT INTO index_tables (shard, removed) VALUES (?, ?)", number, removed)
    tx.run(f"CREATE TABLE passages_{number}_idx (page)")
    tx.many(f"INSERT INTO passages_{number}_idx VALUES (?)", [(n,) for n in range(pages)])


@pytest.mark.parametrize(
    ("pages", "removed", "any_removed", "worth_it"),
    [
        (15, 0, False, False),
        (15, 1, True, True),  # few pages: whatever was removed
        (14, 1, True, True),
        (16, 1, True, False),
        (40, 3, True, False),
        (40, 4, True, True),  # ten times the removed are the pages
        (41, 4, True, False),
        (40, 400, True, True),
    ],
)
def test_a_table_is_merged_where_it_is_small_or_much_was_removed(
    tx: Transaction, pages: int, removed: int, any_removed: bool, worth_it: bool
) -> None:
    table(tx, 1, pages, removed)
    assert FreeSpace(tx).has_removed_words() == any_removed
    assert FreeSpace(tx).has_removed_words(worth_it=True) == worth_it


def test_one_that_is_not_worth_it_hides_none_that_is(tx: Transaction) -> None:
    table(tx, 1, 40, 1)
    table(tx, 2, 1, 1)
    assert upkeep._table_to_merge(tx, worth_it=False) == 1
    assert upkeep._table_to_merge(tx, worth_it=True) == 2


def test_a_file_is_as_large_as_its_pages_and_what_is_free_is_a_part_of_them(tx: Transaction) -> None:
    tx.run("CREATE TABLE filling (content BLOB)")
    tx.many("INSERT INTO filling VALUES (zeroblob(?))", [(10_000,)] * 20)
    tx.run("DROP TABLE filling")
    page, count, free = (tx.value(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count"))
    assert free > 40
    size = FreeSpace(tx).size()
    assert (size.total, size.unused) == (page * count, page * free)


class Checkpoint(sqlite3.Connection):
    """Answers a checkpoint as it is told to, and notes what it waits for a lock."""

    busy: int | None = 0
    timeouts: tuple[str, ...] = ()

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        if "busy_timeout" in sql:
            self.timeouts = (*self.timeouts, sql)
        if "wal_checkpoint" in sql:
            if self.busy is None:
                raise sqlite3.OperationalError("locked")
            return super().execute(f"SELECT {self.busy}, 1, 1")
        return super().execute(sql)


@together(("busy", "is_cut"), [(0, True), (1, False), (None, False)])
def test_the_log_of_writes_is_cut_where_nobody_reads_and_nobody_is_waited_for(busy: int | None, is_cut: bool) -> None:
    with closing(sqlite3.connect(":memory:", factory=Checkpoint)) as connection:
        connection.busy = busy
        assert cut_wal(connection) == is_cut
    assert connection.timeouts == ("PRAGMA busy_timeout = 0", f"PRAGMA busy_timeout = {WRITER_BUSY_S * 1000:.0f}")
