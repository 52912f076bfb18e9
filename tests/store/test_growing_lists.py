"""What one page of a listing costs does not grow with what was listed before."""

import sqlite3
from contextlib import closing
from pathlib import Path

from phaseflow.store import crawl_frontier
from phaseflow.store.session import open_session
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Row, Transaction
from tests.store.stock import NOW, stock

PAGE = 50
PAGES = 40
KNOWN = (1, "recipe", "mark")


class Steps(Transaction):
    """Counts the steps of SQLite."""

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
        self.taken += 1
        return 0


async def test_a_page_costs_the_same_at_the_end_of_a_long_list(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    trust = (made.key, *KNOWN)
    with closing(sqlite3.connect(path)) as connection:
        costs = []
        for page in range(PAGES):
            tx = Steps(connection)
            uris = [f"{page:03}/{n}" for n in range(PAGE)]
            crawl_frontier.add(tx, made.seq, [(uri, 1, "stamp", 0) for uri in uris], trust, at=NOW)
            read = crawl_frontier.open_page(tx, made.seq, "default", 10, trust)
            crawl_frontier.settle(tx, made.seq, [entry.id for entry in read], EntryState.LOADED)
            costs.append(tx.taken)
    assert costs[-1] < 1.3 * costs[1]
