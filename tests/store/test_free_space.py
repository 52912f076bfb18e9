"""How the file gives back what it does not use."""

import sqlite3
from contextlib import closing
from pathlib import Path

from phaseflow.store import schema
from phaseflow.store.transaction import Transaction
from phaseflow.store.upkeep import FREE_PAGES, FreeSpace


def test_a_step_gives_back_as_many_pages_as_it_says_and_the_last_one_what_is_left(tmp_path: Path) -> None:
    database = tmp_path / "kb.db"
    schema.prepare(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        tx = Transaction(connection)
        page = tx.value("PRAGMA page_size")
        tx.run("CREATE TABLE filling (content BLOB)")
        tx.many("INSERT INTO filling VALUES (zeroblob(?))", [(page,)] * (FREE_PAGES + 10))
        tx.run("DROP TABLE filling")
        free = tx.value("PRAGMA freelist_count")
        assert FREE_PAGES < free < 3 * FREE_PAGES
        assert FreeSpace(tx).give_back_some()
        assert tx.value("PRAGMA freelist_count") == free - FREE_PAGES
        while FreeSpace(tx).give_back_some():
            pass
        assert tx.value("PRAGMA freelist_count") == 0
