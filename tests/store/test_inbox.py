"""What somebody wants loaded: which job takes it, and what is left to the next one."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest

from phaseflow.domain.status import timestamp
from phaseflow.store.catalogue import PUSH
from phaseflow.store.database import Database
from phaseflow.store.inbox import Inbox, Inboxes
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import NOW, Stock, stock

T = TypeVar("T")
LATER = NOW + timedelta(hours=1)
WAITS, FOR_THE_NEXT = None, 0


async def run(made: Stock, step: Callable[[Inbox], T]) -> T:
    return await made.database.write(lambda tx: step(Inbox(tx, made.key)))


async def execute(made: Stock, sql: str, *values: object) -> None:
    await made.database.write(lambda tx: tx.run(sql, *values))


def requests(made: Stock) -> dict[str, int | None]:
    """By uri, the job that has taken it."""
    sql = f"SELECT uri, job_seq FROM requests WHERE kb_id = '{made.key}' ORDER BY id"
    return dict(select(made.database.path, sql))


def entries(made: Stock) -> list[tuple[Any, ...]]:
    sql = f"SELECT uri, source, state FROM job_entries WHERE job_seq = {made.seq} ORDER BY id"
    return select(made.database.path, sql)


@pytest.fixture
async def other(database: Database) -> Stock:
    """A knowledge base in which the same is wanted; nothing may change it."""
    found = await stock(database, "other", "other job")
    await found.note("a", "b")
    await run(found, lambda inbox: inbox.ask(["a", "b", "z"], NOW, anew=True))
    await execute(found, "UPDATE requests SET job_seq = ? WHERE uri = 'b'", found.seq)
    return found


@pytest.fixture
async def made(database: Database, other: Stock) -> Stock:
    await stock(database, job_id="older")
    return await stock(database)


@pytest.fixture(autouse=True)
async def the_other_stays_as_it_is(other: Stock, made: Stock) -> AsyncIterator[None]:
    def rows() -> list[list[tuple[Any, ...]]]:
        return [
            select(made.database.path, f"SELECT * FROM {table} WHERE kb_id = '{other.key}'")
            for table in ("requests", "catalogue")
        ] + [entries(other)]

    before = rows()
    yield
    assert rows() == before


async def test_what_is_asked_for_once_more_waits_under_a_number_of_its_own(made: Stock) -> None:
    await made.note("a")
    await run(made, lambda inbox: inbox.ask(["a", "b"], NOW))
    await execute(made, "UPDATE requests SET job_seq = ? WHERE kb_id = ?", made.seq, made.key)
    await run(made, lambda inbox: inbox.ask(["a"], LATER))
    assert requests(made) == {"b": made.seq, "a": WAITS}
    assert list(requests(made)) == ["b", "a"]
    assert await run(made, lambda inbox: inbox.has_waiting())
    changed = select(made.database.path, f"SELECT uri, changed_at FROM catalogue WHERE kb_id = '{made.key}'")
    assert changed == [("a", timestamp(LATER))]
    await run(made, lambda inbox: inbox.withdraw("a"))
    assert requests(made) == {"b": made.seq}
    assert not await run(made, lambda inbox: inbox.has_waiting())
    assert await run(made, lambda inbox: [inbox.is_asked_for(uri) for uri in ("a", "b")]) == [False, True]


async def test_what_is_wanted_even_if_unchanged_stays_so_when_it_is_wanted_again(made: Stock) -> None:
    def anew() -> list[tuple[Any, ...]]:
        return select(made.database.path, f"SELECT uri, anew FROM requests WHERE kb_id = '{made.key}' ORDER BY uri")

    await run(made, lambda inbox: inbox.ask(["a"], NOW, anew=True))
    await run(made, lambda inbox: inbox.ask(["a", "b"], NOW))
    assert anew() == [("a", 1), ("b", 0)]
    await run(made, lambda inbox: inbox.ask(["b"], NOW, anew=True))
    assert anew() == [("a", 1), ("b", 1)]


@pytest.mark.parametrize(("job", "waits"), [(WAITS, True), (FOR_THE_NEXT, True), (3, False)])
async def test_a_retry_that_no_job_has_begun_waits(made: Stock, job: int | None, waits: bool) -> None:
    await run(made, lambda inbox: inbox.ask(["a"], NOW, anew=True))
    await run(made, lambda inbox: inbox.ask(["b"], NOW))
    await execute(made, "UPDATE requests SET job_seq = ? WHERE kb_id = ?", job, made.key)
    assert await run(made, lambda inbox: [inbox.waits_anew(uri) for uri in ("a", "b", "z")]) == [waits, False, False]


async def test_a_job_takes_what_waits_first_come_first(made: Stock) -> None:
    await made.note("of a source", "listed", "read")
    await execute(made, "UPDATE catalogue SET source = 'wiki' WHERE kb_id = ? AND uri = 'of a source'", made.key)
    for uri, state in (("listed", EntryState.LISTED), ("read", EntryState.LOADED)):
        sql = "INSERT INTO job_entries (job_seq, uri, state) VALUES (?, ?, ?)"
        await execute(made, sql, made.seq, uri, state)
        await execute(made, sql, made.seq - 1, uri, EntryState.LISTED)
    await execute(made, "INSERT INTO job_entries (job_seq, uri) VALUES (?, 'new')", made.seq - 1)
    for uri in ("read", "of a source", "new", "listed", "a"):
        await run(made, partial(Inbox.ask, uris=[uri], at=NOW))

    def take(inbox: Inbox) -> tuple[int, int]:
        return inbox.take(made.seq, 3, {"wiki", "default"})

    assert await run(made, take) == (3, 2)
    assert requests(made) == {
        "read": FOR_THE_NEXT, "of a source": made.seq, "new": made.seq, "listed": WAITS, "a": WAITS,
    }  # fmt: skip
    assert await run(made, take) == (2, 1)
    assert await run(made, take) == (0, 0)
    assert requests(made)["listed"] == requests(made)["a"] == made.seq
    assert entries(made) == [
        ("listed", "default", EntryState.LISTED), ("read", "default", EntryState.LOADED),
        ("of a source", "wiki", EntryState.LISTED), ("new", "default", EntryState.LISTED),
        ("a", "default", EntryState.LISTED),
    ]  # fmt: skip


async def test_what_a_job_has_no_source_for_is_looked_for_among_what_was_pushed(made: Stock) -> None:
    await made.note("a")
    await run(made, lambda inbox: inbox.ask(["a", "b"], NOW))
    await run(made, lambda inbox: inbox.take(made.seq, 9, {"wiki"}))
    assert [(uri, source) for uri, source, _ in entries(made)] == [("a", PUSH), ("b", PUSH)]


async def test_what_was_asked_for_again_while_a_job_read_it_is_left_to_the_next_one(made: Stock) -> None:
    await run(made, lambda inbox: inbox.ask(["a", "b", "c", "old", "in hand"], NOW))
    await execute(made, "UPDATE requests SET job_seq = ? WHERE kb_id = ?", made.seq, made.key)
    await execute(made, "UPDATE requests SET job_seq = ? WHERE kb_id = ? AND uri = 'old'", made.seq - 1, made.key)
    sql = f"SELECT uri, id FROM requests WHERE kb_id = '{made.key}'"
    number: dict[str, int] = dict(select(made.database.path, sql))
    read = [("a", number["a"]), ("b", number["b"] - 1), ("c", None), ("old", None)]
    await run(made, lambda inbox: inbox.leave_newer(made.seq, read))
    assert requests(made)["a"] == requests(made)["in hand"] == made.seq
    await run(made, lambda inbox: inbox.settle(made.seq, ["a", "b", "c"]))
    left = {"b": FOR_THE_NEXT, "c": FOR_THE_NEXT, "old": made.seq - 1, "in hand": made.seq}
    assert requests(made) == left, "what it has not read stays"


async def test_what_older_jobs_have_taken_and_left_waits_again_before_a_job_begins(made: Stock) -> None:
    await run(made, lambda inbox: inbox.ask(["a", "b", "c", "d"], NOW))
    for uri, job in {"a": made.seq - 1, "b": FOR_THE_NEXT, "c": made.seq, "d": made.seq - 1}.items():
        await execute(made, "UPDATE requests SET job_seq = ? WHERE kb_id = ? AND uri = ?", job, made.key, uri)

    def give_back(tx: Transaction) -> int:
        return Inboxes(tx).give_back(made.job_id, 2)

    assert [await made.database.write(give_back) for _ in range(3)] == [2, 1, 0]
    assert requests(made) == {"a": WAITS, "b": WAITS, "c": made.seq, "d": WAITS}


async def test_it_is_known_whether_anything_waits_since_when_and_where(made: Stock) -> None:
    async def since(after: str | None) -> bool:
        return await made.database.read(lambda tx: Inboxes(tx).waits_since("kb", after))

    async def where() -> list[str]:
        return await made.database.read(lambda tx: Inboxes(tx).waiting())

    assert (await since(None), await where()) == (False, ["other"])
    await run(made, lambda inbox: inbox.ask(["a"], LATER))
    assert [await since(after) for after in (None, timestamp(NOW), timestamp(LATER), timestamp(LATER) + "x")] == [
        True, True, True, False,
    ]  # fmt: skip
    assert sorted(await where()) == ["kb", "other"]
    await execute(made, "UPDATE knowledge_bases SET name = NULL WHERE id = ?", made.key)
    assert (await since(None), await where()) == (False, ["other"])
