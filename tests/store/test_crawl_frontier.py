"""What the sources of a job have, beside another job, and a knowledge base with the same documents."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import pytest

from phaseflow.store.crawl_frontier import Frontier, KnownVersions, ListedEntry
from phaseflow.store.database import Database
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import NOW, Stock, stock

T = TypeVar("T")
URIS = ("a", "b", "c", "d")


async def crawl(made: Stock, step: Callable[[Frontier], T]) -> T:
    return await made.database.write(lambda tx: step(Frontier(tx, made.seq)))


async def execute(made: Stock, sql: str, *values: object) -> None:
    await made.database.write(lambda tx: tx.run(sql, *values))


async def enter(made: Stock, *rows: tuple[str, EntryState, str, int], job: int = 0) -> None:
    """Entries of (uri, state, source, depth)."""
    await made.database.write(
        lambda tx: tx.many(
            "INSERT INTO job_entries (job_seq, uri, state, source, depth) VALUES (?, ?, ?, ?, ?)",
            [(job or made.seq, *row) for row in rows],
        )
    )


def entries(made: Stock, columns: str = "state") -> dict[str, Any]:
    """By uri; of one column its value."""
    sql = f"SELECT uri, {columns} FROM job_entries WHERE job_seq = {made.seq} ORDER BY uri"
    return {row[0]: row[1] if len(row) == 2 else row[1:] for row in select(made.database.path, sql)}


@pytest.fixture
async def older(database: Database) -> Stock:
    return await stock(database, job_id="older")


@pytest.fixture
async def other(database: Database, older: Stock) -> Stock:
    """A knowledge base with the same documents; nothing may change what is known of its crawl."""
    found = await stock(database, "other", "other job")
    await found.publish(*((uri, f"{uri} there") for uri in URIS))
    await found.note(*URIS)
    await execute(found, "UPDATE documents SET stamp = 'now' WHERE kb_id = ?", found.key)
    return found


@pytest.fixture
async def made(database: Database, other: Stock) -> Stock:
    return await stock(database)


@pytest.fixture(autouse=True)
async def the_others_stay_as_they_are(older: Stock, other: Stock, made: Stock) -> AsyncIterator[None]:
    for state, each in ((EntryState.LISTED, other), (EntryState.GONE, older)):
        await enter(each, *((uri, state, "default", 9) for uri in URIS))
    others = f"SELECT * FROM job_entries WHERE job_seq <> {made.seq}"
    catalogue = f"SELECT * FROM catalogue WHERE kb_id = '{other.key}'"
    before = [select(made.database.path, sql) for sql in (others, catalogue)]
    yield
    assert [select(made.database.path, sql) for sql in (others, catalogue)] == before


async def test_only_what_is_searchable_and_the_same_is_unchanged(made: Stock) -> None:
    changes = {
        "same": "stamp = 'now'",
        "marked": "stamp = 'now', recipe = 'recipe+'",
        "another recipe": "stamp = 'now', recipe = 'recipe2'",
        "another stamp": "stamp = 'then'",
        "no stamp": "stamp = NULL",
        "another source": "stamp = 'now', source = 'wiki'",
        "another index": "stamp = 'now', index_version = 2",
        "not searchable": "stamp = 'now', state = 3",
    }
    await made.publish(*((uri, f"{uri} here") for uri in [*changes, "read", "not listed"]))
    for uri, change in changes.items():
        await execute(made, f"UPDATE documents SET {change} WHERE kb_id = ? AND uri = ?", made.key, uri)
    await execute(made, "UPDATE documents SET stamp = 'now' WHERE uri IN ('read', 'not listed')")
    await enter(made, ("read", EntryState.LOADED, "default", 0))
    trust = (made.key, 1, "recipe", "+")
    found: list[tuple[str, int | None, str | None, int]] = [(uri, 1, "now", 0) for uri in [*changes, "read", "a"]]
    assert await crawl(made, lambda frontier: frontier.add(found, trust, at=NOW)) == (len(changes) + 1, 2)
    unchanged = [uri for uri, state in entries(made).items() if state == EntryState.UNCHANGED]
    assert unchanged == ["marked", "same"]
    assert entries(made)["read"] == EntryState.LOADED
    assert await crawl(made, lambda frontier: frontier.add([("x", 1, None, 0)], None, at=NOW)) == (1, 0)


async def test_a_shorter_way_counts_for_what_the_same_source_has_not_read_yet(made: Stock) -> None:
    await enter(
        made, ("a", EntryState.LISTED, "default", 3), ("b", EntryState.LOADED, "default", 3),
        ("c", EntryState.LISTED, "wiki", 3), ("d", EntryState.LISTED, "default", 1),
    )  # fmt: skip
    found: list[tuple[str, int | None, str | None, int]] = [(uri, 1, None, 2) for uri in URIS]
    assert await crawl(made, lambda frontier: frontier.add(found, None, at=NOW)) == (0, 0)
    assert entries(made, "depth, source") == {
        "a": (2, "default"), "b": (3, "default"), "c": (3, "wiki"), "d": (1, "default"),
    }  # fmt: skip


async def test_what_comes_back_is_noted_where_it_was_gone_and_its_source_holds_it(made: Stock) -> None:
    await made.note("a", "b", "c", "held")
    await execute(made, "UPDATE catalogue SET source = 'wiki' WHERE kb_id = ? AND uri = 'held'", made.key)
    await enter(
        made, ("b", EntryState.GONE, "default", 0), ("c", EntryState.LOADED, "default", 0),
        ("e", EntryState.GONE, "default", 0), ("f", EntryState.GONE, "wiki", 0),
        ("s", EntryState.SKIPPED, "default", 0),
    )  # fmt: skip
    before = entries(made)
    uris = ["a", "b", "c", "d", "held"]
    assert await crawl(made, lambda frontier: frontier.add_returned("default", uris)) == 2
    assert entries(made) == {**before, "a": EntryState.RETURNED, "b": EntryState.RETURNED}
    await crawl(made, lambda frontier: frontier.add_found_again("default", ["c", "e", "f", "s", "new"], NOW))
    again = dict.fromkeys(("a", "b", "e", "s", "new"), EntryState.RETURNED)
    assert entries(made) == {**before, **again}
    assert await crawl(made, lambda frontier: frontier.among(["a", "d", "new"])) == {"a", "new"}
    assert await crawl(made, lambda frontier: frontier.count()) == len(entries(made))
    await execute(made, "UPDATE job_entries SET state = ? WHERE job_seq = ?", EntryState.SKIPPED, made.seq)
    assert await crawl(made, lambda frontier: frontier.count()) == 0


async def test_pages_that_could_not_be_read_are_told_but_for_files_without_links(made: Stock) -> None:
    failed = EntryState.FAILED
    await enter(
        made, ("z", failed, "default", 0), ("y.pdf", failed, "default", 0), ("x", failed, "default", 0),
        ("w", failed, "wiki", 0), ("v", EntryState.GONE, "default", 0), ("u", EntryState.LOADED, "default", 0),
    )  # fmt: skip
    assert await crawl(made, lambda frontier: frontier.failed("default", 9)) == ["z", "x"]
    assert await crawl(made, lambda frontier: frontier.failed("default", 1)) == ["z"]
    assert await crawl(made, lambda frontier: [frontier.any_failed(name) for name in ("default", "third")]) == [
        True, False,
    ]  # fmt: skip
    states = entries(made)
    again = await crawl(made, lambda frontier: frontier.requeue_failed(4))
    assert len(again) == 4
    again += await crawl(made, lambda frontier: frontier.requeue_failed(4))
    assert sorted(again) == ["v", "w", "x", "y.pdf", "z"]
    assert entries(made) == {**states, **dict.fromkeys(again, EntryState.LISTED)}


@pytest.mark.parametrize("table", ["job_entries", "displaced_entries"])
async def test_whether_anything_is_unread_is_known_of_each_source(made: Stock, table: str) -> None:
    async def unread() -> list[bool]:
        return await crawl(made, lambda frontier: [frontier.has_unread(name) for name in (None, "default", "wiki")])

    assert await unread() == [False, False, False]
    if table == "job_entries":
        await enter(made, ("a", EntryState.LISTED, "wiki", 0), ("b", EntryState.LOADED, "default", 0))
    else:
        sql = "INSERT INTO displaced_entries (job_seq, source, holder, uri, reading) VALUES (?, ?, 'x', ?, ?)"
        for source, uri, reading in (("wiki", "a", 1), ("default", "b", 2), ("default", "c", 0)):
            await execute(made, sql, made.seq, source, uri, reading)
    assert await unread() == [True, False, True]


async def page(made: Stock, limit: int = 9, **which: Sequence[int] | None) -> list[ListedEntry]:
    known = (made.key, 1, "recipe", "+")
    return await crawl(made, lambda frontier: frontier.open_page("default", limit, known, **which))  # type: ignore[arg-type]  # as they are named


async def test_the_next_to_be_read_are_those_of_the_lowest_depth_there_is(made: Stock) -> None:
    listed = EntryState.LISTED
    await enter(
        made, ("deep", listed, "default", 2), ("z", listed, "default", 1), ("y", listed, "default", 1),
        ("x", listed, "default", 1), ("read", EntryState.LOADED, "default", 0), ("theirs", listed, "wiki", 0),
    )  # fmt: skip
    ids = entries(made, "id")

    async def uris(limit: int = 9, **which: Sequence[int] | None) -> list[str]:
        return [entry.uri for entry in await page(made, limit, **which)]

    assert await uris() == ["z", "y", "x"]
    assert await uris(2) == ["z", "y"]
    assert await uris(aside=[ids["z"]]) == ["y", "x"]
    shallow = [ids[uri] for uri in "xyz"]
    assert await uris(aside=shallow) == []
    assert await uris(aside=shallow, passed=shallow) == ["deep"]
    assert await uris(aside=shallow, passed=shallow[1:]) == []
    assert await uris(only=[ids["deep"], ids["theirs"], ids["read"]]) == ["deep"]
    assert await uris(only=[ids["deep"], ids["y"]]) == ["y"]
    await crawl(made, lambda frontier: frontier.settle([ids["z"], ids["y"]], EntryState.FAILED))
    assert await uris() == ["x"]


async def test_an_entry_says_what_is_known_of_its_document(made: Stock, older: Stock, other: Stock) -> None:
    await made.publish(*((uri, f"{uri} here") for uri in ("a", "b", "moved", "old recipe", "old index", "gone")))
    await execute(made, "UPDATE documents SET stamp = 's', content_hash = 'h' || uri WHERE kb_id = ?", made.key)
    for uri, change in {
        "moved": "source = 'wiki'", "old recipe": "recipe = 'x'", "old index": "index_version = 0",
        "gone": "state = 10",
    }.items():  # fmt: skip
        await execute(made, f"UPDATE documents SET {change} WHERE kb_id = ? AND uri = ?", made.key, uri)
    names = ["a", "b", "moved", "old recipe", "old index", "gone", "failed", "failed now", "tried again", "skipped"]
    names += ["asked", "asked of another job", "anew"]
    await enter(made, *((uri, EntryState.LISTED, "default", 0) for uri in names))
    await made.note("skipped", "anew")

    def arrange(tx: Transaction) -> None:
        tx.run("UPDATE catalogue SET skipped = 1 WHERE kb_id = ? AND uri = 'skipped'", made.key)
        for uri, job in {"failed": older.seq, "failed now": made.seq, "tried again": -made.seq}.items():
            tx.run("INSERT INTO failures VALUES (?, ?, ?, 'loading', '', '', 1, '')", made.key, uri, job)
        for uri, job, anew in (("asked", made.seq, 0), ("asked of another job", older.seq, 1), ("b", made.seq, 1)):
            sql = "INSERT INTO requests (kb_id, uri, job_seq, anew, requested_at) VALUES (?, ?, ?, ?, '')"
            tx.run(sql, made.key, uri, job, anew)
        for uri in names:  # of another knowledge base
            tx.run("INSERT INTO failures VALUES (?, ?, 0, 'loading', '', '', 1, '')", other.key, uri)
            tx.run(
                "INSERT INTO requests (kb_id, uri, job_seq, anew, requested_at) VALUES (?, ?, ?, 1, '')",
                other.key, uri, made.seq,
            )  # fmt: skip

    await made.database.write(arrange)
    found = {entry.uri: entry for entry in await page(made, 99)}
    assert {uri: (each.known_hash, each.known_stamp) for uri, each in found.items() if each.known_stamp} == {
        "a": ("ha", "s"), "b": (None, "s"),
    }  # fmt: skip
    assert {uri for uri, each in found.items() if each.known_hash} == {"a", "moved"}
    assert {uri for uri, each in found.items() if each.is_skipped} == {"skipped"}
    assert {uri for uri, each in found.items() if each.has_failed} == {"failed"}
    assert {uri for uri, each in found.items() if each.request is not None} == {"asked", "b"}
    assert list(found) == names


async def test_a_source_has_room_for_what_it_has_not_and_does_not_follow(made: Stock, older: Stock) -> None:
    await enter(made, ("a", EntryState.LOADED, "default", 0), *((uri, EntryState.LISTED, "wiki", 0) for uri in "bc"))
    sql = "INSERT INTO displaced_entries (job_seq, source, holder, uri, reading) VALUES (?, ?, ?, ?, ?)"
    rows = [
        ("default", "x", "p", 1),
        ("default", "x", "q", 2),
        ("default", "x", "r", 0),
        ("default", "default", "s", 1),
    ]
    for row in [*rows, ("wiki", "x", "p", 1)]:
        await execute(made, sql, made.seq, *row)
        await execute(made, sql, older.seq, *row)
    assert await crawl(made, lambda frontier: [frontier.room("default", most) for most in (10, 3, 1)]) == [7, 0, 0]


async def test_versions_are_known_by_what_search_sees_of_them(made: Stock, other: Stock) -> None:
    await made.publish(*((uri, f"{uri} here") for uri in ("a", "b", "c")))
    await execute(made, "UPDATE documents SET stamp = 's', content_hash = 'h' WHERE kb_id = ?", made.key)
    await execute(made, "UPDATE documents SET state = 10 WHERE kb_id = ? AND uri = 'b'", made.key)
    await execute(made, "UPDATE documents SET index_version = 2 WHERE kb_id = ? AND uri = 'c'", made.key)

    async def known() -> list[tuple[str, str, str | None]]:
        return await made.database.read(lambda tx: KnownVersions(tx, made.key, 1).of(["a", "b", "c", "d"]))

    def versions() -> list[tuple[Any, ...]]:
        sql = "SELECT kb_id, uri, stamp, source FROM documents ORDER BY id"
        return select(made.database.path, sql)

    assert await known() == [("a", "h", "s")]
    before = versions()
    await made.database.write(
        lambda tx: KnownVersions(tx, made.key, 1).refresh_stamps([("a", "t"), ("b", "t")], "wiki")
    )
    changed = [after for was, after in zip(before, versions(), strict=True) if was != after]
    assert changed == [(made.key, "a", "t", "wiki")]
