"""Vectors that no passage names: kept for a while for whoever may come back, then freed in steps."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from phaseflow.domain.status import timestamp
from phaseflow.store import unused_vectors
from phaseflow.store.database import Database
from phaseflow.store.transaction import Transaction
from phaseflow.store.unused_vectors import UnusedVectors
from phaseflow.store.vectors import Model, ModelVectors, check_length
from tests.store.probes import select
from tests.store.stock import NOW, Stock, stock

HASHES = [bytes([n]) * 16 for n in range(5)]


@pytest.fixture
async def made(database: Database) -> Stock:
    """A knowledge base whose job does not run, with five vectors that nobody names."""
    found = await stock(database)

    def store(tx: Transaction) -> None:
        tx.run("UPDATE ingestion_phase_status SET status = 'completed'")
        ModelVectors(tx, Model(tx, "m").number()).add(HASHES, [bytes([n]) * (n + 1) for n in range(5)])

    await database.write(store)
    return found


async def let_go(made: Stock, hashes: list[bytes], since: str = "", key: str | None = None) -> None:
    def work(tx: Transaction) -> None:
        UnusedVectors(tx).let_go(key or made.key, [(None, each) for each in hashes], at_once=False)
        if since:
            tx.run("UPDATE unused_vectors SET since = ?", since)

    await made.database.write(work)


def left(made: Stock) -> list[int]:
    """The numbers of the texts that have a vector."""
    return [row[0][0] for row in select(made.database.path, "SELECT text_hash FROM vectors ORDER BY text_hash")]


async def ask(made: Stock, what: Callable[[UnusedVectors], bool]) -> bool:
    return await made.database.write(lambda tx: what(UnusedVectors(tx)))


async def test_a_vector_is_stored_as_it_was_given_and_known_by_its_text(made: Stock) -> None:
    rows = select(made.database.path, "SELECT text_hash, vector FROM vectors ORDER BY text_hash")
    assert rows == [(HASHES[n], bytes([n]) * (n + 1)) for n in range(5)]
    asked = [b"x" * 16, HASHES[3], b"y" * 16, HASHES[0]]
    assert await made.database.read(lambda tx: ModelVectors(tx, 1).known(asked)) == {HASHES[3], HASHES[0]}
    assert await made.database.read(lambda tx: ModelVectors(tx, 1).known([])) == set()


async def test_the_vectors_of_texts_go_in_their_turn_and_the_others_stay(made: Stock) -> None:
    await let_go(made, [HASHES[4], b"none of them    ", HASHES[1]])
    assert select(made.database.path, "SELECT count(*) FROM unused_vectors") == [(2,)]
    assert await ask(made, lambda unused: unused.are_due(UnusedVectors.due_before(NOW + timedelta(days=999_999), 0)))
    assert await ask(made, lambda unused: unused.free_some(UnusedVectors.due_before(NOW, 0)))
    assert left(made) == [0, 2, 3]
    assert not await ask(made, lambda unused: unused.free_some(UnusedVectors.due_before(NOW, 0)))


@pytest.mark.parametrize(("keep_days", "is_due"), [(0.0, True), (1.0, True), (0.99, True), (1.01, False), (30, False)])
async def test_a_vector_is_kept_for_so_many_days(made: Stock, keep_days: float, is_due: bool) -> None:
    await let_go(made, HASHES[:1], timestamp(NOW - timedelta(days=1)))
    before = UnusedVectors.due_before(NOW, keep_days)
    assert await ask(made, lambda unused: unused.are_due(before)) == is_due
    assert await ask(made, lambda unused: unused.free_some(before)) == is_due
    assert left(made) == ([1, 2, 3, 4] if is_due else [0, 1, 2, 3, 4])


async def test_vectors_are_freed_so_many_at_a_time(made: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unused_vectors, "_STEP_VECTORS", 2)
    await let_go(made, HASHES)
    sizes = []
    while await ask(made, lambda unused: unused.free_some(UnusedVectors.due_before(NOW, 0))):
        sizes.append(len(left(made)))
    assert sizes == [3, 1, 0]


async def test_none_is_freed_while_a_job_embeds(made: Stock) -> None:
    await let_go(made, HASHES)
    await made.database.write(
        lambda tx: tx.run("UPDATE ingestion_phase_status SET status = 'running' WHERE phase_name = 'embedding'")
    )
    assert not await ask(made, lambda unused: unused.are_due(UnusedVectors.due_before(NOW, 0)))
    assert not await ask(made, lambda unused: unused.free_some(UnusedVectors.due_before(NOW, 0)))
    assert left(made) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("job", "frees"),
    [
        ("completed_at = '2026'", True),
        ("completed_at = '2026', intent = 'retry'", False),
        ("managed = 0", True),
    ],
)
async def test_only_an_open_job_of_the_engine_keeps_vectors_from_being_freed(
    made: Stock, job: str, frees: bool
) -> None:
    await let_go(made, HASHES)
    await stock(made.database, "other", "open, and does not embed yet")

    def change(tx: Transaction) -> None:
        tx.run("UPDATE ingestion_phase_status SET status = 'not_started' WHERE phase_name = 'embedding'")
        tx.run(
            "UPDATE ingestion_phase_status SET status = 'running' WHERE job_id = ? AND phase_name = 'embedding'",
            made.job_id,
        )
        tx.run(f"UPDATE ingestion_jobs SET {job} WHERE id = ?", made.job_id)

    await made.database.write(change)
    assert await ask(made, lambda unused: unused.are_due(UnusedVectors.due_before(NOW, 0))) == frees
    assert await ask(made, lambda unused: unused.free_some(UnusedVectors.due_before(NOW, 0))) == frees


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_vector_that_a_passage_names_is_never_freed(made: Stock, at_once: bool) -> None:
    await made.publish(("a", "A text."), ("b", "Another text."))
    every = select(made.database.path, "SELECT id, text_hash FROM vectors")

    def let_all_go(tx: Transaction) -> None:
        for key in (made.key, "other~2"):
            UnusedVectors(tx).let_go(key, every, at_once=at_once)
        tx.run("UPDATE ingestion_phase_status SET status = 'completed'")

    await made.database.write(let_all_go)
    noted = select(made.database.path, "SELECT kb_id, count(*) FROM unused_vectors GROUP BY kb_id ORDER BY kb_id")
    assert noted == [(made.key, 5), ("other~2", 5 if at_once else 7)]
    while await ask(made, lambda unused: unused.free_some(UnusedVectors.due_before(NOW, 0))):
        pass
    sql = "SELECT count(*) FROM chunks AS c LEFT JOIN vectors AS v ON v.id = c.vector_id WHERE v.id IS"
    assert select(made.database.path, f"{sql} NULL") == [(0,)]
    assert select(made.database.path, "SELECT count(*) FROM vectors") == [(2,)]


async def test_what_another_knowledge_base_has_let_go_later_is_kept_for_it(made: Stock) -> None:
    await let_go(made, HASHES[:2], timestamp(NOW - timedelta(days=9)))
    await let_go(made, HASHES[1:2], key="other~2")
    assert await ask(made, lambda unused: unused.free_some(UnusedVectors.due_before(NOW, 1)))
    assert left(made) == [1, 2, 3, 4]
    assert not await ask(made, lambda unused: unused.let_go_of_all(made.key, 10))
    assert await ask(made, lambda unused: unused.let_go_of_all("other~2", 10))
    assert await ask(made, lambda unused: unused.free_some(UnusedVectors.due_before(NOW, 1)))
    assert left(made) == [2, 3, 4]


async def test_a_length_is_told_while_a_vector_of_it_is_stored_and_the_last_one_after_that(made: Stock) -> None:
    await made.database.write(lambda tx: ModelVectors(tx, 1).check_dimension(7))

    async def told() -> list[int | None]:
        return await made.database.read(lambda tx: [Model(tx, "m").dimension(), Model(tx, "m").last_dimension()])

    assert await told() == [7, 7]
    await made.database.write(lambda tx: tx.run("DELETE FROM vectors"))
    assert await told() == [None, 7]
    assert await made.database.read(lambda tx: Model(tx, "unknown").last_dimension()) is None
    check_length(7, 7)
