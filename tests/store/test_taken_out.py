"""What is on its way of documents that nobody wants any more, beside a knowledge base with the same documents."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from phaseflow.store.database import Database
from phaseflow.store.states import DocumentState
from phaseflow.store.taken_out import OnTheirWay, in_hand
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import Stock, stock

T = TypeVar("T")
LOADED, CHUNKED, EMBEDDED = DocumentState.LOADED, DocumentState.CHUNKED, DocumentState.EMBEDDED
IS_WANTED = {
    "wanted": True, "skipped": False, "pushed": True, "pushed, deleted": False, "pushed again": False,
    "pushed long ago": True, "pushed without a stamp": True, "chunked": False, "embedded": False,
    "of an older job": False,
    "being stored": True, "copy": True, "copy of what is gone": False, "cut copy of what is gone": False,
    "loaded copy of what is gone": True,
}  # fmt: skip
"""Whether what is on its way of a document stays, after what its name says."""
IS_SKIPPED = {"skipped", "chunked", "embedded", "of an older job", "being stored"}


def version(tx: Transaction, of: Stock, uri: str, **columns: object) -> int:
    """A row of ``documents``; its number."""
    row = {
        "kb_id": of.key, "job_seq": of.seq, "index_version": 1, "uri": uri, "title": "", "media_type": "",
        "content_hash": "", "recipe": "", "state": LOADED, **columns,
    }  # fmt: skip
    marks = ", ".join("?" * len(row))
    return int(tx.value(f"INSERT INTO documents ({', '.join(row)}) VALUES ({marks}) RETURNING id", *row.values()))


def arrange(tx: Transaction, made: Stock, older: Stock, other: Stock) -> None:
    pushed: dict[str, int] = {}
    for uri in IS_WANTED:
        tx.run("UPDATE catalogue SET skipped = ? WHERE kb_id = ? AND uri = ?", uri in IS_SKIPPED, made.key, uri)
        tx.run("UPDATE catalogue SET skipped = ? WHERE kb_id = ? AND uri = ?", uri not in IS_SKIPPED, other.key, uri)
        for each in (made, other):
            sql = "INSERT INTO pushed (kb_id, uri, size, digest, pushed_at) VALUES (?, ?, 1, '', '') RETURNING id"
            if (uri == "pushed, deleted") == (each is other):
                pushed[uri] = tx.value(sql, each.key, uri)
    live, gone = (
        version(tx, made, uri, index_version=0, state=state)
        for uri, state in (("live", DocumentState.SEARCHABLE), ("gone", DocumentState.GONE))
    )
    special: dict[str, dict[str, object]] = {
        "pushed": {"source": "push", "stamp": f"push {pushed['pushed']} abc"},
        "pushed, deleted": {"source": "push", "stamp": f"push {pushed['pushed, deleted']} abc"},
        "pushed again": {"source": "push", "stamp": f"push {pushed['pushed again'] + 100} abc"},
        "pushed long ago": {"source": "push", "stamp": "abc"},
        "pushed without a stamp": {"source": "push"},
        "chunked": {"state": CHUNKED, "chunk_count": 3},
        "embedded": {"state": EMBEDDED, "chunk_count": 5},
        "of an older job": {"job_seq": older.seq},
        "being stored": {"state": DocumentState.STORING},
        "copy": {"state": CHUNKED, "carried_from": live},
        "copy of what is gone": {"state": EMBEDDED, "carried_from": gone, "chunk_count": 7},
        "cut copy of what is gone": {"state": CHUNKED, "carried_from": gone},
        "loaded copy of what is gone": {"carried_from": gone},
    }
    tx.run("INSERT INTO chunks (id, start, stop, text_hash) VALUES (?, 0, 1, x'00')", live << 20)
    for uri in IS_WANTED:
        key = version(tx, made, uri, **special.get(uri, {}))
        version(tx, other, uri)
        if uri == "chunked":  # one of its three passages has a vector
            for n in range(3):
                sql = "INSERT INTO chunks (id, start, stop, text_hash, vector_id) VALUES (?, 0, 1, x'00', ?)"
                tx.run(sql, (key << 20) + n, 1 if n == 1 else None)
    tx.run("UPDATE ingestion_phase_status SET items_available = 100, items_total = 100, items_processed = 60")


@pytest.fixture
async def made(database: Database) -> Stock:
    older, other = await stock(database, job_id="older"), await stock(database, "other", "other")
    found = await stock(database)
    for each in (found, other):
        await each.note(*IS_WANTED)
    await database.write(lambda tx: arrange(tx, found, older, other))
    return found


async def on_their_way(made: Stock, step: Callable[[OnTheirWay], T]) -> T:
    return await made.database.write(lambda tx: step(OnTheirWay(tx, made.key)))


def versions(made: Stock) -> list[tuple[Any, ...]]:
    sql = "SELECT kb_id, uri, state FROM documents WHERE uri NOT IN ('live', 'gone') ORDER BY id"
    return select(made.database.path, sql)


def counts(made: Stock) -> list[tuple[Any, ...]]:
    """(job, phase, available, total, progress)."""
    columns = "job_id, phase_name, items_available, items_total, progress"
    return select(made.database.path, f"SELECT {columns} FROM ingestion_phase_status ORDER BY id")


@pytest.mark.parametrize("limit", [2, 100])
async def test_those_that_nobody_wants_any_more_are_told_page_by_page(made: Stock, limit: int) -> None:
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        some, after = await on_their_way(made, _unwanted(after, limit))
        found += some
    assert found == sorted(uri for uri, is_wanted in IS_WANTED.items() if not is_wanted)


def _unwanted(after: str, limit: int) -> Callable[[OnTheirWay], tuple[list[str], str | None]]:
    return lambda them: them.unwanted(after, limit)


@pytest.mark.parametrize("job", ["open", "cancelled"])
async def test_what_nobody_wants_is_gone_and_its_job_has_that_much_less_to_do(made: Stock, job: str) -> None:
    if job == "cancelled":
        sql = "UPDATE ingestion_jobs SET cancelled_at = '' WHERE seq = ?"
        await made.database.write(lambda tx: tx.run(sql, made.seq))
    before, counted = versions(made), counts(made)
    await on_their_way(made, lambda them: them.take_out_some([*IS_WANTED, "unknown"]))
    gone = {(made.key, uri) for uri, is_wanted in IS_WANTED.items() if not is_wanted}
    assert versions(made) == [
        (key, uri, DocumentState.GONE if (key, uri) in gone else state) for key, uri, state in before
    ]
    # Loaded and skipped, deleted, pushed again; two passages without a vector; five, and the seven of a copy.
    less = {"chunking": 3, "embedding": 2, "indexing": 12} if job == "open" else {}
    assert counts(made) == [
        (job_id, phase, available - n, total - n, 6000 // (total - n) if n else progress)
        for job_id, phase, available, total, progress in counted
        for n in [less.get(phase, 0) if job_id == made.job_id else 0]
    ]


@pytest.mark.parametrize("is_quiet", [False, True])
async def test_the_rows_of_a_paused_job_are_left_as_they_are(made: Stock, is_quiet: bool) -> None:
    if is_quiet:
        sql = "UPDATE ingestion_phase_status SET status = 'paused' WHERE job_id = ?"
        await made.database.write(lambda tx: tx.run(sql, made.job_id))
    before = versions(made)
    await on_their_way(made, lambda them: them.take_out("skipped"))
    changed = [row for row, was in zip(versions(made), before, strict=True) if row != was]
    assert changed == ([] if is_quiet else [(made.key, "skipped", DocumentState.GONE)])


async def test_those_in_a_state_still_are_told(made: Stock) -> None:
    sql = (
        f"SELECT id FROM documents WHERE kb_id = '{made.key}' AND uri IN ('wanted', 'chunked', 'embedded') ORDER BY id"
    )
    [wanted, chunked, embedded] = [key for (key,) in select(made.database.path, sql)]
    ids = [wanted, chunked, embedded]
    found = await made.database.read(lambda tx: [in_hand(tx, ids, state) for state in (LOADED, CHUNKED)])
    assert found == [{wanted}, {chunked}]
    assert await made.database.read(lambda tx: in_hand(tx, [chunked], LOADED)) == set()
