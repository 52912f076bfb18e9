"""What was deleted is gone from the file, what nobody uses is freed in time, and a copy can be made at any moment."""

import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from phaseflow import FolderSource, InvalidRequest, PhaseFlow
from phaseflow.domain.errors import BackupFailed, NotADatabase, StoreUnavailable
from phaseflow.store import backup, failpoints, upkeep
from phaseflow.store.leftovers import Leftovers
from phaseflow.store.upkeep import FreeSpace
from phaseflow.supervisor import janitor
from tests.engine.components import CountingEmbedder
from tests.stopwatch import NEVER_S, fail_soon
from tests.store.full_text import check_consistent
from tests.store.probes import select

WORDS = 400


def write(folder: Path, mark: str, count: int = 6) -> FolderSource:
    """Documents whose every word holds ``mark``."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        text = " ".join(f"{mark}{number}x{word}" for word in range(WORDS))
        (folder / f"doc{number}.md").write_text(f"# {mark} {number}\n\n{text}\n", encoding="utf-8")
    return FolderSource(str(folder))


async def ingest(flow: PhaseFlow, kb: str, source: FolderSource) -> None:
    assert (await (await flow.start(kb, source)).wait()).status == "completed"


def readable(database: Path, *marks: str) -> set[str]:
    """Those of these words that a look at the bytes of the file, and of its WAL, shows."""
    files = [database, database.with_name(database.name + "-wal")]
    data = b"".join(file.read_bytes() for file in files if file.exists())
    return {mark for mark in marks if mark.encode() in data}


async def until(holds: Callable[[], bool]) -> None:
    with fail_soon(20):
        while not holds():  # noqa: ASYNC110  # nobody tells when
            await anyio.sleep(0.05)


def vectors(database: Path) -> int:
    return int(select(database, "SELECT count(*) FROM vectors")[0][0])


async def test_a_vacuum_leaves_no_byte_of_what_was_replaced_or_deleted(tmp_path: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder(), keep_vectors=0) as flow:
        for mark in ("firstzz", "secondzz", "thirdzz"):
            await ingest(flow, "kb", write(tmp_path / "a", mark))
        await ingest(flow, "gone", write(tmp_path / "b", "deletedzz"))
        await ingest(flow, "kept", write(tmp_path / "c", "otherzz"))
        await flow.delete_kb("gone")
        done = await flow.vacuum()
        assert done.waits_for == []
        assert done.size_bytes == database.stat().st_size
        marks = ("firstzz", "secondzz", "thirdzz", "deletedzz", "otherzz")
        assert readable(database, *marks) == {"thirdzz", "otherzz"}
        assert [hit.uri for hit in await flow.search("kb", "thirdzz3x7", limit=1)] == ["doc3.md"]
        chunks = (await flow.kb("kb")).chunks + (await flow.kb("kept")).chunks
        assert vectors(database) == chunks
        assert select(database, "PRAGMA freelist_count") == [(0,)]
        await flow._engine.hub.database.write(check_consistent)


async def test_the_engine_frees_by_itself(tmp_path: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder(), keep_vectors=0) as flow:
        empty = database.stat().st_size
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz", 30))
        large = (await flow.vacuum()).size_bytes
        await flow.delete_kb("kb")
        await until(lambda: not readable(database, "firstzz"))
        await until(lambda: vectors(database) == 0)
        await until(lambda: database.stat().st_size < empty + (large - empty) / 4)


class Looks:
    """Counts how often the janitor has asked whether a job runs; ``is_busy``: it is told that one does."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.is_busy = False
        may_rest = FreeSpace.may_rest

        def look(space: FreeSpace) -> bool:
            self.count += 1
            return may_rest(space) and not self.is_busy

        patch.setattr(FreeSpace, "may_rest", look)

    async def some(self) -> None:
        seen = self.count
        await until(lambda: self.count > seen + 8)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    monkeypatch.setattr(janitor, "LOOK_S", 0.01)
    return Looks(monkeypatch)


@pytest.fixture
def steps() -> Iterator[list[str]]:
    """The steps of the janitor that have changed the file."""
    made: list[str] = []
    for step in ("removed_some", "freed_vectors", "merged", "gave_back"):
        failpoints.install(f"janitor.{step}", partial(made.append, step))
    yield made
    failpoints.clear()


