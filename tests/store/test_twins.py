"""Addresses of the same bytes at the end of a crawl."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
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


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        (None, {"b": 2}, {"b": 2}),
        ({"a": 1}, None, {"a": 1}),
        ({"a": 1, "b": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ],
    ids=["to the new uri", "to the old one", "to both"],
)
async def test_what_was_given_to_a_document_goes_along_with_it(
    database: Database, old: dict[str, int] | None, new: dict[str, int] | None, kept: dict[str, int]
) -> None:
    made = await stock(database)
    await same(database, made, "name/long", ["name"])
    await made.note("name")

    def give(tx: Transaction) -> None:
        for uri, metadata in (("name/long", old), ("name", new)):
            if metadata is not None:
                Catalogue(tx, made.key).set_metadata(uri, json.dumps(metadata), replaces=False, at=NOW)

    await database.write(give)
    await settle(database, made)
    [(uri, metadata)] = select(database.path, "SELECT uri, metadata FROM catalogue")
    assert (uri, json.loads(metadata)) == ("name", kept)


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


PUSH = "INSERT INTO pushed (kb_id, uri, size, digest, pushed_at) VALUES ('{key}', '%s', 1, '', '')"
OBSTACLES = {
    "a version under the other uri": "there is one under {short}",
    "on its way": "{long} is on its way",
    "the other on its way": "{short} is on its way",
    "failed": "INSERT INTO failures VALUES ('{key}', '{long}', {seq}, 'embedding', '', '', 1, '')",
    "asked for": "INSERT INTO requests (kb_id, uri, requested_at) VALUES ('{key}', '{long}', '')",
    "the other asked for": "INSERT INTO requests (kb_id, uri, requested_at) VALUES ('{key}', '{short}', '')",
    "pushed": PUSH % "{long}",
    "the other pushed": PUSH % "{short}",
    "skipped": "UPDATE catalogue SET skipped = 1 WHERE kb_id = '{key}' AND uri = '{long}'",
    "the other skipped": "UPDATE catalogue SET skipped = 1 WHERE kb_id = '{key}' AND uri = '{short}'",
    "once pushed": "UPDATE catalogue SET source = 'push' WHERE kb_id = '{key}' AND uri = '{long}'",
    "the other once pushed": "UPDATE catalogue SET source = 'push' WHERE kb_id = '{key}' AND uri = '{short}'",
}
"""What keeps a document at its uri, though there is a shorter one with the same bytes."""
OF_THE_CRAWL = {
    "not read": "UPDATE job_entries SET state = 3 WHERE job_seq = {seq} AND uri = '{long}'",
    "the other read": "UPDATE job_entries SET state = 1 WHERE job_seq = {seq} AND uri = '{short}'",
    "another source": "UPDATE job_entries SET source = 'wiki' WHERE job_seq = {seq} AND uri = '{short}'",
}


async def hinder(made: Stock, name: str, sql: str) -> None:
    """Arrange it for the document ``name/long`` that has the same bytes as ``name``."""
    long, short = f"{name}/long", name
    if sql.startswith("there is"):
        await made.publish((short, "another text"))
    elif sql.endswith("on its way"):
        await made.load((sql.format(long=long, short=short).removesuffix(" is on its way"), "another text"))
    else:
        await made.database.write(lambda tx: tx.run(sql.format(key=made.key, seq=made.seq, long=long, short=short)))


async def test_a_document_keeps_its_uri_while_anything_else_is_known_of_either(database: Database) -> None:
    made, other = await stock(database), await stock(database, "other", "other job")
    names = ["free", *OBSTACLES, *OF_THE_CRAWL]
    for name in names:
        await made.note(name)
        await same(database, made, f"{name}/long", [name])
    for name, sql in {**OBSTACLES, **OF_THE_CRAWL}.items():
        await hinder(made, name, sql)
    await other.publish(("free/long", "the same bytes everywhere"))
    await other.note("free", "free/long")
    for sql in OBSTACLES.values():  # of another knowledge base, and so none
        await hinder(other, "free", sql)
    await settle(database, made, limit=100)
    sql = f"SELECT uri FROM documents WHERE kb_id = '{made.key}' AND state = 4 AND uri LIKE '%/long'"
    assert {uri.removesuffix("/long") for (uri,) in select(database.path, sql)} == {*OBSTACLES, *OF_THE_CRAWL}
    assert select(database.path, f"SELECT uri FROM catalogue WHERE kb_id = '{made.key}' AND uri LIKE 'free%'") == [
        ("free",)
    ]
    sql = f"SELECT uri FROM documents WHERE kb_id = '{other.key}' AND state = 4 ORDER BY uri"
    assert select(database.path, sql) == [("free",), ("free/long",)]


def own(made: Stock, uri: str) -> list[str]:
    """Which others a document names, in what it says of itself and in what holds of it."""
    sql = f"SELECT own_metadata, metadata FROM documents WHERE kb_id = '{made.key}' AND uri = '{uri}'"
    [both] = select(made.database.path, sql)
    [names, effective] = [json.loads(each).get("also_at", []) for each in both]
    assert names == effective
    return list(names)


async def test_documents_name_the_others_once_and_take_them_back(database: Database) -> None:
    made, other = await stock(database), await stock(database, "other", "other job")
    for each in (made, other):
        for uri in ("a", "b"):
            await each.publish((uri, f"{uri} says this"))
            await each.note(uri)

    async def note(*twins: tuple[str, str]) -> None:
        await database.write(lambda tx: Twins(tx).note(made.target, twins))

    assert not await database.read(lambda tx: Twins(tx).are_named(made.key))
    await note(("a", "x"), ("a", "y"), ("a", "x"), ("b", "z"))
    assert (own(made, "a"), own(made, "b"), own(other, "a")) == (["x", "y"], ["z"], [])
    assert await database.read(lambda tx: Twins(tx).are_named(made.key))
    assert not await database.read(lambda tx: Twins(tx).are_named(other.key))
    [number] = select(database.path, f"SELECT id FROM documents WHERE kb_id = '{made.key}' AND uri = 'a'")[0]
    await database.write(lambda tx: Twins(tx).take_back([("x", number)]))
    assert (own(made, "a"), own(made, "b")) == (["y"], ["z"])
    await database.write(lambda tx: Twins(tx).take_back([("y", number)]))
    assert select(database.path, f"SELECT own_metadata, metadata FROM documents WHERE id = {number}") == [("{}", "{}")]


def _misnamed(
    tx: Transaction, made: Stock, uncertain: Sequence[str], after: tuple[str, int], limit: int
) -> tuple[list[tuple[str, int]], tuple[str, int] | None]:
    return Twins(tx).misnamed(made.key, made.seq, uncertain, after, limit)


async def test_an_address_is_misnamed_once_a_crawl_has_found_it_to_be_something_else(database: Database) -> None:
    made = await stock(database)
    await made.publish(("a", "the one text"), ("b", "the other text"))
    await made.note("a", "b")
    states = {
        "listed": EntryState.LISTED, "own": EntryState.LOADED, "same": EntryState.UNCHANGED,
        "failed": EntryState.FAILED, "left": EntryState.SKIPPED, "over": EntryState.GONE,
    }  # fmt: skip
    named = [*states, "its own twin", "not listed", "twin of another"]

    def crawl(tx: Transaction) -> None:
        Twins(tx).note(made.target, [("a", uri) for uri in named])
        tx.many(
            "INSERT INTO job_entries (job_seq, uri, state) VALUES (?, ?, ?)",
            [(made.seq, uri, state) for uri, state in states.items()],
        )
        for uri, twin in (("its own twin", "a"), ("twin of another", "b")):
            sql = "INSERT INTO job_entries (job_seq, uri, state, twin) VALUES (?, ?, ?, ?)"
            tx.run(sql, made.seq, uri, EntryState.SKIPPED, twin)
        tx.run("INSERT INTO job_entries (job_seq, uri, state) VALUES (?, 'not listed', 0)", made.seq + 1)

    await stock(database, "other", "other job")
    await database.write(crawl)

    async def pages(uncertain: Sequence[str], limit: int) -> list[str]:
        found: list[str] = []
        after: tuple[str, int] | None = ("", 0)
        while after is not None:
            look = partial(_misnamed, made=made, uncertain=uncertain, after=after, limit=limit)
            some, after = await database.read(look)
            found += [uri for uri, _ in some]
        return found

    certain = ["not listed", "over", "own", "same", "twin of another"]
    assert await pages([], 3) == await pages([], 100) == certain
    assert await pages(["default"], 3) == certain[1:]


async def test_what_a_source_has_is_told_page_by_page(database: Database) -> None:
    made, older = await stock(database), await stock(database, "other", "other job")
    for each in (made, older):
        await each.publish(*((uri, f"{uri} in {each.kb_id}") for uri in "abcd"))
        await each.load(*((uri, f"new {uri} in {each.kb_id}") for uri in "cde"))
    await database.write(lambda tx: tx.run("UPDATE documents SET source = 'wiki' WHERE uri = 'c'"))
    await database.write(lambda tx: tx.run("UPDATE documents SET job_seq = 77 WHERE uri = 'd' AND state = 1"))
    await database.write(lambda tx: tx.run("UPDATE documents SET state = 0 WHERE uri = 'e' AND kb_id = ?", older.key))
    sql = f"SELECT uri, content_hash FROM documents WHERE kb_id = '{made.key}' AND state ="
    digests = {state: dict(select(database.path, f"{sql} {state}")) for state in (1, 4)}

    async def searchable(after: str) -> tuple[list[str], str | None]:
        found, end = await database.read(lambda tx: Twins(tx).documents_of(made.key, "default", after, 2))
        assert [digest.hex() for _, digest in found] == [digests[4][uri] for uri, _ in found]
        return [uri for uri, _ in found], end

    async def in_hand(of: Stock, after: str) -> tuple[list[str], str | None]:
        found, end = await database.read(lambda tx: Twins(tx).documents_in_hand(of.key, of.seq, "default", after, 1))
        return [uri for uri, _ in found], end

    assert [await searchable(after) for after in ("", "b", "d")] == [(["a", "b"], "b"), (["d"], "d"), ([], None)]
    assert [await in_hand(made, after) for after in ("", "c", "e")] == [([], "c"), (["e"], "e"), ([], None)]
    assert await in_hand(older, "c") == ([], None), "what is being stored is not known yet"


async def test_a_twin_is_read_in_any_event_unless_another_source_has_it(database: Database) -> None:
    older, made = await stock(database, job_id="older"), await stock(database)

    def crawl(tx: Transaction) -> int:
        tx.many(
            "INSERT INTO job_entries (job_seq, uri, depth, source) VALUES (?, ?, ?, ?)",
            [(made.seq, "x", 3, "wiki"), (made.seq, "y", 4, "site"), (made.seq, "there", 5, "site")],
        )
        tx.many(
            "INSERT INTO displaced_entries (job_seq, source, holder, uri) VALUES (?, ?, 'other', ?)",
            [(made.seq, "wiki", "held"), (made.seq, "site", "b"), (made.seq, "wiki", "c"), (older.seq, "wiki", "a")],
        )
        return Twins(tx).mark_same(made.seq, [("a", "x"), ("held", "x"), ("b", "x"), ("c", "y"), ("there", "y")])

    assert await database.write(crawl) == 3
    rows = select(database.path, "SELECT uri, depth, source, twin FROM job_entries ORDER BY uri")
    assert rows == [
        ("a", 3, "wiki", None), ("b", 3, "wiki", None), ("c", 4, "site", None), ("there", 5, "site", None),
        ("x", 3, "wiki", "b"), ("y", 4, "site", "there"),
    ]  # fmt: skip


async def test_another_crawl_of_the_same_addresses_stays_as_it_is(database: Database) -> None:
    made, older = await stock(database), await stock(database, job_id="other job")
    await same(database, made, "page", ["p", "pp"])
    before = [(older.seq, uri, 4, twin) for uri, twin in (("p", "pp"), ("page", "p"), ("pp", "page"))]
    await database.write(
        lambda tx: tx.many("INSERT INTO job_entries (job_seq, uri, state, twin) VALUES (?, ?, ?, ?)", before)
    )
    assert await settle(database, made) == ["p", "page", "pp"]
    sql = "SELECT job_seq, uri, state, twin FROM job_entries WHERE job_seq"
    assert select(database.path, f"{sql} = {older.seq} ORDER BY uri") == before
    assert [row[1:] for row in select(database.path, f"{sql} = {made.seq} ORDER BY uri")] == [
        ("p", EntryState.LOADED, None), ("page", EntryState.SKIPPED, "p"), ("pp", EntryState.SKIPPED, "page"),
    ]  # fmt: skip
    assert select(database.path, "SELECT uri FROM documents") == [("p",)]
