"""What nobody sees any more goes in steps, none of which takes longer the more there is."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from phaseflow.store import leftovers
from phaseflow.store.database import Database
from phaseflow.store.documents import StagedDocuments
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.leftovers import Leftovers
from phaseflow.store.transaction import Transaction
from tests.store.full_text import check_consistent, indexed_passages
from tests.store.probes import select
from tests.store.stock import NOW, SIZE, Stock, cut, embed, publish, stock

PASSAGES = 5
TABLES = ("documents", "chunks", "texts")


@pytest.fixture
async def gone(database: Database) -> Stock:
    """Three documents of five passages each that were withdrawn beside one that is searchable."""
    made = await stock(database)
    documents = await made.publish(*((uri, f"{uri} " * (PASSAGES * SIZE // 2)) for uri in "abcd"))
    await database.write(lambda tx: StagedDocuments(tx).withdraw([each.id for each in documents[:3]]))
    return made


async def steps(database: Database) -> list[list[int]]:
    """How many rows of each table, and passages in the index, are there after each step of the janitor."""
    found = []
    while await database.write(lambda tx: Leftovers(tx).remove_some()):
        await database.write(check_consistent)
        rows = [select(database.path, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]
        found.append([*rows, len(indexed_passages(database.path))])
        assert len(found) < 100
    return found


async def test_passages_leave_the_index_so_many_at_a_time_and_the_rows_after_them(
    gone: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_STEP_PASSAGES", 2 * PASSAGES - 3)
    found = await steps(gone.database)
    indexed = [step[-1] for step in found]
    assert indexed[:2] == [20 - 7, 20 - 14]
    assert indexed[-1] == found[-1][1] == PASSAGES
    assert found[-1] == [1, PASSAGES, 1, PASSAGES]
    assert [step[0] for step in found[:2]] == [3, 2]  # a document goes with the last of its passages


async def test_a_step_ends_with_the_passage_that_has_too_many_characters(
    gone: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_STEP_CHARACTERS", 2 * SIZE + 1)
    found = await steps(gone.database)
    assert [step[-1] for step in found[:5]] == [17, 14, 11, 8, 5]
    assert found[-1] == [1, PASSAGES, 1, PASSAGES]


async def test_what_stands_above_a_passage_counts_too(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await stock(database)
    plain = [cut(document) for document in await made.load(("a", "a " * (PASSAGES * SIZE // 2)))]
    staged = [replace(document, contexts=["x" * (2 * SIZE)] * PASSAGES) for document in plain]
    await database.write(lambda tx: StagedDocuments(tx).cut(staged, NOW))
    await database.write(lambda tx: embed(tx, staged))
    await database.write(lambda tx: publish(tx, made.scope, staged))
    await database.write(lambda tx: StagedDocuments(tx).withdraw([each.id for each in staged]))
    monkeypatch.setattr(leftovers, "_STEP_CHARACTERS", 3 * SIZE)
    assert [step[-1] for step in (await steps(database))[:PASSAGES]] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("limit", ["_STEP_ROWS", "_STEP_SEGMENTS"])
async def test_rows_go_so_many_at_a_time(gone: Stock, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(leftovers, limit, 3)
    path = gone.database.path
    await gone.database.write(
        lambda tx: tx.run("INSERT INTO texts (id, text, parts) SELECT id + ?, 'x', '[]' FROM texts, (SELECT 0)", 1)
    )
    counts = [tuple(select(path, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES)]
    while await gone.database.write(lambda tx: Leftovers(tx).remove_some()):
        counts.append(tuple(select(path, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES))
        assert len(counts) < 100
    taken = [[a - b for a, b in zip(before, after, strict=True)] for before, after in pairwise(counts)]
    column = 1 if limit == "_STEP_ROWS" else 2
    assert max(step[column] for step in taken) == 3
    assert counts[-1] == (1, PASSAGES, 2)


async def test_a_deleted_knowledge_base_goes_in_steps_and_leaves_its_neighbour_whole(
    gone: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = gone.database
    other = await stock(database, "other", "other")
    await other.publish(("a", "alpha " * SIZE))
    await database.write(lambda tx: KnowledgeBases(tx).remove("kb"))
    for name in ("_STEP_DOCUMENTS", "_STEP_ROWS"):
        monkeypatch.setattr(leftovers, name, 3)
    before = {table: select(database.path, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
    while await database.read(lambda tx: Leftovers(tx).are_there()):
        assert await database.write(lambda tx: Leftovers(tx).remove_some())
        after = {table: select(database.path, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
        assert before["chunks"] - after["chunks"] <= 3
        assert before["documents"] - after["documents"] <= 3
        before = after
    assert not await database.write(lambda tx: Leftovers(tx).remove_some())
    assert select(database.path, "SELECT uri FROM documents") == [("a",)]
    assert before["chunks"] == len(indexed_passages(database.path)) == 6
    assert select(database.path, "SELECT name FROM knowledge_bases") == [("other",)]


OF_A_NAME = ("failures", "requests", "pushed", "catalogue", "left_out")
OF_A_JOB = {
    "job_entries": "job_seq", "displaced_entries": "job_seq", "unlisted_parts": "job_seq", "transitions": "job_id",
}  # fmt: skip


def _fill(tx: Transaction, made: Stock) -> None:
    """Five rows in each table that is emptied by parts."""
    for uri in "vwxyz":
        values = {
            "failures": (made.key, uri, made.seq, "loading", "code", "error", 1, ""),
            "left_out": (made.key, uri),
        }
        for table, row in values.items():
            tx.run(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
        tx.run("INSERT INTO requests (kb_id, uri, requested_at) VALUES (?, ?, '')", made.key, uri)
        tx.run(
            "INSERT INTO pushed (kb_id, uri, size, digest, content, pushed_at) VALUES (?, ?, 1, '', x'00', '')",
            made.key, uri,
        )  # fmt: skip
        tx.run(
            "INSERT INTO catalogue (kb_id, uri, document_id, created_at) VALUES (?1, ?2, ?1 || ?2, '')", made.key, uri
        )
        tx.run("INSERT INTO job_entries (job_seq, uri) VALUES (?, ?)", made.seq, uri)
        tx.run("INSERT INTO displaced_entries (job_seq, source, holder, uri) VALUES (?, '', '', ?)", made.seq, uri)
        tx.run("INSERT INTO unlisted_parts (job_seq, source, place, uri) VALUES (?1, '', ?2, ?2)", made.seq, uri)


async def test_whatever_is_known_by_name_or_job_goes_in_steps_and_that_of_a_neighbour_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(made: Stock) -> dict[str, int]:
        of = dict.fromkeys(OF_A_NAME, f"kb_id = '{made.key}'")
        of |= {table: f"{column} IN ('{made.job_id}', {made.seq})" for table, column in OF_A_JOB.items()}
        return {
            table: select(database.path, f"SELECT count(*) FROM {table} WHERE {which}")[0][0]
            for table, which in of.items()
        }

    gone, stays = await stock(database), await stock(database, "other", "other job")
    for each in (gone, stays):
        await database.write(partial(_fill, made=each))
    await database.write(lambda tx: KnowledgeBases(tx).remove("kb"))
    monkeypatch.setattr(leftovers, "_STEP_ROWS", 2)
    counts, kept = [rows(gone)], rows(stays)
    while await database.write(lambda tx: Leftovers(tx).remove_some()):
        assert rows(stays) == kept
        counts.append(rows(gone))
        assert len(counts) < 100
    assert min(kept.values()) == 5
    steps = [{table: before[table] - after[table] for table in before} for before, after in pairwise(counts)]
    assert max(sum(step.values()) for step in steps) == 2
    assert {max(step[table] for step in steps) for table in kept} == {2}
    assert set(counts[-1].values()) == {0}


async def test_the_vectors_kept_for_a_knowledge_base_are_due_once_it_is_deleted(gone: Stock) -> None:
    path, kept = gone.database.path, "SELECT count(*) FROM unused_vectors WHERE since > ''"
    await steps(gone.database)
    assert select(path, kept) == [(3,)]
    await gone.database.write(lambda tx: KnowledgeBases(tx).remove("kb"))
    await steps(gone.database)
    assert select(path, kept) == [(0,)]
    assert select(path, "SELECT count(*) FROM unused_vectors") == [(4,)]