@pytest.mark.thorough
async def test_what_makes_the_file_smaller_waits_until_no_job_runs(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch, looks: Looks, steps: list[str]
) -> None:
    monkeypatch.setattr(janitor, "FINISH_S", 10.0)
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder, keep_vectors=0) as flow:
        await ingest(flow, "old", write(tmp_path / "a", "firstzz", 30))
        await ingest(flow, "kb", write(tmp_path / "b", "secondzz"))
        await flow.vacuum()
        embedder.close()
        write(tmp_path / "b", "thirdzz", 3)
        job = await flow.start("kb")
        await embedder.until_called()
        steps.clear()
        await flow.delete_kb("old")
        await until(lambda: select(database, "SELECT count(*) FROM knowledge_bases") == [(1,)])
        await looks.some()
        assert "removed_some" in steps
        assert not {"merged", "gave_back"} & set(steps)
        assert select(database, "PRAGMA freelist_count") != [(0,)]
        monkeypatch.setattr(janitor, "LOOK_S", NEVER_S)
        seen = looks.count
        for _ in range(20):
            await flow.kb("kb")
        assert looks.count < seen + 8, "between its looks it rests, though there will be something to do"
        embedder.gate.set()
        assert (await job.wait()).status == "completed"
    assert {"merged", "gave_back"} <= set(steps)
    assert select(database, "PRAGMA freelist_count") == [(0,)]


async def test_giving_pages_back_ends_with_the_step_during_which_a_job_begins(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch, looks: Looks, steps: list[str]
) -> None:
    monkeypatch.setattr(upkeep, "FREE_PAGES", 1)

    def begins() -> None:
        steps.append("gave_back")
        looks.is_busy = True

    async with PhaseFlow(database, embedder=CountingEmbedder(), keep_vectors=0) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz"))
        failpoints.install("janitor.gave_back", begins)
        await flow.delete_kb("kb")
        await until(lambda: looks.is_busy)
        await looks.some()
        assert steps.count("gave_back") == 1
        assert select(database, "PRAGMA freelist_count") != [(0,)]
        failpoints.clear()
        looks.is_busy = False
        await until(lambda: select(database, "PRAGMA freelist_count") == [(0,)])


async def test_what_was_deleted_last_is_freed_before_the_engine_has_ended(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "LOOK_S", NEVER_S)
    monkeypatch.setattr(janitor, "FINISH_S", 10.0)
    async with PhaseFlow(database, embedder=CountingEmbedder(), keep_vectors=0) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz"))
        await flow.delete_kb("kb")
        assert readable(database, "firstzz")
    assert not readable(database, "firstzz")
    assert vectors(database) == 0


