"""Which documents lie in a part of a source that could not be listed."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest

from phaseflow.store.database import Database
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction
from phaseflow.store.unlisted import UnlistedParts, is_hidden
from tests.store.probes import Steps, select
from tests.store.stock import Stock, stock

MINE = "mine"


@pytest.fixture
async def made(database: Database) -> Stock:
    """Beside an older job, in which another part could not be listed."""
    older = await stock(database, job_id="older")
    found = await stock(database)
    await database.write(lambda tx: UnlistedParts(tx, older.seq).add(MINE, ["old.zip", "docs"]))
    return found


async def add(made: Stock, *uris: str, source: str = MINE) -> None:
    await made.database.write(lambda tx: UnlistedParts(tx, made.seq).add(source, uris))


async def hidden(made: Stock, uris: Sequence[str], source: str = MINE) -> list[str]:
    def look(tx: Transaction) -> list[str]:
        sql = f"SELECT {is_hidden('?1', '?2', '?3')}"
        return [uri for uri in uris if tx.value(sql, uri, source, made.seq)]

    return await made.database.read(look)


async def test_what_is_below_a_part_lies_in_it_and_nothing_beside_it(made: Stock) -> None:
    await add(made, "a.zip", "b/c.zip", "dir/")
    below = ["a.zip/x.md", "a.zip/x/y.md", "b/c.zip/x.md", "dir/x.md"]
    beside = ["a.zip", "a.zip.md", "a.zi", "A.ZIP/x.md", "a.zip0", "b/x.md", "b/c.zip", "dir", "old.zip/x.md", "zz"]
    assert await hidden(made, [*below, *beside]) == below
    assert await hidden(made, below, source="other") == []


async def test_of_a_part_in_a_part_the_outer_one_counts_whichever_came_first(made: Stock) -> None:
    await add(made, "a/b.zip")
    await add(made, "a", "a/c.zip", "a")
    assert select(made.database.path, f"SELECT place FROM unlisted_parts WHERE job_seq = {made.seq}") == [("a/",)]
    assert await hidden(made, ["a/b.zip/x", "a/d", "b/x"]) == ["a/b.zip/x", "a/d"]


@pytest.mark.parametrize(
    ("state", "hides"), [(EntryState.FAILED, True), (EntryState.GONE, False), (EntryState.SKIPPED, False)]
)
async def test_a_part_that_is_not_there_or_no_document_hides_nothing(
    made: Stock, state: EntryState, hides: bool
) -> None:
    await add(made, "a.zip")
    sql = "INSERT INTO job_entries (job_seq, uri, source, state) VALUES (?, 'a.zip', ?, ?)"
    await made.database.write(lambda tx: tx.run(sql, made.seq, MINE, state))
    assert await hidden(made, ["a.zip/x"]) == ["a.zip/x"] * hides
    assert await made.database.read(lambda tx: UnlistedParts(tx, made.seq).of(MINE, 2)) == ["a.zip"] * hides


async def test_one_that_is_skipped_hides_nothing(made: Stock) -> None:
    await add(made, "a.zip", "b.zip", "c.zip", "d.zip")
    await made.database.write(
        lambda tx: tx.run(
            "INSERT INTO catalogue (kb_id, uri, document_id, source, skipped, created_at)"
            " VALUES (?, 'a.zip', 'some id', ?, 1, '')",
            made.key, MINE,
        )
    )  # fmt: skip
    assert await hidden(made, ["a.zip/x", "b.zip/x"]) == ["b.zip/x"]

    def look(tx: Transaction) -> tuple[list[str], list[str], bool, bool]:
        parts = UnlistedParts(tx, made.seq)
        return parts.of(MINE, 2), parts.of("other", 2), parts.has_any(MINE), parts.has_any("other")

    assert await made.database.read(look) == (["b.zip", "c.zip"], [], True, False)


async def test_a_look_takes_no_longer_where_there_are_many_parts(made: Stock) -> None:
    def steps() -> int:
        with closing(sqlite3.connect(made.database.path)) as connection:
            tx = Steps(connection)
            for n in range(100):
                tx.rows(f"SELECT {is_hidden('?1', '?2', '?3')}", f"m{n:05}/x.md", MINE, made.seq)
            return tx.taken

    await add(made, *(f"m{n:05}" for n in range(0, 50, 2)))
    few = steps()
    await add(made, *(f"m{n:05}" for n in range(50, 1000, 2)))
    assert 0 < steps() < 1.5 * few
