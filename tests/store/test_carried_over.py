"""Which versions are copied into an index that is made anew, and what becomes of the copies."""

from collections.abc import Sequence
from typing import Any

import pytest

from phaseflow.store.carried_over import CarriedOver, drop_superseded
from phaseflow.store.database import Database
from phaseflow.store.documents import Target
from phaseflow.store.states import DocumentState, EntryState
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import Stock, stock

IN_PLACE = {
    "failed": True, "loaded": True, "unchanged": False, "skipped": False, "not known": False, "left": False,
    "not listed": False, "found gone": False, "uncertain": True, "uncertain, left": False, "in hand": False,
    "in hand of an older job": True, "made": True, "made before": True, "copied": False, "copy gone": True,
    "copied by an older job": True, "copy in use": False, "copied elsewhere": True, "made since": False,
}  # fmt: skip
"""Whether the new index lacks a document to which this has happened."""


def version(tx: Transaction, of: Stock, uri: str, **columns: object) -> int:
    """A row of ``documents``; its number."""
    row = {
        "kb_id": of.key, "job_seq": of.seq, "index_version": 2, "uri": uri, "title": "", "media_type": "",
        "content_hash": "", "recipe": "", "state": DocumentState.SEARCHABLE, **columns,
    }  # fmt: skip
    marks = ", ".join("?" * len(row))
    return int(tx.value(f"INSERT INTO documents ({', '.join(row)}) VALUES ({marks}) RETURNING id", *row.values()))


def happen(tx: Transaction, made: Stock, older: Stock) -> None:
    """All of ``IN_PLACE``."""
    loaded, chunked = DocumentState.LOADED, DocumentState.CHUNKED
    number: dict[str, int] = dict(
        tx.rows("SELECT uri, id FROM documents WHERE kb_id = ? AND index_version = 1", made.key)
    )
    tx.run("DELETE FROM catalogue WHERE kb_id = ? AND uri = 'not known'", made.key)
    tx.run("UPDATE catalogue SET skipped = 1 WHERE kb_id = ? AND uri = 'skipped'", made.key)
    tx.run("UPDATE catalogue SET source = 'wiki' WHERE kb_id = ? AND uri LIKE 'uncertain%'", made.key)
    states = {"failed": EntryState.FAILED, "unchanged": EntryState.UNCHANGED, "found gone": EntryState.GONE}
    states |= {"left": EntryState.SKIPPED, "uncertain, left": EntryState.SKIPPED}
    for uri in IN_PLACE:
        source = "wiki" if uri.startswith("uncertain") else "default"
        sql = "INSERT INTO job_entries (job_seq, uri, source, state) VALUES (?, ?, ?, ?)"
        if uri not in {"not listed", "uncertain"}:
            tx.run(sql, made.seq, uri, source, states.get(uri, EntryState.LOADED))
        tx.run(sql, older.seq, uri, source, EntryState.UNCHANGED)
    tx.run("UPDATE job_entries SET state = ? WHERE uri = 'found gone' AND job_seq = ?", EntryState.SKIPPED, made.seq)
    version(tx, made, "in hand", state=loaded)
    version(tx, older, "in hand of an older job", state=loaded)
    version(tx, made, "made since")
    version(tx, made, "made", index_version=3)
    version(tx, made, "copied", state=chunked, carried_from=number["copied"])
    version(tx, made, "copy gone", state=DocumentState.GONE, carried_from=number["copy gone"])
    version(tx, older, "copied by an older job", state=chunked, carried_from=number["copied by an older job"])
    version(tx, older, "copy in use", carried_from=number["copy in use"])
    version(tx, made, "copied elsewhere", index_version=3, state=chunked, carried_from=number["copied elsewhere"])
    version(tx, made, "of another index", index_version=0)


@pytest.fixture
async def made(database: Database) -> Stock:
    older, other = await stock(database, job_id="older"), await stock(database, "other", "other")
    found = await stock(database)
    await database.write(lambda tx: version(tx, found, "made before"))
    for each in (found, other):
        await each.publish(*((uri, f"{uri} in {each.kb_id}") for uri in IN_PLACE))
        await each.note(*IN_PLACE)

    def neighbour(tx: Transaction) -> None:
        for uri in IN_PLACE:  # of another knowledge base, and so nothing
            version(tx, other, uri, state=DocumentState.LOADED, job_seq=found.seq)
            version(tx, other, uri)

    await database.write(neighbour)
    await database.write(lambda tx: happen(tx, found, older))
    return found


def target(made: Stock) -> Target:
    return Target(made.seq, made.key, 2, "recipe")


