"""Which documents a knowledge base knows, and since when it does not any more."""

from pathlib import Path

from phaseflow.domain.identifiers import document_id
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.database import Database
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.progress import Done, PhaseProgress
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
