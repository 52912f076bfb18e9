"""The failures of documents: which stand, and which job counts them."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest

from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.database import Database
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.inbox import Inbox
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import NOW, Stock, stock

T = TypeVar("T")
LATER = NOW + timedelta(hours=1)


async def run(made: Stock, step: Callable[[Failures], T]) -> T:
    return await made.database.write(lambda tx: step(Failures(tx, made.key)))


async def fail(made: Stock, *uris: str, by: int | None = None) -> None:
    """These documents, which are known, have failed in a job."""
    failed = [FailedDocument(uri, "code", f"{uri} is bad") for uri in uris]
    await made.note(*uris)
    await run(made, lambda failures: failures.add(by or made.seq, JobPhase.CHUNKING, failed, LATER))


def standing(made: Stock) -> list[tuple[str, int, int]]:
    """(uri, the number of the job that counts it, attempts)."""
    return select(made.database.path, f"SELECT uri, job_seq, attempts FROM failures WHERE kb_id = '{made.key}'")


def counted(made: Stock) -> int:
    """By its newest job."""
    sql = f"SELECT documents_failed FROM ingestion_jobs WHERE kb_id = '{made.key}' ORDER BY seq DESC LIMIT 1"
    return int(select(made.database.path, sql)[0][0])


@pytest.fixture
async def other(database: Database) -> Stock:
    """A knowledge base in which documents of the same names have failed; nothing may change it."""
    found = await stock(database, "other", "other job")
    await fail(found, "a", "b", "c", "d")
    return found


@pytest.fixture
async def made(database: Database, other: Stock) -> Stock:
    await stock(database, job_id="older")
    return await stock(database)


@pytest.fixture(autouse=True)
async def the_other_stays_as_it_is(other: Stock, made: Stock) -> AsyncIterator[None]:
    before = standing(other), counted(other)
    yield
    assert (standing(other), counted(other)) == before


async def test_a_document_that_fails_again_has_one_more_attempt(made: Stock) -> None:
    await fail(made, "a", "b")
    await fail(made, "a")
    assert standing(made) == [("a", made.seq, 2), ("b", made.seq, 1)]
    assert counted(made) == 3
    [first, second] = await run(made, lambda failures: failures.page(10, ""))
    assert (first.uri, first.phase, first.code, first.error, first.attempts, first.at) == (
        "a", JobPhase.CHUNKING, "code", "a is bad", 2, LATER,
    )  # fmt: skip
    assert second.uri == "b"


async def test_failures_come_in_pages_by_uri(made: Stock) -> None:
    await fail(made, "c", "a", "b")
    assert [each.uri for each in await run(made, lambda failures: failures.page(2, ""))] == ["a", "b"]
    assert [each.uri for each in await run(made, lambda failures: failures.page(2, "b"))] == ["c"]
    assert await run(made, lambda failures: failures.count()) == 3
    await run(made, lambda failures: failures.clear(["a", "c"]))
    assert standing(made) == [("b", made.seq, 1)]
    assert await run(made, lambda failures: failures.are_there())
    await run(made, lambda failures: failures.clear(["b"]))
    assert not await run(made, lambda failures: failures.are_there())


@pytest.mark.parametrize(("taken_by", "counts"), [("nobody", False), ("the job", True), ("an older job", False)])
async def test_what_was_asked_for_again_meanwhile_counts_for_no_job(made: Stock, taken_by: str, counts: bool) -> None:
    number = {"nobody": None, "the job": made.seq, "an older job": made.seq - 1}[taken_by]

    def ask(tx: Transaction) -> None:
        Inbox(tx, made.key).ask(["a"], NOW)
        tx.run("UPDATE requests SET job_seq = ?", number)

    await made.database.write(ask)
    await fail(made, "a", "b")
    assert standing(made) == [("a", made.seq if counts else 0, 1), ("b", made.seq, 1)]
    assert counted(made) == 1 + counts


async def test_a_request_of_another_knowledge_base_changes_nothing(made: Stock, other: Stock) -> None:
    await made.database.write(lambda tx: Inbox(tx, other.key).ask(["a"], NOW))
    await fail(made, "a")
    assert standing(made) == [("a", made.seq, 1)]


async def test_what_is_skipped_or_not_known_any_more_has_no_failure(made: Stock) -> None:
    await made.note("skipped", "known")
    await made.database.write(lambda tx: tx.run("UPDATE catalogue SET skipped = 1 WHERE uri = 'skipped'"))
    failed = [FailedDocument(uri, "code", "bad") for uri in ("skipped", "a")]  # a is known to the other one
    await run(made, lambda failures: failures.add(made.seq, JobPhase.LOADING, failed, NOW))
    assert (standing(made), counted(made)) == ([], 0)


async def test_only_what_has_not_failed_before_is_added_as_new(made: Stock) -> None:
    await fail(made, "a")
    await made.note("b", "c")
    both = [FailedDocument(uri, "other", "bad again") for uri in ("a", "b")]
    await run(made, lambda failures: failures.add_new(made.seq, JobPhase.LOADING, both, NOW))
    assert standing(made) == [("a", made.seq, 1), ("b", made.seq, 1)]
    assert counted(made) == 2


async def test_one_that_is_asked_for_again_is_counted_no_more_by_the_newest_job_alone(made: Stock) -> None:
    await fail(made, "a", "b")
    await run(made, lambda failures: failures.uncount("a"))
    await run(made, lambda failures: failures.uncount("a"))
    assert standing(made) == [("a", 0, 1), ("b", made.seq, 1)]
    assert counted(made) == 1
    newer = await stock(made.database, job_id="newer")
    await run(made, lambda failures: failures.uncount("b"))
    assert (standing(made)[1], counted(newer)) == (("b", made.seq, 1), 0), "what an older job counts is history"


async def test_those_that_a_job_tries_again_are_given_back_once(made: Stock) -> None:
    await fail(made, "a", "b", "c")
    await fail(made, "old", by=made.seq - 1)

    def give_back(failures: Failures) -> int:
        return failures.give_back(made.seq, ["a", "b", "old"])

    assert [await run(made, give_back), await run(made, give_back)] == [2, 0]
    assert [(uri, seq) for uri, seq, _ in standing(made)] == [
        ("a", -made.seq), ("b", -made.seq), ("c", made.seq), ("old", made.seq - 1),
    ]  # fmt: skip


async def clear_missing(made: Stock, uncertain: Sequence[str], limit: int) -> list[str | None]:
    """Page by page; after which uri each goes on."""
    cursors: list[str | None] = [""]
    while (after := cursors[-1]) is not None:
        page = partial(Failures.clear_missing, job_seq=made.seq, uncertain=uncertain, after=after, limit=limit)
        cursors.append(await run(made, page))
    return cursors[1:]


async def test_failures_of_what_no_source_has_any_more_are_forgotten(made: Stock) -> None:
    await fail(made, "a", "b", "left", "read", "uncertain")
    rows = {"read": EntryState.FAILED, "left": EntryState.SKIPPED}

    def list_some(tx: Transaction) -> None:
        for uri, state in rows.items():
            tx.run("INSERT INTO job_entries (job_seq, uri, state) VALUES (?, ?, ?)", made.seq, uri, state)
        tx.run("INSERT INTO job_entries (job_seq, uri) VALUES (?, 'a')", made.seq - 1)
        tx.run("UPDATE catalogue SET source = 'wiki' WHERE kb_id = ? AND uri = 'uncertain'", made.key)
        tx.run("UPDATE catalogue SET source = 'wiki' WHERE kb_id <> ?", made.key)

    await made.database.write(list_some)
    assert await clear_missing(made, ["wiki"], 2) == ["b", "read", None]
    assert [uri for uri, *_ in standing(made)] == ["read", "uncertain"]
    assert await clear_missing(made, [], 10) == [None]
    assert [uri for uri, *_ in standing(made)] == ["read"]
