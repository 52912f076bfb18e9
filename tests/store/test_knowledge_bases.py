"""What search sees of a knowledge base changes by its row alone, and only forward."""

from datetime import timedelta

from phaseflow.domain.ingestion import IngestionState
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.database import Database
from phaseflow.store.index_spaces import Spaces
from phaseflow.store.jobs import Jobs
from phaseflow.store.kb_notes import Notes
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.synced import Listing, Synced
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import NOW, stock


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


async def test_knowledge_bases_are_told_by_name_and_by_age_without_those_that_were_deleted(database: Database) -> None:
    ages = {"b": 1, "a": 3, "c": 2, "d": 2}

    def make(tx: Transaction) -> None:
        for name, age in ages.items():
            KnowledgeBases(tx).put(name, None, "{}", NOW + timedelta(minutes=age))
        KnowledgeBases(tx).put("gone", None, "{}", NOW)
        KnowledgeBases(tx).remove("gone")
        for key in KnowledgeBases(tx).live():
            Catalogue(tx, key).note("default", ["everywhere", f"in {key[0]}"], NOW)

    await database.write(make)

    async def by_age(beyond: str | None, *, newest_first: bool, limit: int = 9) -> list[str]:
        return await database.read(lambda tx: KnowledgeBases(tx).by_age(beyond, limit, newest_first=newest_first))

    assert await by_age(None, newest_first=True) == ["a", "d", "c", "b"]
    assert await by_age(None, newest_first=False) == ["b", "c", "d", "a"]
    assert await by_age("c", newest_first=True) == ["b"]
    assert await by_age("c", newest_first=False) == ["d", "a"]
    assert await by_age("b", newest_first=False, limit=2) == ["c", "d"]

    def look(tx: Transaction) -> list[object]:
        bases = KnowledgeBases(tx)
        page = [record.id for record in bases.page(2, "a")]
        holders = [sorted(bases.holders(uri)) for uri in ("everywhere", "in c")]
        return [page, bases.count(), sorted(bases.live().values()), *holders]

    assert await database.read(look) == [["b", "c"], 4, list("abcd"), list("abcd"), ["c"]]


async def test_sources_are_kept_where_none_are_given(database: Database) -> None:
    def put(tx: Transaction) -> list[bool]:
        bases = KnowledgeBases(tx)
        return [bases.put("a", "[1]", "{}", NOW), bases.put("a", None, "[]", NOW), bases.put("b", "[2]", "{}", NOW)]

    assert await database.write(put) == [True, False, True]
    a, b = await _records(database)
    assert (a.sources, a.settings, b.sources, b.settings) == ("[1]", "[]", "[2]", "{}")


async def test_what_is_kept_in_step_says_what_its_newest_jobs_have_done(database: Database) -> None:
    kept = """{"sync": {}}"""

    def make(tx: Transaction) -> None:
        for name in ("done", "running", "asked again", "rebuilding", "never", "paused", "off", "no sources", "deleted"):
            KnowledgeBases(tx).put(name, None if name == "no sources" else "{}", "{}" if name == "off" else kept, NOW)
        for name in ("done", "running", "asked again", "rebuilding", "paused"):
            key = KnowledgeBases(tx).get(name).key
            following = "n" if name == "rebuilding" else None
            tx.run("UPDATE knowledge_bases SET model = 'm', next_model = ? WHERE id = ?", following, key)
            for number, status in enumerate(["completed", "completed" if name != "paused" else "paused"]):
                job = f"{name} {number}"
                Jobs(tx).create(
                    IngestionState(job, name), sources=None, settings="{}", full=False, at=NOW, lists=number == 0
                )
                tx.run("UPDATE ingestion_phase_status SET status = ? WHERE job_id = ?", status, job)
                is_over = not (number == 1 and name in {"running", "paused"})
                tx.run("UPDATE ingestion_jobs SET completed_at = ? WHERE id = ?", "" if is_over else None, job)
        tx.run("UPDATE ingestion_phase_status SET status = 'running' WHERE job_id = 'running 1'")
        tx.run("UPDATE ingestion_jobs SET intent = 'retry' WHERE id = 'asked again 1'")
        KnowledgeBases(tx).remove("deleted")

    await database.write(make)
    found = {each.name: each for each in await database.read(Synced.all)}
    assert list(found) == ["asked again", "done", "never", "paused", "rebuilding", "running"]
    assert {name for name, each in found.items() if each.is_open} == {"running", "asked again", "paused"}
    assert {name for name, each in found.items() if each.is_whole} == {"done", "asked again"}
    assert {name for name, each in found.items() if each.is_indexed} == {"done", "running", "asked again", "paused"}
    number = dict(select(database.path, "SELECT id, seq FROM ingestion_jobs"))
    last = {name: each.last and (each.last.seq, each.last.at) for name, each in found.items()}
    assert last == {name: None if name == "never" else (number[f"{name} 0"], NOW) for name in found}
    key = found["done"].key
    assert await database.read(lambda tx: Listing.last(tx, key)) == found["done"].last
    assert await database.read(lambda tx: Listing.last(tx, found["never"].key)) is None


async def test_a_note_takes_the_place_of_the_one_before(database: Database) -> None:
    one, other = await stock(database), await stock(database, "other", "other job")

    def work(tx: Transaction) -> list[str | None]:
        for each, value in ((one, "first"), (other, "its own"), (one, "second")):
            Notes(tx, each.key).put("key", value)
        return [Notes(tx, each.key).find("key") for each in (one, other)]

    assert await database.write(work) == ["second", "its own"]
