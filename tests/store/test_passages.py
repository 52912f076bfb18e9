"""What a job finds of what search sees: how many documents each source had, and how many are gone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from phaseflow.domain.errors import StaleRun
from phaseflow.store.database import Database
from phaseflow.store.passage_vectors import PackedVectors, PassageVectors, vectors_of
from phaseflow.store.passages import SearchablePassages, names, sizes_of, withdraw_live
from phaseflow.store.pieces import piece_id
from phaseflow.store.states import DocumentState, EntryState
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import SIZE, Stock, stock

T = TypeVar("T")
SINCE = "2026-01-02T00:00:00.000Z"


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_census_counts_by_source_without_what_is_found_and_new(database: Database, limit: int) -> None:
    made = await stock(database)
    documents = {
        # uri: (source, found by the crawl, new since the job)
        "a": ("docs", True, False), "b": ("docs", True, True), "c": ("docs", False, False), "d": ("docs", False, True),
        "e": ("wiki", True, False), "f": ("wiki", True, True), "g": ("blog", True, True),
    }  # fmt: skip
    await made.publish(*((uri, uri) for uri in documents))

    def arrange(tx: Transaction) -> None:
        for uri, (source, is_found, is_new) in documents.items():
            at = SINCE if is_new else "2026-01-01T00:00:00.000Z"
            tx.run("UPDATE documents SET source = ? WHERE uri = ?", source, uri)
            tx.run(
                "INSERT INTO catalogue (kb_id, uri, document_id, source, created_at) VALUES (?, ?, ?, ?, ?)",
                made.key, uri, uri, source, at,
            )  # fmt: skip
            if is_found:
                tx.run(
                    "INSERT INTO job_entries (job_seq, uri, source, state) VALUES (?, ?, ?, ?)",
                    made.seq, uri, source, EntryState.LOADED,
                )  # fmt: skip

    await database.write(arrange)
    had: dict[str, int] = {}
    gone: dict[str, int] = {}
    after: str | None = ""
    while after is not None:
        found, after = await database.read(
            lambda tx, after=after: SearchablePassages(tx, made.scope).census(made.seq, SINCE, [], after, limit)  # type: ignore[misc]  # bound in the loop
        )
        for each in found:
            had[each.source] = had.get(each.source, 0) + each.documents
            gone[each.source] = gone.get(each.source, 0) + each.gone
    assert had == {"docs": 3, "wiki": 1}
    assert gone == {"docs": 2, "wiki": 0}


async def test_passages_are_told_with_their_documents_and_vectors_where_they_have_any(database: Database) -> None:
    made = await stock(database)
    (first,) = await made.publish(("a", "alpha " * SIZE))
    ids = [first.chunk_id(2), first.chunk_id(0), piece_id(99, 0)]
    assert await database.read(lambda tx: names(tx, ids)) == [(ids[0], "A", "a"), (ids[1], "A", "a")]
    vectors = [first.hashes[n][:8] for n in (0, 2)]
    assert await database.read(lambda tx: vectors_of(tx, ids)) == [(ids[1], vectors[0]), (ids[0], vectors[1])]
    assert await database.read(lambda tx: SearchablePassages(tx, made.scope).has_documents())
    assert await database.write(lambda tx: withdraw_live(tx, made.key, "a"))
    assert not await database.write(lambda tx: withdraw_live(tx, made.key, "a"))
    assert not await database.read(lambda tx: SearchablePassages(tx, made.scope).has_documents())


async def test_what_search_sees_is_told_since_a_revision_in_one_row(database: Database) -> None:
    made = await stock(database)

    async def revision() -> int:
        return (await database.read(lambda tx: SearchablePassages(tx, made.scope).live_documents()))[0]

    (first,) = await made.publish(("a", "x" * (2 * SIZE + 3)))
    seen = await revision()
    (second,) = await made.publish(("b", "y" * (SIZE + 1)))
    assert await revision() == seen + 1
    a, b = [first.chunk_id(n) for n in range(3)], [second.chunk_id(n) for n in range(2)]

    def sizes(tx: Transaction, since: int) -> list[list[int]]:
        return [
            [int(each) for each in text.split(",") if each]
            for text in SearchablePassages(tx, made.scope).sizes_since(since)
        ]

    assert await database.read(lambda tx: sizes_of(tx, [second.id, first.id])) == (
        ",".join(map(str, [*b, *a])), f"{SIZE},1,{SIZE},{SIZE},3",
    )  # fmt: skip
    assert await database.read(lambda tx: sizes(tx, 0)) == [[*a, *b], [SIZE, SIZE, 3, SIZE, 1]]
    assert await database.read(lambda tx: sizes(tx, seen)) == [b, [SIZE, 1]]
    assert await database.read(lambda tx: sizes(tx, seen + 1)) == [[], []]
    await database.write(
        lambda tx: tx.run("UPDATE vectors SET vector = zeroblob(12) WHERE text_hash = ?", second.hashes[1])
    )
    for since, first_id, last_id, ids, size in (
        (0, a[0], b[1], [*a, *b], 0),
        (0, a[1], b[0], [a[1], a[2], b[0]], 8),
        (seen, a[0], b[1], b, 0),
        (seen + 1, a[0], b[1], [], 0),
    ):

        def vectors(tx: Transaction, *of: int) -> tuple[PackedVectors, str]:
            found = PassageVectors(tx, made.scope)
            return found.since(*of), found.ids_since(*of)

        found, texts = await database.read(lambda tx, of=(since, first_id, last_id): vectors(tx, *of))  # type: ignore[misc]  # bound in the loop
        assert ([int(each) for each in texts.split(",") if each], found.count) == (ids, len(ids))
        assert found.size == size
        assert len(found.packed) == 8 * len(ids) + (4 if ids and not size else 0)


async def test_passages_are_counted_as_indexed_from_where_they_were_or_not_at_all(database: Database) -> None:
    made = await stock(database)
    (document,) = await made.load(("a", "alpha"))
    await database.write(lambda tx: SearchablePassages(tx, made.scope).note_indexed(document.id, 0, 3))
    with pytest.raises(StaleRun, match="in other hands"):
        await database.write(lambda tx: SearchablePassages(tx, made.scope).note_indexed(document.id, 0, 5))
    assert select(database.path, "SELECT indexed FROM documents") == [(3,)]


STAYS = {
    "listed": True, "loaded": True, "unchanged": True, "failed": True, "left": False, "gone": False, "returned": True,
    "skipped": False, "not listed": False, "wiki": True, "wiki, left": False, "wiki of old": True, "of old": False,
}  # fmt: skip
"""Whether a crawl to which this has happened keeps a document, where the source ``wiki`` is uncertain."""


async def beside_a_neighbour(database: Database, *uris: str) -> tuple[Stock, Stock, Stock]:
    """(an older job, a knowledge base, another one) with the same documents, which search sees."""
    older, other = await stock(database, job_id="older"), await stock(database, "other", "other")
    made = await stock(database)
    for each in (made, other):
        await each.publish(*((uri, f"{uri} in {each.kb_id}") for uri in uris))
        await each.note(*uris)
    return older, made, other


@pytest.mark.parametrize("limit", [3, 100])
async def test_what_a_crawl_did_not_find_is_missing_unless_its_source_is_uncertain(
    database: Database, limit: int
) -> None:
    older, made, other = await beside_a_neighbour(database, *STAYS)
    states = {
        "listed": EntryState.LISTED, "unchanged": EntryState.UNCHANGED, "failed": EntryState.FAILED,
        "left": EntryState.SKIPPED, "gone": EntryState.GONE, "returned": EntryState.RETURNED,
        "wiki, left": EntryState.SKIPPED,
    }  # fmt: skip

    def arrange(tx: Transaction) -> None:
        sql = "INSERT INTO job_entries (job_seq, uri, source, state) VALUES (?, ?, ?, ?)"
        for uri in STAYS:
            tx.run(
                "UPDATE catalogue SET source = 'wiki' WHERE kb_id = ? AND uri = ? AND uri GLOB 'wiki*'", made.key, uri
            )
            if uri not in {"not listed", "wiki", "wiki of old", "of old"}:
                source = "wiki" if uri.startswith("wiki") else "default"
                tx.run(sql, made.seq, uri, source, states.get(uri, EntryState.LOADED))
            tx.run(sql, older.seq, uri, "default", EntryState.LOADED if uri.endswith("old") else EntryState.SKIPPED)
        tx.run("UPDATE catalogue SET skipped = 1 WHERE uri = 'skipped' AND kb_id = ?", made.key)
        tx.run("UPDATE catalogue SET skipped = 1, source = 'wiki' WHERE kb_id = ?", other.key)
        tx.run("INSERT INTO job_sources (job_seq, name, listed) VALUES (?, 'default', 1)", made.seq)

    await database.write(arrange)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        some, after = await database.read(_missing(made, ["wiki"], after, limit))
        assert {source for _, uri, source in some} <= {"default", "wiki"}
        found += [uri for _, uri, _ in some]
    assert found == sorted(uri for uri, stays in STAYS.items() if not stays)
    certain, _ = await database.read(_missing(made, [], "", 100))
    assert [uri for _, uri, _ in certain] == sorted([*found, "wiki", "wiki of old"])


def _missing(made: Stock, uncertain: list[str], after: str, limit: int) -> Any:
    return lambda tx: SearchablePassages(tx, made.scope).missing(made.seq, uncertain, after, limit)


async def test_a_new_version_takes_the_place_of_the_one_of_its_index_and_knowledge_base(database: Database) -> None:
    _, made, _ = await beside_a_neighbour(database, "a", "b")
    sql = "SELECT kb_id, uri, index_version, state FROM documents ORDER BY id"
    before = select(database.path, sql)
    await replace(made, index_version=2).publish(("a", "new"))
    new = (made.key, "a", 2, DocumentState.SEARCHABLE)
    assert select(database.path, sql) == [*before, new]
    await made.publish(("a", "newer"))
    before[before.index((made.key, "a", 1, DocumentState.SEARCHABLE))] = (made.key, "a", 1, DocumentState.GONE)
    assert select(database.path, sql) == [*before, new, (made.key, "a", 1, DocumentState.SEARCHABLE)]


async def test_what_other_index_versions_have_is_taken_out_so_many_at_a_time(database: Database) -> None:
    _, made, other = await beside_a_neighbour(database, "a", "b")
    await replace(other, index_version=2).publish(("a", "another"))

    async def search(step: Callable[[SearchablePassages], T]) -> T:
        return await database.write(lambda tx: step(SearchablePassages(tx, made.scope)))

    assert not await search(lambda seen: seen.has_other_versions())
    for index_version, uris in ((0, "cd"), (2, "ab")):
        await replace(made, index_version=index_version).publish(*((uri, f"{uri} {index_version}") for uri in uris))
        assert await search(lambda seen: seen.has_other_versions())
        assert await search(lambda seen: seen.withdraw_other_versions(1)) == 1
        assert await search(lambda seen: seen.withdraw_other_versions(9)) == 1
        assert not await search(lambda seen: seen.has_other_versions())
    assert await search(lambda seen: seen.withdraw_other_versions(9)) == 0
    sql = "SELECT kb_id, uri, index_version FROM documents WHERE state = 4 ORDER BY id"
    assert select(database.path, sql) == [
        (made.key, "a", 1), (made.key, "b", 1), (other.key, "a", 1), (other.key, "b", 1), (other.key, "a", 2),
    ]  # fmt: skip


async def test_search_sees_the_passages_of_its_own_documents_only(database: Database) -> None:
    _, made, other = await beside_a_neighbour(database, "a", "b")
    [newer] = await replace(made, index_version=2).publish(("a", "another index"))
    sql = "SELECT d.uri, c.id FROM chunks AS c JOIN documents AS d ON d.id = c.document_id WHERE d.index_version = 1"
    mine, theirs = (dict(select(database.path, f"{sql} AND d.kb_id = '{each.key}'")) for each in (made, other))
    chunks = [*mine.values(), *theirs.values(), newer.chunk_id(0)]

    async def fetch() -> dict[int, str]:
        found = await database.read(lambda tx: SearchablePassages(tx, made.scope).fetch(chunks))
        return {key: each.text for key, each in found.items()}

    assert await fetch() == {mine["a"]: "a in kb", mine["b"]: "b in kb"}
    ids = ",".join(str(chunk >> 20) for chunk in mine.values())
    assert (await database.read(lambda tx: SearchablePassages(tx, made.scope).live_documents()))[1] == ids
    assert await database.write(lambda tx: withdraw_live(tx, made.key, "a"))
    assert not await database.write(lambda tx: withdraw_live(tx, made.key, "x"))
    assert await fetch() == {mine["b"]: "b in kb"}
    assert len(select(database.path, "SELECT 1 FROM documents WHERE state = 4")) == 4, "one is of a later index"