async def test_the_new_index_lacks_what_stays_and_could_not_be_made(made: Stock) -> None:
    async def lacking(uncertain: Sequence[str], limit: int) -> list[int]:
        found: list[int] = []
        after: str | None = ""
        while after is not None:
            origins, after = await made.database.read(_page(made, uncertain, after, limit))
            found += [origin.id for origin in origins]
        return found

    sql = f"SELECT uri, id FROM documents WHERE kb_id = '{made.key}' AND index_version = 1"
    number = dict(select(made.database.path, sql))
    expected = [number[uri] for uri in sorted(IN_PLACE) if IN_PLACE[uri]]
    assert await lacking(["wiki"], 3) == await lacking(["wiki"], 100) == expected
    assert await lacking([], 100) == [key for key in expected if key != number["uncertain"]]
    every = await lacking(["wiki", "default"], 100)
    assert sorted(every) == sorted([*expected, number["not listed"]])


def _page(made: Stock, uncertain: Sequence[str], after: str, limit: int) -> Any:
    return lambda tx: CarriedOver(tx, target(made)).lacking(1, uncertain, after, limit)


async def test_copies_are_whole_and_those_whose_origin_is_gone_meanwhile_are_too(made: Stock) -> None:
    path = made.database.path
    sql = f"SELECT uri, id FROM documents WHERE kb_id = '{made.key}' AND index_version = 1"
    number = dict(select(path, sql))
    wanted = [number["failed"], number["loaded"], number["made"]]
    gone = "UPDATE documents SET state = 10 WHERE id = ?"

    async def write(step: Any) -> Any:
        return await made.database.write(lambda tx: step(CarriedOver(tx, target(made))))

    await made.database.write(lambda tx: tx.run(gone, number["made"]))
    copies = await write(lambda copied: copied.begin(wanted))
    assert list(copies) == wanted[:2]
    await write(lambda copied: copied.copy_texts(copies))
    await write(lambda copied: copied.copy_chunks(copies))
    await made.database.write(lambda tx: tx.run(gone, number["loaded"]))
    [chunks] = select(path, f"SELECT chunk_count FROM documents WHERE id = {number['failed']}")[0]
    assert await write(lambda copied: copied.finish(copies)) == chunks > 0
    assert await write(lambda copied: copied.finish(copies)) == 0, "once"
    columns = "uri, job_seq, index_version, state, carried_from, chunk_count, stamp"
    rows = select(path, f"SELECT {columns} FROM documents WHERE id IN {tuple(copies.values())} ORDER BY id")
    assert rows == [
        ("failed", made.seq, 2, DocumentState.CHUNKED, number["failed"], chunks, None),
        ("loaded", made.seq, 2, DocumentState.GONE, number["loaded"], chunks, None),
    ]
    for table, columns in (("texts", "text, parts"), ("chunks", "start, stop, text_hash, context")):
        was, now = (
            select(path, f"SELECT id & 1048575, {columns} FROM {table} WHERE id >> 20 = {key}")
            for key in (number["failed"], copies[number["failed"]])
        )
        assert now == was != []
    assert (
        select(path, f"SELECT vector_id FROM chunks WHERE id >> 20 = {copies[number['failed']]}") == [(None,)] * chunks
    )


@pytest.mark.parametrize(
    ("beside", "is_dropped"),
    [
        ({"state": DocumentState.LOADED}, True),
        ({"state": DocumentState.SEARCHABLE}, True),
        ({"state": DocumentState.SEARCHABLE, "carried_from": 1}, False),
        ({"state": DocumentState.SEARCHABLE, "index_version": 3}, False),
        ({"state": DocumentState.SEARCHABLE, "job_seq": 1}, False),
        ({"state": DocumentState.LOADED, "job_seq": 1}, False),
        ({"state": DocumentState.GONE}, False),
        ({"state": DocumentState.LOADED, "uri": "another"}, False),
    ],
)
async def test_a_copy_is_dropped_for_what_the_job_has_made_of_its_document_after_all(
    database: Database, beside: dict[str, object], is_dropped: bool
) -> None:
    await stock(database, job_id="older")
    other, made = await stock(database, "other", "other"), await stock(database)

    def drop(tx: Transaction) -> tuple[set[int], int, int]:
        copy = version(tx, made, "a", state=DocumentState.EMBEDDED, carried_from=7, chunk_count=3)
        loaded = version(tx, made, "b", state=DocumentState.EMBEDDED, chunk_count=3)
        version(tx, made, "b", state=DocumentState.LOADED)
        version(tx, other, "a", state=DocumentState.LOADED, job_seq=made.seq)
        version(tx, other, "a", job_seq=made.seq)
        version(tx, made, **{"uri": "a", **beside})  # type: ignore[arg-type]  # the uri is one
        return drop_superseded(tx, [copy, loaded]), copy, loaded

    dropped, copy, loaded = await database.write(drop)
    assert dropped == ({copy} if is_dropped else set())
    rows = select(database.path, f"SELECT state, indexed FROM documents WHERE id IN ({copy}, {loaded}) ORDER BY id")
    assert rows == [(DocumentState.GONE, 3) if is_dropped else (DocumentState.EMBEDDED, 0), (DocumentState.EMBEDDED, 0)]