async def test_what_cannot_be_freed_is_tried_again(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(janitor, "RETRY_S", 0.01)
    monkeypatch.setattr(janitor, "LOOK_S", 0.01)
    left, remove_some = 3, Leftovers.remove_some

    def refuse(leftovers: Leftovers) -> bool:
        nonlocal left
        left -= 1
        if left >= 0:
            raise StoreUnavailable("the disk is full")
        return remove_some(leftovers)

    async with PhaseFlow(database, embedder=CountingEmbedder(), keep_vectors=0) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz"))
        monkeypatch.setattr(Leftovers, "remove_some", refuse)
        await flow.delete_kb("kb")
        await until(lambda: left < 0 and not readable(database, "firstzz"))
    assert caplog.text.count("cannot remove what is gone, trying again") == 3


async def test_words_of_removed_passages_leave_a_large_index_within_the_hour(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "FEW_PAGES", 0)
    monkeypatch.setattr(upkeep, "WORTH_IT", 0)
    monkeypatch.setattr(janitor, "MERGE_EVERY_S", 0.5)
    async with PhaseFlow(database, embedder=CountingEmbedder(), keep_vectors=0) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz", 1))
        await ingest(flow, "kb", write(tmp_path / "a", "secondzz", 1))
        await until(lambda: not readable(database, "firstzz"))


async def test_a_document_that_comes_back_in_time_is_not_paid_for_again(tmp_path: Path, database: Path) -> None:
    for keep, times in ((30, 1), (0, 2)):
        embedder = CountingEmbedder()
        async with PhaseFlow(database.with_name(f"{keep}.db"), embedder=embedder, keep_vectors=keep) as flow:
            for mark in ("firstzz", "secondzz"):
                await ingest(flow, "kb", write(tmp_path / "a", mark, 1))
                await flow.vacuum()
            await ingest(flow, "kb", write(tmp_path / "a", "firstzz", 1))
        assert {count for text, count in embedder.paid.items() if "firstzz" in text} == {times}


@pytest.mark.thorough
async def test_the_vectors_of_a_deleted_knowledge_base_go_at_once_but_for_those_of_others(
    tmp_path: Path, database: Path
) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await ingest(flow, "old", write(tmp_path / "a", "firstzz"))
        await ingest(flow, "old", write(tmp_path / "a", "secondzz"))
        shared = write(tmp_path / "b", "sharedzz")
        await ingest(flow, "old", shared)
        await ingest(flow, "new", shared)
        await flow.vacuum()
        assert vectors(database) > (await flow.kb("new")).chunks
        await flow.delete_kb("old")
        await flow.vacuum()
        assert vectors(database) == (await flow.kb("new")).chunks
        before = embedder.calls
        await ingest(flow, "new", shared)
        assert embedder.calls == before


async def test_a_document_that_comes_back_is_not_paid_for_again_though_a_base_with_the_same_text_was_deleted(
    tmp_path: Path, database: Path
) -> None:
    embedder = CountingEmbedder()
    source = write(tmp_path / "docs", "bothzz", count=1)
    async with PhaseFlow(database, embedder=embedder) as flow:
        await ingest(flow, "kb", source)
        await ingest(flow, "other", source)
        (tmp_path / "docs" / "doc0.md").unlink()
        await ingest(flow, "kb", source)
        await until(lambda: select(database, "SELECT count(*) FROM unused_vectors") != [(0,)])
        await flow.delete_kb("other")
        await until(lambda: select(database, "SELECT count(*) FROM knowledge_bases") == [(1,)])
        await until(lambda: select(database, "SELECT count(*) FROM unused_vectors WHERE since = ''") == [(0,)])
        await ingest(flow, "kb", write(tmp_path / "docs", "bothzz", count=1))
    assert max(embedder.paid.values()) == 1


async def test_no_vector_is_freed_while_a_job_looks_texts_up(tmp_path: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder, keep_vectors=0) as flow:
        await ingest(flow, "old", write(tmp_path / "a", "sharedzz"))
        stored = vectors(database)
        embedder.close()
        job = await flow.start("new", write(tmp_path / "b", "newzz"))
        await embedder.until_called()
        await flow.delete_kb("old")
        await flow.vacuum()
        assert vectors(database) == stored
        embedder.gate.set()
        await job.wait()
        await flow.vacuum()
        assert vectors(database) == (await flow.kb("new")).chunks


async def test_a_vacuum_says_whose_paused_job_it_has_left_alone(tmp_path: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder, keep_vectors=0) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz", 3))
        failpoints.install("indexing.between", lambda: None)
        source = write(tmp_path / "a", "secondzz", 3)
        await (await flow.start("kb", source, hold=["indexing"])).wait_until_idle()
        assert (await flow.vacuum()).waits_for == []
        await flow._engine.hub.database.write(lambda tx: tx.run("UPDATE documents SET state = 10 WHERE state = 4"))
        assert (await flow.vacuum()).waits_for == ["kb"]
        await flow.cancel("kb")
        assert (await flow.vacuum()).waits_for == []
        assert readable(database, "firstzz") == set()


async def test_a_file_can_be_written_anew(tmp_path: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz"))
        done = await flow.vacuum(rebuild=True)
        assert done.size_bytes == database.stat().st_size
        await ingest(flow, "kb", write(tmp_path / "a", "secondzz"))
        assert await flow.search("kb", "secondzz1x1")


async def test_a_document_whose_text_was_changed_in_place_is_named_and_can_be_read_again(
    tmp_path: Path, database: Path
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz", 2))
        uri, *_ = [each.uri for each in (await flow.documents("kb")).items]
        turned = "UPDATE texts SET text = upper(text) WHERE id >> 20 = (SELECT id FROM documents WHERE uri = ?)"
        await flow._engine.hub.database.write(lambda tx: tx.run(turned, uri))
        with pytest.raises(NotADatabase, match=f"the text of {re.escape(uri)} in kb is not what was stored"):
            await flow.backup(tmp_path / "copy.db")
        await flow.retry_document("kb", uri)
        with fail_soon(20):
            assert (await (await flow.job("kb")).wait()).status == "completed"
        assert await flow.backup(tmp_path / "copy.db") > 0


async def test_a_copy_is_whole_private_and_of_one_moment(tmp_path: Path, database: Path) -> None:
    copy = tmp_path / "copy.db"
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz", 40))
        failpoints.install("backup.step", _write_meanwhile(database))
        try:
            assert await flow.backup(copy) == copy.stat().st_size
        finally:
            failpoints.clear()
        with pytest.raises(BackupFailed, match="exists already"):
            await flow.backup(copy)
        with pytest.raises(BackupFailed, match="No such file"):
            await flow.backup(tmp_path / "nowhere" / "copy.db")
        for suffix in (".uploads", ".repositories", "-journal"):  # what is not there yet
            with pytest.raises(BackupFailed, match="for itself"):
                await flow.backup(database.parent / "." / f"{database.name}{suffix}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]
    async with PhaseFlow(copy, embedder=CountingEmbedder()) as flow:
        assert (await flow.kb("kb")).documents == 40
        assert await flow.search("kb", "firstzz1x1")
        assert select(copy, "PRAGMA journal_mode") == [("wal",)]
        assert select(copy, "SELECT count(*) FROM models WHERE fingerprint = 'later'") == [(0,)]


async def test_a_copy_has_the_larger_documents_that_were_pushed(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, large = tmp_path / "elsewhere" / "copy.db", "A large letter. " * 10_000
    copy.parent.mkdir()
    again: list[int] = []
    async with PhaseFlow(database, embedder=CountingEmbedder(), slots=0) as flow:
        await flow.add("kb", [{"uri": "large.md", "text": "Before. " + large}, {"uri": "small.md", "text": "Small."}])
        second_name = backup._second_name

        def replaced(path: Path, links: Path, number: int) -> Path:
            if not again:  # as an engine does between the moment that is copied and this one
                anyio.from_thread.run(flow.add, "kb", [{"uri": "large.md", "text": large}])
            return second_name(path, links, number)

        monkeypatch.setattr(backup, "_second_name", replaced)
        failpoints.install("backup.again", lambda: again.append(1))
        try:
            await flow.backup(copy)
        finally:
            failpoints.clear()
    assert again == [1]
    assert [path.name for path in copy.parent.iterdir()] == ["copy.db"]
    async with PhaseFlow(copy, embedder=CountingEmbedder()) as flow:
        assert (await (await flow.job("kb")).wait()).status == "completed"
        assert await flow.document_text("kb", "large.md") == large
        assert {one.status for one in (await flow.documents("kb")).items} == {"indexed"}


def _write_meanwhile(database: Path) -> Callable[[], None]:
    def write() -> None:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("INSERT OR IGNORE INTO models (fingerprint) VALUES ('later')")
            connection.commit()

    return write


async def test_a_copy_that_nobody_waits_for_is_not_left_behind(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.store.backup.STEP_PAGES", 5)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await ingest(flow, "kb", write(tmp_path / "a", "firstzz"))
        with anyio.CancelScope() as scope:
            failpoints.install("backup.step", lambda: anyio.from_thread.run_sync(scope.cancel))
            await flow.backup(tmp_path / "copy.db")
        failpoints.clear()
        assert scope.cancelled_caught
        await until(lambda: not list(tmp_path.glob("copy*")))


@pytest.mark.parametrize("days", [-1, 1e9, float("nan"), True, "30"])
async def test_a_time_that_is_none_is_refused(days: float, database: Path) -> None:
    with pytest.raises(InvalidRequest, match="keep_vectors"):
        PhaseFlow(database, keep_vectors=days)
