"""A kill at a named point in the middle of a document, or of a switch to another index: the next engine goes on.

The file is copied at each point as a kill would leave it. What is half done there is done once, and paid for once.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from phaseflow import DocumentStatus, JobStatus, PhaseFlow
from phaseflow.actors import carry_over, chunking, indexing, loading
from phaseflow.store import failpoints
from phaseflow.store.documents import text_hash
from tests.engine.components import CountingEmbedder, write_folder
from tests.proof import outcome
from tests.proof.test_crash import left_behind
from tests.stopwatch import fail_soon
from tests.store.probes import select, until_removed

UNREADABLE = b"\x7fELF\x02\x01\x01" + bytes(100)
SETTINGS = {"chunk_size": 100, "chunk_overlap": 0}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if small documents were large ones, which are stored in steps."""
    monkeypatch.setattr(loading, "STORE_CHARACTERS", 100)
    for module, name in ((chunking, "STORE_CHUNKS"), (indexing, "BATCH_CHUNKS"), (carry_over, "CHUNKS")):
        monkeypatch.setattr(module, name, 1)
    yield
    failpoints.clear()


def kill_at(database: Path, point: str, arrival: int) -> Path:
    """Where the file will be as a kill at the ``arrival``-th arrival at a point leaves it."""
    copy, left = database.with_name(f"{point}.db"), arrival

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            shutil.move(left_behind(database), copy)

    failpoints.install(point, arrive)
    return copy


async def run(database: Path, embedder: CountingEmbedder, folder: Path | None = None) -> None:
    """A job on a folder, or the one that the file has, to its end."""
    async with PhaseFlow(database, embedder=embedder) as flow:
        with fail_soon(20):
            job = await (flow.job("kb") if folder is None else flow.start("kb", folder, settings=SETTINGS))
            assert (await job.wait()).status is JobStatus.COMPLETED
            await until_removed(flow._engine.hub.database)


async def is_gone_on_with(copy: Path, whole: Path, made: Callable[[], CountingEmbedder]) -> None:
    """The next engine brings a copy to what the file has come to without a kill."""
    assert outcome.violations(copy) == []
    embedder = made()
    stored = outcome.embedded(copy, f"%{embedder.fingerprint}%")
    await run(copy, embedder)
    assert outcome.violations(copy) == []
    assert outcome.index_is_whole(copy)
    assert outcome.leftovers(copy) == 0
    assert outcome.searchable(copy) == outcome.searchable(whole)
    assert not stored & {text_hash(text) for text in embedder.paid}


def other() -> CountingEmbedder:
    embedder = CountingEmbedder()
    embedder.fingerprint = "other"
    return embedder


async def test_half_of_a_document_is_made_whole_wherever_the_kill_was(database: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", 2, words=20)
    points = [("loading.stored_some", 2), ("chunking.stored_some", 2), ("embedding.writing", 2)]
    copies = [kill_at(database, *point) for point in (*points, ("indexing.indexed_some", 2))]
    await run(database, CountingEmbedder(), folder)
    failpoints.clear()
    for copy in copies:
        await is_gone_on_with(copy, database, CountingEmbedder)


async def test_another_index_takes_the_place_of_the_old_one_wherever_the_kill_was(
    database: Path, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "docs", 3, words=20)
    await run(database, CountingEmbedder(), folder)
    (folder / "doc001.md").write_bytes(UNREADABLE)
    (folder / "doc002.md").unlink()
    points = [("embedding.carried_some", 1), ("indexing.withdrawn", 1), ("indexing.switched", 1)]
    copies = [kill_at(database, *point) for point in (*points, ("indexing.cleaned", 1), ("janitor.removed_some", 1))]
    await run(database, other(), folder)
    failpoints.clear()
    for copy in copies:
        await is_gone_on_with(copy, database, other)


async def test_what_waits_for_a_job_that_is_over_is_loaded_though_the_kill_came_with_its_end(
    database: Path, tmp_path: Path
) -> None:
    ended = database.with_name("ended.db")

    def arrive() -> None:
        left = left_behind(database)
        if select(left, "SELECT completed_at IS NULL FROM ingestion_jobs") == [(0,)]:  # and nobody has made the next
            shutil.move(left, ended)

    folder = write_folder(tmp_path / "docs", 1, words=20)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb", folder, hold=["indexing"])
        await job.wait_until_idle()
        await flow.add("kb", [{"uri": "new", "text": "It came when nothing more was loaded."}])
        failpoints.install("supervisor.completed", arrive)
        await flow.resume("kb")
        await job.wait()
        failpoints.clear()
    assert select(ended, "SELECT uri FROM requests") == [("new",)]
    async with PhaseFlow(ended, embedder=CountingEmbedder()) as flow:
        with fail_soon(20):
            while True:
                hint = flow.tracker.feed.hint()
                if (await flow.document("kb", "new")).status is DocumentStatus.INDEXED:
                    break
                await hint.wait()
