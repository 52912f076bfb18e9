"""Which documents a knowledge base knows, and since when it does not any more."""

from datetime import timedelta
from pathlib import Path

from phaseflow.domain.identifiers import document_id
from phaseflow.domain.status import timestamp
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.database import Database
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.progress import Done, PhaseProgress
from phaseflow.store.states import EntryState
from phaseflow.store.taken_out import OnTheirWay
from phaseflow.store.transaction import Transaction
from tests.store.probes import select
from tests.store.stock import NOW, Stock, clean, stock


async def list_documents(made: Stock, *uris: str, source: str = "default") -> None:
    rows: list[tuple[str, int | None, str | None, int]] = [(uri, 3, None, 0) for uri in uris]
    await made.database.write(lambda tx: Frontier(tx, made.seq).add(found=rows, trust=None, at=NOW, source=source))


def known(path: Path, *columns: str) -> list[tuple[object, ...]]:
    return select(path, f"SELECT {', '.join(columns or ('uri',))} FROM catalogue ORDER BY kb_id, uri")


async def test_a_listed_document_is_known_once_under_its_id(database: Database, path: Path) -> None:
    made = await stock(database)
    await list_documents(made, "b", "a")
    await list_documents(made, "a", "c")
    ids = [(uri, document_id("kb", uri), "default", 0) for uri in "abc"]
    assert known(path, "uri", "document_id", "source", "attempts") == ids


async def test_a_document_that_another_source_holds_now_keeps_its_row(database: Database, path: Path) -> None:
    made = await stock(database)
    await list_documents(made, "a")
    await database.write(lambda tx: Catalogue(tx, made.key).count_attempts(["a"]))
    await database.write(lambda tx: Catalogue(tx, made.key).note(source="push", uris=["a"], at=NOW))
    assert known(path, "uri", "source", "attempts") == [("a", "push", 1)]


async def test_a_document_is_known_as_long_as_anything_holds_it(database: Database, path: Path) -> None:
    made = await stock(database)
    await made.publish(("live", "one whale"))
    uris = ["asked", "failed", "gone", "live", "pushed", "skipped"]
    await list_documents(made, *uris)
    failed = [FailedDocument("failed", "load_error", "no")]
    await database.write(
        lambda tx: Failures(tx, made.key).add(job_seq=1, phase=JobPhase.LOADING, failed=failed, at=NOW)
    )
    for sql in (
        "INSERT INTO requests (kb_id, uri, requested_at) VALUES (?, 'asked', '')",
        "INSERT INTO pushed (kb_id, uri, size, digest, pushed_at) VALUES (?, 'pushed', 0, '', '')",
        "UPDATE catalogue SET skipped = 1 WHERE kb_id = ? AND uri = 'skipped'",
    ):
        await database.write(lambda tx, sql=sql: tx.run(sql, made.key))  # type: ignore[misc]  # bound in the loop
    later = await stock(database, job_id="later")
    await list_documents(later, "found")
    for limit, following in ((8, None), (7, "skipped")):  # of seven: only a full page may have one behind it
        assert await database.read(
            lambda tx, limit=limit: Catalogue(tx, made.key).missing(later.seq, uncertain=[], after="", limit=limit)  # type: ignore[misc]  # bound in the loop
        ) == (["gone", "skipped"], following)  # fmt: skip
    await database.write(lambda tx: Catalogue(tx, made.key).forget(uris=uris))
    assert known(path) == [(uri,) for uri in ("asked", "failed", "found", "live", "pushed")]
    await list_documents(later, "gone", "skipped")  # back again
    assert known(path, "uri", "skipped")[3:] == [("gone", 0), ("live", 0), ("pushed", 0), ("skipped", 1)]
    assert select(path, "SELECT * FROM left_out") == []


async def test_a_deleted_knowledge_base_leaves_no_row(database: Database, path: Path) -> None:
    made, other = await stock(database), await stock(database, "other", "other")
    await list_documents(made, "a", "b")
    await list_documents(other, "a")
    await database.write(lambda tx: tx.run("INSERT INTO left_out VALUES (?, 'c')", made.key))
    for table in ("pushed (kb_id, uri, size, digest, pushed_at)", "requests (kb_id, uri, anew, job_seq, requested_at)"):
        await database.write(
            lambda tx, table=table: tx.run(f"INSERT INTO {table} VALUES (?, 'a', 0, 1, '')", made.key)  # type: ignore[misc]  # bound in the loop
        )
    await database.write(lambda tx: KnowledgeBases(tx).remove("kb"))
    await clean(database)
    assert known(path, "kb_id") == [(other.key,)]
    assert select(path, "SELECT 1 FROM pushed UNION ALL SELECT 1 FROM requests UNION ALL SELECT 1 FROM left_out") == []


