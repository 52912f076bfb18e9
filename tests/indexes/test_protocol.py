"""What every index outside the database does alike."""

from collections.abc import Sequence
from typing import Any

import anyio
import numpy as np
import numpy.typing as npt
import pytest

from phaseflow.components.indexes import Candidate, Index, IndexDocument, Query, Space
from phaseflow.components.indexes import postgres as postgres_index
from phaseflow.components.indexes.postgres import WORTH_AN_INDEX, PostgresIndex
from tests.indexes.postgres import PASSWORD, Postgres
from tests.stopwatch import Stopwatch, fail_soon

Numbers = npt.NDArray[np.float32]
SPACE = Space("pf_test_1", 16)


def some_vectors(count: int, seed: int = 1, dimension: int = 16) -> Numbers:
    found = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    length: Numbers = np.linalg.norm(found, axis=1, keepdims=True)
    return found / length


def a_document(document_id: int, vectors: Numbers, first: int = 0) -> IndexDocument:
    return IndexDocument(document_id, f"{document_id}.md", "T", first, ["text"] * len(vectors), vectors)


def nearest(documents: Sequence[IndexDocument], vector: Numbers, limit: int) -> list[Candidate]:
    """What an exact search finds."""
    found = [(-float(row @ vector), d.document_id, d.first + n) for d in documents for n, row in enumerate(d.vectors)]
    return [Candidate(*each[1:]) for each in sorted(found)[:limit]]


async def found(index: Index, vector: Numbers, limit: int = 5, only: Sequence[int] | None = None) -> list[Candidate]:
    return list(await index.search(SPACE, Query("words", vector, limit, only)))


async def test_the_nearest_passages_are_proposed_best_first(index: Index) -> None:
    vectors = some_vectors(60)
    documents = [a_document(n + 1, vectors[3 * n : 3 * n + 3]) for n in range(20)]
    await index.create(SPACE)
    await index.create(SPACE)
    await index.put(SPACE, documents[:7])
    await index.put(SPACE, documents[7:])
    query = some_vectors(1, seed=2)[0]
    assert await found(index, query) == nearest(documents, query, 5)
    only = [2, 5, 11]
    assert await found(index, query, 50, only) == nearest([d for d in documents if d.document_id in only], query, 50)
    assert await found(index, query, 5, []) == []
    assert len(await found(index, query, 1000)) == 60


async def test_what_is_put_again_stands_once_and_a_long_document_comes_in_parts(index: Index) -> None:
    vectors = some_vectors(9)
    await index.create(SPACE)
    for _ in range(2):
        await index.put(SPACE, [a_document(1, vectors[:4])])
        await index.put(SPACE, [a_document(1, vectors[4:], first=4), a_document(2, vectors[:1])])
    await index.put(SPACE, [])
    at = await found(index, vectors[6], 20)
    assert len(at) == 10
    assert set(at) == {(2, 0), *((1, n) for n in range(9))}
    await index.put(SPACE, [a_document(1, vectors[8:], first=2)])
    assert set(await found(index, vectors[8], 2)) == {(1, 2), (1, 8)}


async def test_documents_and_spaces_go_and_those_unknown_are_no_error(index: Index) -> None:
    other = Space("pf_test_2", 16)
    vectors = some_vectors(3)
    for space in (SPACE, other):
        await index.create(space)
        await index.put(space, [a_document(key, vectors) for key in (1, 5, 9, 12)])
    assert sorted([name async for name in index.spaces()]) == [SPACE.name, other.name]
    await index.remove(SPACE, [5, 777])
    assert await index.document_ids(SPACE, 0, 2) == [1, 9]
    assert await index.document_ids(SPACE, 9, 2) == [12]
    assert await index.document_ids(SPACE, 12, 2) == []
    assert {key for key, _ in await found(index, vectors[0], 50)} == {1, 9, 12}
    await index.drop(SPACE.name)
    await index.drop(SPACE.name)
    assert [name async for name in index.spaces()] == [other.name]
    assert await index.document_ids(other, 0, 10) == [1, 5, 9, 12]
    await index.remove(SPACE, [1])
    assert await index.document_ids(SPACE, 0, 10) == []
    assert await found(index, vectors[0]) == []


async def test_what_makes_it_fast_changes_nothing_that_is_found(index: Index) -> None:
    vectors = some_vectors(300)
    documents = [a_document(n + 1, vectors[3 * n : 3 * n + 3]) for n in range(100)]
    await index.ready(SPACE)
    await index.create(SPACE)
    await index.ready(SPACE)
    await index.put(SPACE, documents)
    await index.ready(SPACE)
    await index.ready(SPACE)
    query = some_vectors(1, seed=2)[0]
    assert await found(index, query) == nearest(documents, query, 5)
    await index.ping()


async def _fill(index: PostgresIndex, first: int, count: int) -> None:
    vectors = some_vectors(count, seed=first)
    for n in range(0, count, 4000):
        await index.put(
            SPACE, [a_document(first + n + i, vectors[n + i : n + i + 1]) for i in range(min(4000, count - n))]
        )


async def _followed(connection: Any) -> str:
    [setting] = await (await connection.execute("SHOW hnsw.ef_search")).fetchone()
    return str(setting)


