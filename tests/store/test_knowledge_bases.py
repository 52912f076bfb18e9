"""What search sees of a knowledge base changes by its row alone, and only forward."""

from phaseflow.store.database import Database
from phaseflow.store.index_spaces import Spaces
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.transaction import Transaction
from tests.store.stock import stock


async def _records(database: Database) -> list[KnowledgeBaseRecord]:
    return await database.read(lambda tx: [KnowledgeBases(tx).get(kb_id) for kb_id in ("a", "b")])


async def test_another_index_is_searched_of_one_knowledge_base_and_never_an_older_one(database: Database) -> None:
    made = await stock(database, "a", "job a")
    await stock(database, "b", "job b")
    before, other = await _records(database)
    newer, between = before.index_version + 2, before.index_version + 1
    await database.write(lambda tx: KnowledgeBases(tx).switch(made.key, newer, "new"))
    await database.write(lambda tx: KnowledgeBases(tx).switch(made.key, between, "old"))
    after, beside = await _records(database)
    assert (after.index_version, after.model) == (newer, "new")
    assert after.search_revision == before.search_revision + 1
    assert beside == other


async def test_what_made_all_is_noted_of_one_knowledge_base_and_of_the_index_that_is_searched(
    database: Database,
) -> None:
    made = await stock(database, "a", "job a")
    await stock(database, "b", "job b")
    before, other = await _records(database)
    await database.write(lambda tx: KnowledgeBases(tx).set_live_settings(made.key, before.index_version, "{}"))
    await database.write(lambda tx: KnowledgeBases(tx).set_live_settings(made.key, before.index_version + 1, "[]"))
    after, beside = await _records(database)
    assert (before.live_settings, after.live_settings) == (None, "{}")
    assert beside == other
    revision = await database.write(lambda tx: KnowledgeBases(tx).next_search_revision(made.key))
    after, beside = await _records(database)
    assert after.search_revision == revision == before.search_revision + 1
    assert beside == other


async def test_a_rebuild_of_the_same_kind_is_continued_and_another_one_has_a_version_of_its_own(
    database: Database,
) -> None:
    await stock(database, "a", "job a")
    await stock(database, "b", "job b")
    live = (await _records(database))[0].index_version

    def targets(tx: Transaction) -> list[int]:
        tx.run("UPDATE knowledge_bases SET model = 'live'")
        record = KnowledgeBases(tx).get("a")
        tx.run("UPDATE ingestion_jobs SET model = 'next', index_version = ?", live + 1)
        Spaces(tx).ensure(record.key, live + 1, "server", moves=False)
        wanted = (("live", None), ("next", "server"), ("next", None), ("next", "other"), ("new", "server"))
        return [KnowledgeBases(tx).target(record, model, "{}", server) for model, server in wanted]

    assert await database.write(targets) == [live, live + 1, live + 2, live + 2, live + 2]