async def test_a_version_says_where_it_came_from_and_since_when_it_is_searchable(
    database: Database, path: Path
) -> None:
    made = await stock(database)
    await made.publish(("a", "one whale"))
    at = "2026-01-01T00:00:00.000Z"
    assert select(path, "SELECT source, size, metadata, own_metadata, changed_at, indexed_at FROM documents") == [
        ("default", None, "{}", "{}", at, at)
    ]


async def test_with_what_is_taken_out_the_rest_of_a_phase_is_less_and_its_progress_more(database: Database) -> None:
    made = await stock(database)
    await made.note("a", "b", "c")
    await made.load(("b", "letter"), ("c", "letter"))

    def take_out(tx: Transaction) -> list[tuple[object, ...]]:
        PhaseProgress(tx, made.attempt, JobPhase.CHUNKING).advance(Done(processed=1, total=3), NOW)
        Catalogue(tx, made.key).set_skipped("b", skipped=True, at=NOW)
        OnTheirWay(tx, made.key).take_out_some(["b"])
        return tx.rows(
            "SELECT items_processed, items_total, progress FROM ingestion_phase_status WHERE phase_name = 'chunking'"
        )

    assert await database.write(take_out) == [(1, 2, 50)]


async def test_metadata_that_is_given_holds_at_once_for_the_versions_in_use(database: Database, path: Path) -> None:
    await stock(database, job_id="older")
    made, other = await stock(database), await stock(database, "other", "other")
    for each in (made, other):
        await each.note("a", "b")
        await each.publish(("a", "one whale"), ("b", "two whales"))

    def arrange(tx: Transaction) -> None:
        tx.run("""UPDATE documents SET own_metadata = '{"own": 1}', metadata = '{"own": 1}'""")
        tx.run("UPDATE ingestion_jobs SET index_version = seq + 1 WHERE kb_id = ?", made.key)  # 2 and 3, the newest
        for state, version in ((4, 2), (4, 3), (3, 1)):
            tx.run(
                "INSERT INTO documents (kb_id, job_seq, index_version, uri, title, media_type, content_hash, recipe,"
                " metadata, own_metadata, state) SELECT kb_id, job_seq, ?, uri, title, media_type, content_hash,"
                " recipe, metadata, own_metadata, ? FROM documents WHERE kb_id = ? AND uri = 'a' AND index_version = 1"
                " AND state = 4",
                version, state, made.key,
            )  # fmt: skip

    await database.write(arrange)

    async def give(metadata: str | None, *, replaces: bool, minutes: int) -> list[tuple[object, ...]]:
        at = NOW + timedelta(minutes=minutes)
        await database.write(lambda tx: Catalogue(tx, made.key).set_metadata("a", metadata, replaces=replaces, at=at))
        columns = "kb_id, uri, index_version, metadata, changed_at"
        return select(path, f"""SELECT {columns} FROM documents WHERE metadata <> '{{"own":1}}' ORDER BY id""")

    await database.write(lambda tx: tx.run("""UPDATE documents SET metadata = '{"own":1}'"""))
    after = [timestamp(NOW + timedelta(minutes=minutes)) for minutes in range(4)]
    both = '{"own":1,"k":2}'
    expected = [(made.key, "a", 1, both, after[1]), (made.key, "a", 3, both, after[1])]
    assert await give('{"k":2}', replaces=False, minutes=1) == expected
    assert await give('{"k":2}', replaces=False, minutes=2) == expected, "nothing has changed"
    assert known(path, "uri", "changed_at")[0] == ("a", after[1])
    alone = await give('{"k":2}', replaces=True, minutes=3)
    assert [row[2:] for row in alone] == [(1, '{"k":2}', after[3]), (3, '{"k":2}', after[3])]
    assert await give(None, replaces=False, minutes=3) == []


async def test_what_is_kept_of_a_document_is_what_its_newest_version_says(database: Database, path: Path) -> None:
    older, made = await stock(database, job_id="older"), await stock(database)
    other = await stock(database, "other", "other")
    uris = ["in hand", "live", "listed", "nothing", "unasked"]
    for each in (made, other):
        await each.note(*uris)
        await each.publish(("in hand", "old"), ("live", "text"), ("unasked", "text"))
        await each.load(("in hand", "new"), ("in hand", "newer"))

    def arrange(tx: Transaction) -> None:
        tx.run("UPDATE documents SET title = uri || id, size = 10 + id, media_type = 'm', own_metadata = '{\"o\":1}'")
        tx.run("UPDATE documents SET state = 10 WHERE kb_id = ? AND uri = 'nothing'", made.key)
        tx.run("UPDATE catalogue SET size = 1, title = 'old', media_type = 'old', own_metadata = '{}'")
        for job, size in ((made.seq, 2), (older.seq, 3)):
            for uri in ("live", "listed", "unasked"):
                tx.run("INSERT INTO job_entries (job_seq, uri, size) VALUES (?, ?, ?)", job, uri, size)

    await database.write(arrange)
    before = select(path, f"SELECT * FROM catalogue WHERE kb_id = '{other.key}'")
    newest = dict(select(path, f"SELECT uri, max(id) FROM documents WHERE kb_id = '{made.key}' GROUP BY uri"))
    await database.write(lambda tx: Catalogue(tx, made.key).keep_details(made.seq, uris[:-1]))
    columns = "uri, title, size, media_type, own_metadata"
    old = ("old", 1, "old", "{}")
    assert select(path, f"SELECT {columns} FROM catalogue WHERE kb_id = '{made.key}' ORDER BY uri") == [
        ("in hand", f"in hand{newest['in hand']}", 10 + newest["in hand"], "m", '{"o":1}'),
        ("listed", "old", 2, "old", "{}"),
        ("live", f"live{newest['live']}", 10 + newest["live"], "m", '{"o":1}'),
        ("nothing", *old), ("unasked", *old),
    ]  # fmt: skip
    assert select(path, f"SELECT * FROM catalogue WHERE kb_id = '{other.key}'") == before


