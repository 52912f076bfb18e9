"""Addresses of the same bytes at the end of a crawl."""

import sqlite3
from contextlib import closing
from pathlib import Path

from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.passages import Scope
from phaseflow.store.session import open_session
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction
from phaseflow.store.twins import Twins
from tests.store.stock import NOW, stock


async def test_addresses_that_name_one_another_in_a_circle_come_to_an_end(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    with closing(sqlite3.connect(path)) as connection:
        tx = Transaction(connection)
        Frontier(tx, made.seq).add([(uri, 1, "stamp", 0) for uri in ("t", "t/i")], None, at=NOW)
        read = Frontier(tx, made.seq).open_page("default", 10, (made.key, 1, "recipe", "mark"))
        Frontier(tx, made.seq).settle([entry.id for entry in read], EntryState.SKIPPED)
        Twins(tx).mark_same(made.seq, [("t", "t/i"), ("t/i", "t")])
        assert Twins(tx).settle(Scope(made.key, 1), made.seq, "", 16, NOW) == "t/i"
        assert Twins(tx).settle(Scope(made.key, 1), made.seq, "t/i", 16, NOW) is None
