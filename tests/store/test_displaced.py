"""Who holds a uri that several sources have, and how many of whom are left out."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest

from phaseflow.store.catalogue import PUSH
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.database import Database
from phaseflow.store.displaced import DisplacedEntries, Found
from phaseflow.store.states import EntryState, Reading
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import Stock, stock

SOURCES = {"ours", "theirs", "third"}


@pytest.fixture
async def made(database: Database) -> AsyncIterator[Stock]:
    """Beside an older job, and a knowledge base with the same documents, of other sources. Nothing may change those."""
    older, other = await stock(database, job_id="older"), await stock(database, "other", "other job")
    found = await stock(database)

    def arrange(tx: Transaction) -> None:
        for uri in ("a", "b", "c", "d", "e", "/a", "/b", "/c"):
            tx.run("INSERT INTO pushed (kb_id, uri, size, digest, pushed_at) VALUES (?, ?, 1, '', '')", other.key, uri)
            tx.run(
                "INSERT INTO catalogue (kb_id, uri, document_id, source, skipped, created_at)"
                " VALUES (?, ?, ?, 'third', 1, '')",
                other.key, uri, uri,
            )  # fmt: skip
            for job in (older.seq, other.seq):
                sql = "INSERT INTO job_entries (job_seq, uri, source, state, depth) VALUES (?, ?, 'third', 1, 9)"
                tx.run(sql, job, uri)
                sql = (
                    "INSERT INTO displaced_entries (job_seq, source, holder, uri, depth, reading)"
                    " VALUES (?, 'ours', 'theirs', ?, 9, 1)"
                )
                tx.run(sql, job, uri)

    await database.write(arrange)
    tables = {"pushed": "kb_id", "catalogue": "kb_id", "job_entries": "job_seq", "displaced_entries": "job_seq"}
    theirs = [
        f"SELECT * FROM {table} WHERE {column} NOT IN ('{found.key}', {found.seq})" for table, column in tables.items()
    ]
    before = [select(database.path, sql) for sql in theirs]
    yield found
    assert [select(database.path, sql) for sql in theirs] == before


def rows(*uris: str) -> list[Found]:
    return [(uri, 1, None, 0) for uri in uris]


async def keep_out(
    made: Stock, source: str, uris: Sequence[str], others: set[str] | None = None, over: Sequence[str] = ()
) -> list[str]:
    """What comes into the job of what a source has listed."""
    others = SOURCES if others is None else others
    kept = await made.database.write(
        lambda tx: DisplacedEntries(tx, made.seq).keep_out(source, rows(*uris), made.key, others, over)
    )
    return [row[0] for row in kept]


async def known(made: Stock, source: str, *uris: str) -> None:
    """The catalogue has had them of a source."""
    await made.database.write(
        lambda tx: tx.many(
            "INSERT INTO catalogue (kb_id, uri, document_id, source, created_at) VALUES (?, ?, ?, ?, '')",
            [(made.key, uri, f"id of {uri}", source) for uri in uris],
        )
    )


async def listed(made: Stock, source: str, *uris: str) -> None:
    """The job has them of a source already."""
    await made.database.write(
        lambda tx: tx.many(
            "INSERT INTO job_entries (job_seq, uri, source) VALUES (?, ?, ?)",
            [(made.seq, uri, source) for uri in uris],
        )
    )


def counted(made: Stock, source: str) -> dict[str, list[object]]:
    """{holder: [how many, the first of them]} as the status tells it."""
    ((stored,),) = select(
        made.database.path, f"SELECT max(displaced) FROM job_sources WHERE job_seq = {made.seq} AND name = '{source}'"
    )
    found: dict[str, list[object]] = json.loads(stored or "{}")
    return found


async def test_a_uri_stays_with_the_source_that_the_catalogue_names_or_that_the_job_has_it_of(made: Stock) -> None:
    await known(made, "theirs", "a", "b")
    await known(made, "ours", "c")
    await listed(made, "third", "d")
    assert await keep_out(made, "ours", ["a", "b", "c", "d", "e"]) == ["c", "e"]
    assert counted(made, "ours") == {"theirs": [2, "a"], "third": [1, "d"]}


async def test_what_was_pushed_goes_before_what_any_source_has(made: Stock) -> None:
    await listed(made, "theirs", "a")
    await made.database.write(
        lambda tx: tx.run(
            "INSERT INTO pushed (kb_id, uri, media_type, size, digest, pushed_at) VALUES (?, 'a', '', 1, '', '')",
            made.key,
        )
    )
    assert await keep_out(made, "ours", ["a", "b"]) == ["b"]
    assert counted(made, "ours") == {PUSH: [1, "a"]}
    assert await keep_out(made, PUSH, ["a"]) == ["a"]


async def test_a_source_that_is_none_any_more_or_has_nothing_more_to_list_keeps_no_one_out(made: Stock) -> None:
    await known(made, "theirs", "a")
    assert await keep_out(made, "ours", ["a"], {"ours", "third"}) == ["a"]
    assert await keep_out(made, "ours", ["a"], over=["theirs"]) == ["a"]
    await listed(made, "theirs", "a")
    assert await keep_out(made, "ours", ["a"], over=["theirs"]) == []  # of this job, it has it
    assert await keep_out(made, "ours", ["a"], {"ours", "third"}) == ["a"]


async def test_an_entry_of_the_job_goes_before_the_catalogue(made: Stock) -> None:
    await known(made, "theirs", "a", "b")
    await listed(made, "ours", "a")
    await listed(made, "third", "b")
    assert await keep_out(made, "ours", ["a", "b"]) == ["a"]
    assert counted(made, "ours") == {"third": [1, "b"]}


async def test_the_counts_follow_what_is_left_out_whoever_holds_it_now(made: Stock) -> None:
    await listed(made, "theirs", "a", "b", "c")
    assert await keep_out(made, "ours", ["b", "c"]) == []
    assert counted(made, "ours") == {"theirs": [2, "b"]}
    assert await keep_out(made, "ours", ["a", "b", "c"]) == []
    assert counted(made, "ours") == {"theirs": [3, "a"]}
    await made.database.write(
        lambda tx: tx.run("UPDATE job_entries SET source = 'third' WHERE uri = 'a' AND job_seq = ?", made.seq)
    )
    assert await keep_out(made, "ours", ["a", "b"]) == []
    assert counted(made, "ours") == {"theirs": [2, "b"], "third": [1, "a"]}
    await made.database.write(lambda tx: tx.run("UPDATE job_entries SET source = 'ours' WHERE job_seq = ?", made.seq))
    assert await keep_out(made, "ours", ["b"]) == ["b"]
    assert counted(made, "ours") == {"theirs": [1, "c"], "third": [1, "a"]}
    assert await keep_out(made, "ours", ["a", "c"]) == ["a", "c"]
    assert counted(made, "ours") == {}


async def test_what_a_source_that_is_given_up_has_kept_out_is_told_in_pages(made: Stock) -> None:
    await listed(made, "theirs", "a", "b", "c")
    await keep_out(made, "ours", ["a", "b", "c", "d"])
    await keep_out(made, "third", ["b"])
    await made.database.write(lambda tx: tx.run("DELETE FROM job_entries WHERE uri <> 'b' AND job_seq = ?", made.seq))
    found, after, pages = [], ("", ""), 0
    while True:
        page, going_on = await made.database.read(
            lambda tx, after=after: DisplacedEntries(tx, made.seq).given_up("theirs", after, 2)  # type: ignore[misc]  # bound in the loop
        )
        found += [(each.source, each.uri, each.size) for each in page]
        if going_on is None:
            break
        after, pages = going_on, pages + 1
    assert (found, pages) == ([("ours", "a", 1), ("ours", "c", 1)], 2)
    assert await made.database.read(lambda tx: DisplacedEntries(tx, made.seq).has_any("theirs"))
    assert not await made.database.read(lambda tx: DisplacedEntries(tx, made.seq).has_any("third"))


@pytest.mark.parametrize("follow", [0, 1, 5])
async def test_of_what_is_left_out_the_first_are_read_for_what_they_lead_to(made: Stock, follow: int) -> None:
    uris = ["a", "b", "c"]
    await listed(made, "theirs", *uris)
    await made.database.write(
        lambda tx: DisplacedEntries(tx, made.seq).keep_out("ours", rows(*uris), made.key, SOURCES, (), follow=follow)
    )
    page = await made.database.read(
        lambda tx: DisplacedEntries(tx, made.seq).open_page("ours", 10, aside=(), only=None)
    )
    assert [(entry.uri, entry.is_held, entry.id < 0) for entry in page] == [(u, True, True) for u in uris[:follow]]
    some = [entry.id for entry in page[:1]]
    for aside, only, left in ((some, None, uris[1:follow]), ((), some, uris[: len(some)])):
        found = await made.database.read(
            lambda tx, aside=aside, only=only: DisplacedEntries(tx, made.seq).open_page(  # type: ignore[misc]  # bound in the loop
                "ours", 10, aside=aside, only=only
            )
        )
        assert [entry.uri for entry in found] == left
    await made.database.write(lambda tx: DisplacedEntries(tx, made.seq).settle(some))
    after = await made.database.read(
        lambda tx: DisplacedEntries(tx, made.seq).open_page("ours", 10, aside=(), only=None)
    )
    assert [entry.uri for entry in after] == uris[1:follow]


async def test_pages_with_a_shorter_way_are_read_again_but_for_those_that_are_skipped_on_request(made: Stock) -> None:
    await known(made, "ours", "/a", "/b", "/c")
    await listed(made, "ours", "/a", "/b", "/c")

    def read(tx: Transaction) -> None:
        tx.run(f"UPDATE job_entries SET state = {EntryState.LOADED:d}, depth = 3 WHERE job_seq = ?", made.seq)
        tx.run("UPDATE catalogue SET skipped = 1 WHERE uri = '/a' AND kb_id = ?", made.key)
        DisplacedEntries(tx, made.seq).read_again("ours", [("/a", 1, None, 1), ("/b", 1, None, 1), ("/c", 1, None, 3)])

    await made.database.write(read)
    which = f"WHERE job_seq = {made.seq} ORDER BY uri"
    again = select(made.database.path, f"SELECT uri, depth, holder, reading FROM displaced_entries {which}")
    assert again == [("/b", 1, "ours", Reading.LISTED)]
    depths = select(made.database.path, f"SELECT uri, depth FROM job_entries {which}")
    assert depths == [("/a", 3), ("/b", 1), ("/c", 3)]


async def test_what_is_still_to_be_read_is_told_of_each_source_and_of_all(made: Stock) -> None:
    await listed(made, "ours", "/a")
    unread = await made.database.read(
        lambda tx: [Frontier(tx, made.seq).has_unread(source) for source in ("ours", "theirs", None)]
    )
    assert unread == [True, False, True]


async def test_a_page_of_another_source_to_which_a_shorter_way_was_found_is_read_again_for_its_links(
    made: Stock,
) -> None:
    await listed(made, "theirs", "/a", "/b", "/c", "/d")
    await keep_out(made, "third", ["/a"])
    sql = "INSERT INTO displaced_entries (job_seq, source, holder, uri, depth, reading) VALUES (?, 'ours', ?, ?, ?, ?)"
    kept = {"/a": (5, Reading.READ), "/b": (1, Reading.READ), "/c": (5, Reading.NOT), "/d": (5, Reading.READ)}

    def read(tx: Transaction) -> None:
        for uri, (depth, reading) in kept.items():
            tx.run(sql, made.seq, "theirs", uri, depth, reading)
        DisplacedEntries(tx, made.seq).read_again("ours", [(uri, 1, None, 2) for uri in ("/a", "/b", "/c")])

    await made.database.write(read)
    rows = f"SELECT source, uri, depth, reading FROM displaced_entries WHERE job_seq = {made.seq} ORDER BY source, uri"
    assert select(made.database.path, rows) == [
        ("ours", "/a", 2, Reading.LISTED), *(("ours", uri, *kept[uri]) for uri in ("/b", "/c", "/d")),
        ("third", "/a", 0, Reading.NOT),
    ]  # fmt: skip