async def test_new_rows_get_an_index_of_their_own_and_those_alike_become_one(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_index, "WORTH_AN_INDEX", 500)
    monkeypatch.setattr(postgres_index, "FEW_DOCUMENTS", 10)

    def covered() -> list[str]:
        return [
            str(row[0]).rpartition("WHERE ")[2]
            for row in postgres.rows("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%hnsw%' ORDER BY 1")
        ]

    index = PostgresIndex("main", postgres.url)
    await index.create(SPACE)
    await _fill(index, 1, 499)
    await index.ready(SPACE)
    assert covered() == []
    await _fill(index, 500, 1)
    await index.ready(SPACE)
    assert covered() == ["((document_id > 0) AND (document_id <= 500))"]
    query = some_vectors(1, seed=5)[0]
    before = await found(index, query, 10)
    await _fill(index, 501, 500)
    plan = await found(index, query, 10)
    assert set(before) & set(plan), "the index and what it does not cover are both searched"
    await index.ready(SPACE)
    assert covered() == ["((document_id > 0) AND (document_id <= 1000))"]
    monkeypatch.setattr(postgres_index, "ROWS_AN_EF", 10)
    await found(index, query, 10)
    assert await index._connections.run(_followed) == "100", "in a larger one more neighbours are followed"
    assert len(set(await found(index, query, 10)) & set(plan)) >= 8, "an index over all finds about the same"
    chosen = list(range(1, 1000, 3))
    some = await found(index, query, 100, chosen)
    assert len(some) == 100
    assert {key for key, _ in some} <= set(chosen)
    await _fill(index, 1001, 4 * 1000 + 500)
    await index.ready(SPACE)
    await _fill(index, 6001, 500)
    await index.ready(SPACE)
    assert [each.partition("<= ")[0] for each in covered()] == [
        "((document_id > 0) AND (document_id ",
        "((document_id > 5500) AND (document_id ",
    ], "a much larger one is left alone"
    await index.aclose()


async def test_building_can_be_dropped_and_leaves_nothing(postgres: Postgres) -> None:
    index = PostgresIndex("main", postgres.url)
    await index.create(Space(SPACE.name, 256))
    vectors = some_vectors(WORTH_AN_INDEX, dimension=256)
    await index.put(Space(SPACE.name, 256), [a_document(1, vectors)])

    def is_building() -> bool:
        return bool(
            postgres.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND state = 'active'")
        )

    with fail_soon(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(index.ready, Space(SPACE.name, 256))
            while not await anyio.to_thread.run_sync(is_building):  # noqa: ASYNC110  # only the server knows
                await anyio.sleep(0.01)
            watch = Stopwatch()
            tasks.cancel_scope.cancel()
        assert watch.within(1)
        while await anyio.to_thread.run_sync(is_building):  # noqa: ASYNC110  # its server notices within a second
            await anyio.sleep(0.05)
    assert postgres.rows("SELECT 1 FROM pg_indexes WHERE indexdef LIKE '%hnsw%'") == []
    assert len(await index.search(Space(SPACE.name, 256), Query("", vectors[0], 3))) == 3
    await index.aclose()


@pytest.mark.parametrize(("given", "taken"), [("64MB", "256MB"), ("300MB", "300MB")])
async def test_an_index_is_built_in_the_memory_that_the_server_is_set_to_or_in_enough_for_most(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, given: str, taken: str
) -> None:
    monkeypatch.setattr(postgres_index, "WORTH_AN_INDEX", 10)
    postgres.rows(
        f"ALTER ROLE phaseflow SET maintenance_work_mem = '{given}'; CREATE TABLE public.seen (memory text);"
        " CREATE FUNCTION public.see() RETURNS event_trigger LANGUAGE plpgsql AS"
        "  $$BEGIN INSERT INTO public.seen VALUES (current_setting('maintenance_work_mem')); END$$;"
        " CREATE EVENT TRIGGER see ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION public.see()"
    )
    try:
        index = PostgresIndex("main", postgres.url)
        await index.create(SPACE)
        await _fill(index, 1, 20)
        await index.ready(SPACE)
        await index.aclose()
        assert postgres.rows("SELECT memory FROM public.seen") == [(taken,)]
    finally:
        postgres.rows(
            "DROP EVENT TRIGGER see; DROP FUNCTION public.see; DROP TABLE public.seen;"
            " ALTER ROLE phaseflow RESET maintenance_work_mem"
        )


async def test_a_server_that_was_started_again_or_emptied_costs_no_call(postgres: Postgres) -> None:
    index = PostgresIndex("main", postgres.url, "pf_test")
    await index.create(SPACE)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(index.ping)
    ours = "FROM pg_stat_activity WHERE application_name LIKE 'phaseflow%'"
    assert len(postgres.rows(f"SELECT pg_terminate_backend(pid, 5000) {ours}")) > 3
    await index.put(SPACE, [a_document(1, some_vectors(2))])
    postgres.rows(f"SELECT pg_terminate_backend(pid, 5000) {ours}")
    assert len(await found(index, some_vectors(1)[0])) == 2
    postgres.rows("DROP SCHEMA phaseflow CASCADE")
    await index.create(SPACE)
    assert await index.count(SPACE) == 0
    await index.aclose()


async def test_a_user_that_owns_the_schema_needs_no_right_to_make_one(postgres: Postgres) -> None:
    postgres.rows(
        "CREATE EXTENSION IF NOT EXISTS vector; CREATE SCHEMA phaseflow; CREATE ROLE limited LOGIN PASSWORD 'limited';"
        " GRANT USAGE, CREATE ON SCHEMA phaseflow TO limited"
    )
    index = PostgresIndex("main", postgres.url.replace(f"phaseflow:{PASSWORD}", "limited:limited"), "pf_test")
    try:
        await index.create(SPACE)
        await index.put(SPACE, [a_document(1, some_vectors(2))])
        assert await index.count(SPACE) == 2
    finally:
        await index.aclose()
        postgres.rows("DROP OWNED BY limited; DROP ROLE limited")
