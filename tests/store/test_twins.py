"""Addresses of the same bytes at the end of a crawl."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from phaseflow.store.catalogue import Catalogue
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.database import Database
from phaseflow.store.passages import Scope
from phaseflow.store.session import open_session
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction
from phaseflow.store.twins import Twins
from tests.store.full_text import check_consistent, containing
from tests.store.probes import select
from tests.store.stock import NOW, Stock, stock


async def test_addresses_that_name_one_another_in_a_circle_come_to_an_end(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    with closing(sqlite3.connect(path)) as connection:
        tx = Transaction(connection)
        Frontier(tx, made.seq).add([(uri, 1, "stamp", 0) for uri in ("t", "t/i")], None, at=NOW)
        read = Frontier(tx, made.seq).open_page("default", 10, (made.key, 1, "recipe", "mark"))
        Frontier(tx, made.seq).settle([entry.id for entry in read], EntryState.SKIPPED)
        Twins(tx).mark_same(made.seq, [("t", "t/i"), ("t/i", "t")])
        assert Twins(tx).settle(Scope(made.key, 1), made.seq, "", 2, NOW) == "t/i"
        assert Twins(tx).settle(Scope(made.key, 1), made.seq, "t/i", 2, NOW) is None


async def same(database: Database, made: Stock, document: str, others: Sequence[str]) -> None:
    """The crawl has found the bytes of a document that search sees under other uris, too."""
    await made.publish((document, "the same bytes everywhere"))

    def work(tx: Transaction) -> None:
        tx.many(
            "INSERT INTO job_entries (job_seq, uri, state) VALUES (?, ?, ?)",
            [(made.seq, document, EntryState.LOADED), *((made.seq, uri, EntryState.SKIPPED) for uri in others)],
        )
        Catalogue(tx, made.key).note("default", [document], NOW)
        Twins(tx).mark_same(made.seq, [(document, uri) for uri in others])

    await database.write(work)


async def settle(database: Database, made: Stock, limit: int = 1) -> list[str]:
    """Where each page ended."""
    pages, after = [], ""
    while (
        following := await database.write(
            lambda tx, after=after: Twins(tx).settle(made.scope, made.seq, after, limit, NOW)  # type: ignore[misc]  # bound in the loop
        )
    ) is not None:
        after = following
        pages.append(after)
    return pages


@pytest.mark.parametrize(
    ("document", "others", "final"),
    [
        ("page", ["a/page", "p"], "p"),
        ("b", ["a", "c"], "a"),  # of the same length, by alphabet
        ("a", ["b", "aa"], "a"),
        ("long/name", ["longer/name", "name/long"], "long/name"),
        ("ccc", ["bb", "aaaa", "b"], "b"),
    ],
)
async def test_a_document_takes_the_shortest_uri_and_the_first_by_alphabet(
    database: Database, document: str, others: list[str], final: str
) -> None:
    made = await stock(database)
    await same(database, made, document, others)
    assert [uri for uri in await settle(database, made) if uri != document] == sorted(others)
    assert select(database.path, "SELECT uri FROM documents") == [(final,)]
    assert select(database.path, "SELECT uri FROM catalogue") == [(final,)]
    ((own,),) = select(database.path, "SELECT own_metadata FROM documents")
    known = json.loads(own).get("also_at", [])
    assert final not in known
    assert len(known) == len(set(known))
    assert (document in known) == (document != final)
    states = dict(select(database.path, "SELECT uri, state FROM job_entries"))
    assert [uri for uri, state in states.items() if state == EntryState.LOADED] == [final]
    assert await database.read(lambda tx: containing(tx, made.scope, f'name : "{final}"'))
    await database.write(check_consistent)


@pytest.mark.parametrize(("known", "kept"), [(0, 0), (49, 49), (50, 49), (60, 49)])
async def test_a_document_names_no_more_than_so_many_of_its_other_uris(
    database: Database, known: int, kept: int
) -> None:
    made = await stock(database)
    await same(database, made, "page", ["p"])
    also = json.dumps({"also_at": ["p", *(f"also{n}" for n in range(known))]})
    await database.write(lambda tx: tx.run("UPDATE documents SET own_metadata = ?", also))
    await settle(database, made)
    ((own,),) = select(database.path, "SELECT own_metadata FROM documents")
    assert json.loads(own)["also_at"] == [*(f"also{n}" for n in range(kept)), "page"]


async def test_a_document_that_somebody_waits_for_keeps_its_uri(database: Database) -> None:
    made = await stock(database)
    await same(database, made, "page", ["p"])
    await database.write(
        lambda tx: tx.run("INSERT INTO requests (kb_id, uri, anew, requested_at) VALUES (?, 'page', 0, '')", made.key)
    )
    await settle(database, made)
    assert select(database.path, "SELECT uri FROM documents") == [("page",)]
