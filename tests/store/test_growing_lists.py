"""What a page of a listing, and a count, costs does not grow with what it is not about."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from phaseflow.store import document_counts
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.document_status import View
from phaseflow.store.session import open_session
from phaseflow.store.states import EntryState
from phaseflow.store.taken_out import OnTheirWay
from tests.store.probes import Steps
from tests.store.stock import NOW, stock
from tests.store.test_document_status import Known, fill

PAGE = 50
PAGES = 40
KNOWN = (1, "recipe", "mark")


async def test_a_page_costs_the_same_at_the_end_of_a_long_list(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    trust = (made.key, *KNOWN)
    with closing(sqlite3.connect(path)) as connection:
        costs = []
        for page in range(PAGES):
            tx = Steps(connection)
            uris = [f"{page:03}/{n}" for n in range(PAGE)]
            Frontier(tx, made.seq).add([(uri, 1, "stamp", 0) for uri in uris], trust, at=NOW)
            read = Frontier(tx, made.seq).open_page("default", 10, trust)
            Frontier(tx, made.seq).settle([entry.id for entry in read], EntryState.LOADED)
            costs.append(tx.taken)
    assert costs[-1] < 1.3 * costs[1]


MANY = 2000
A_ROW = 90
"""Steps for a document that two indexes name, which are merged; judging one takes 145."""


@pytest.mark.parametrize(
    "each",
    [
        Known("", requested=True),
        Known("", requested=True, live=True),
        Known("", entry=1, in_hand=2),
        Known("", failed=True),
        Known("", live=True),
    ],
    ids=["pushed", "retried", "in hand", "failed", "searchable"],
)
async def test_documents_that_are_alike_are_counted_without_judging_each(path: Path, each: Known) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    known = [replace(each, uri=f"{n:04}", skipped=n % 100 == 0) for n in range(MANY)]
    fill(path, made, known, is_cancelled=False, rebuilding=False)
    with closing(sqlite3.connect(path)) as connection:
        tx = Steps(connection)
        counts = document_counts.counts(tx, View.now(tx, made.key, 1))
    assert counts.skipped == MANY // 100
    assert sum(counts.model_dump().values()) == MANY
    assert tx.taken < A_ROW * MANY


async def test_taking_a_few_documents_out_costs_the_same_beside_many(path: Path) -> None:
    """Each batch that is loaded looks for those that were skipped or deleted meanwhile."""
    async with open_session(path) as database:
        made = await stock(database)
    costs = []
    with closing(sqlite3.connect(path)) as connection:
        for more in (10, MANY):
            connection.executemany(
                "INSERT INTO documents (kb_id, job_seq, index_version, uri, title, media_type, content_hash, recipe,"
                " state) VALUES (?, ?, 1, ?, '', '', '', '', 4)",
                [(made.key, made.seq, f"{more}/{n}") for n in range(more)],
            )
            tx = Steps(connection)
            OnTheirWay(tx, made.key).take_out_some(["a", "b", "c"])
            costs.append(tx.taken)
    assert costs[0] == costs[1]