async def test_the_sources_that_hold_documents_are_those_of_the_knowledge_base_and_of_its_open_job(
    database: Database,
) -> None:
    older, made = await stock(database, job_id="older"), await stock(database)
    other = await stock(database, "other", "other")

    def sources(name: str) -> str:
        return f'{{"{name}": {{"type": "folder"}}, "sent": {{"type": "upload"}}}}'

    def arrange(tx: Transaction) -> None:
        tx.run("UPDATE knowledge_bases SET sources = ? WHERE id = ?", sources("base"), made.key)
        tx.run("UPDATE knowledge_bases SET sources = ? WHERE id = ?", sources("elsewhere"), other.key)
        for each in (older, made, other):
            tx.run("UPDATE ingestion_jobs SET sources = ? WHERE seq = ?", sources(each.job_id), each.seq)

    async def holders() -> set[str]:
        return await database.read(lambda tx: Catalogue(tx, made.key).holders())

    await database.write(arrange)
    assert await holders() == {"base", "job"}
    await database.write(lambda tx: tx.run("UPDATE ingestion_jobs SET completed_at = '' WHERE seq = ?", made.seq))
    assert await holders() == {"base"}
    await database.write(lambda tx: tx.run("UPDATE knowledge_bases SET sources = NULL WHERE id = ?", made.key))
    assert await holders() == set()


async def test_it_is_known_whether_a_source_has_a_document_or_any_in_a_folder(database: Database) -> None:
    made, other = await stock(database), await stock(database, "other", "other")
    await made.note("a/b/c.md", "a/bc.md", "x")
    await other.note("there", "there/y")
    await database.write(lambda tx: Catalogue(tx, made.key).note("wiki", ["w", "w/z"], NOW))

    async def knows(*uris: str) -> bool:
        return await database.read(lambda tx: Catalogue(tx, made.key).knows_any("default", uris))

    assert [await knows(uri) for uri in ("x", "a", "a/b", "a/b/c.md")] == [True] * 4
    assert [await knows(uri) for uri in ("b", "a/b/c", "a/", "there", "w", "x/y")] == [False] * 6
    assert await knows("b", "x")
    assert not await knows()


async def test_what_a_crawl_did_not_find_is_told_page_by_page(database: Database) -> None:
    older, other = await stock(database, job_id="older"), await stock(database, "other", "other")
    made = await stock(database)
    uris = ["failed to load", "gone", "left", "listed", "neither", "of wiki", "of wiki, gone"]
    for each in (made, other):
        await each.note(*uris)
    states = {"failed to load": EntryState.FAILED, "gone": EntryState.GONE, "left": EntryState.SKIPPED}
    states |= {"listed": EntryState.LISTED, "of wiki, gone": EntryState.SKIPPED}

    def arrange(tx: Transaction) -> None:
        tx.run("UPDATE catalogue SET source = 'wiki' WHERE uri LIKE 'of wiki%' OR kb_id = ?", other.key)
        sql = "INSERT INTO job_entries (job_seq, uri, source, state) VALUES (?, ?, ?, ?)"
        for uri in uris:
            source = "wiki" if uri.startswith("of wiki") else "default"
            if uri in states:
                tx.run(sql, made.seq, uri, source, states[uri])
            tx.run(sql, older.seq, uri, source, EntryState.SKIPPED if uri == "of wiki" else EntryState.LOADED)
        tx.run("INSERT INTO requests (kb_id, uri, requested_at) VALUES (?, 'left', '')", other.key)

    await database.write(arrange)

    async def missing(uncertain: list[str], limit: int) -> list[str]:
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            assert len(found) < 10, "it goes on for ever"
            some, after = await database.read(
                lambda tx, after=after: Catalogue(tx, made.key).missing(made.seq, uncertain, after, limit)  # type: ignore[misc]  # bound in the loop
            )
            found += some
        return found

    certain = ["left", "neither", "of wiki, gone"]
    assert await missing(["wiki"], 2) == await missing(["wiki"], 100) == certain
    assert await missing([], 2) == ["left", "neither", "of wiki", "of wiki, gone"]
