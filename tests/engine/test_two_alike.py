"""Two knowledge bases with the same documents in one file: whatever is done in one, the other stays as it is."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from phaseflow import JobStatus, PhaseFlow
from phaseflow.domain.settings import FolderSource
from tests.engine.components import CountingEmbedder, write_folder
from tests.engine.test_control import until

UNREADABLE = b"\x7fELF\x02\x01\x01" + bytes(100)


def rows_of(database: Path, kb: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a knowledge base, by table, and the vectors of its passages."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        tables = {
            name: {column[1] for column in connection.execute(f"PRAGMA table_xinfo({name})")}
            for (name,) in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'table'").fetchall()
        }
        key = f"(SELECT id FROM knowledge_bases WHERE name = '{kb}')"
        which = {
            "kb_id": f"kb_id = {key}",
            "job_seq": f"job_seq IN (SELECT seq FROM ingestion_jobs WHERE kb_id = {key})",
            "job_id": f"job_id IN (SELECT id FROM ingestion_jobs WHERE kb_id = {key})",
        }
        found = {}
        for table, columns in tables.items():
            if mine := next((sql for column, sql in which.items() if column in columns), None):
                found[table] = connection.execute(f"SELECT * FROM {table} WHERE {mine} ORDER BY 1, 2").fetchall()
        mine = f"IN (SELECT id FROM documents WHERE kb_id = {key})"
        for table in ("texts", "chunks"):
            found[table] = connection.execute(f"SELECT * FROM {table} WHERE id >> 20 {mine}").fetchall()
        found["knowledge_bases"] = connection.execute(f"SELECT * FROM knowledge_bases WHERE name = '{kb}'").fetchall()
        found["vectors"] = connection.execute(
            f"SELECT v.* FROM chunks AS c JOIN vectors AS v ON v.id = c.vector_id WHERE c.id >> 20 {mine}"
        ).fetchall()
        return found


async def answers(flow: PhaseFlow, kb: str) -> list[object]:
    """What is said of a knowledge base."""
    hits = await flow.search(kb, "word1x4 word2x4", limit=100)
    return [
        await flow.kb(kb), (await flow.documents(kb)).items, (await flow.failures(kb)).items,
        (await flow.jobs(kb)).items, (await flow.pushed_documents(kb)).items, [(hit.uri, hit.text) for hit in hits],
    ]  # fmt: skip


async def fill(flow: PhaseFlow, kb: str, folder: Path) -> None:
    """A document of each kind: searchable, failed, skipped, pushed."""
    write_folder(folder, 3, words=30)
    (folder / "bad.md").write_bytes(UNREADABLE)
    await flow.start(kb, FolderSource(str(folder)))
    await flow.add(kb, [{"uri": "pushed.md", "text": "A pushed document.", "metadata": {"by": "hand"}}])
    assert (await (await flow.job(kb)).wait_until_idle()).status is JobStatus.COMPLETED
    await flow.skip_document(kb, "doc002.md")


async def test_whatever_is_done_in_one_knowledge_base_leaves_the_other_as_it_is(tmp_path: Path, database: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"

    async with PhaseFlow(database, embedder=CountingEmbedder(), keep_vectors=0) as flow:
        await fill(flow, "one", one)
        await fill(flow, "other", other)
        await flow.start("other", hold=["loading"])
        await until(flow, lambda status: status.status is JobStatus.PAUSED, "other")
        await flow.add("other", [{"uri": "waits.md", "text": "A document that waits."}])
        before = rows_of(database, "other"), await answers(flow, "other")

        async def does(change: Callable[[], Awaitable[object]], *, runs: bool = True) -> None:
            await change()
            if runs:
                await (await flow.job("one")).wait_until_idle()
            assert rows_of(database, "other") == before[0]
            assert await answers(flow, "other") == before[1]

        await does(lambda: flow.set_metadata("one", "doc001.md", {"by": "me"}), runs=False)
        await does(lambda: flow.skip_document("one", "doc000.md"), runs=False)
        await does(lambda: flow.delete_document("one", "pushed.md"), runs=False)
        (one / "doc001.md").unlink()
        await does(lambda: flow.retry_document("one", "bad.md"))
        (one / "bad.md").write_text("It can be read now.")
        await flow.put_kb("one", settings={"chunk_size": 200})
        await does(lambda: flow.start("one"))
        await flow.start("one", hold=["embedding"])
        await does(lambda: flow.cancel("one"), runs=False)
        await does(lambda: flow.delete_kb("one"), runs=False)
        await does(flow.vacuum, runs=False)
    assert len(before[0]) > 10
