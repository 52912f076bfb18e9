"""In step with its sources: by the clock, and by what the kernel tells, without anybody asking."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import FolderSource, InvalidRequest, PhaseFlow
from phaseflow.components.sources import watching
from phaseflow.domain import sync
from phaseflow.store import clock
from tests.engine.components import CountingEmbedder, write_folder
from tests.stopwatch import fail_soon
from tests.store.probes import select
from tests.test_running_time import WallClock

BOTH = ["doc000.md", "doc001.md", "doc002.md", "other/doc000.md", "other/doc001.md"]
WATCH = {"sync": {"watch": True}}


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    with fail_soon(within_s):
        while not await holds():  # noqa: ASYNC110  # nobody tells when
            await anyio.sleep(0.02)


async def has(flow: PhaseFlow, *names: str) -> bool:
    found = await flow.documents("kb")
    return {document.uri for document in found.items if document.searchable} == set(names)


async def is_watched(flow: PhaseFlow) -> bool:
    """And what may have changed before is made up for."""
    kb = await flow.kb("kb")
    is_all = kb.sync is not None and kb.sync.watching == sorted(kb.sources)
    return is_all and kb.job is not None and kb.job.status == "completed"


def jobs(database: Path) -> int:
    return int(select(database, "SELECT count(*) FROM ingestion_jobs")[0][0])


@pytest.fixture
def every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "SHORTEST_S", 1)


@pytest.fixture
def watched(tmp_path: Path) -> FolderSource:
    pytest.importorskip("watchfiles")
    return FolderSource(str(write_folder(tmp_path / "docs", 3)))


async def test_a_change_is_searchable_soon_and_a_burst_of_them_is_a_few_jobs(
    database: Path, watched: FolderSource
) -> None:
    folder = Path(watched.path)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", watched, WATCH)
        await until(lambda: is_watched(flow))
        (folder / "new.md").write_text("# New\n\nSomething new.\n")
        await until(lambda: has(flow, "doc000.md", "doc001.md", "doc002.md", "new.md"))
        (folder / "new.md").unlink()
        await until(lambda: has(flow, "doc000.md", "doc001.md", "doc002.md"))
        before = jobs(database)
        names = [f"burst{number}.md" for number in range(300)]
        made = folder.with_name("made")
        made.mkdir()
        for name in names:
            (made / name).write_text(f"# {name}\n\nText.\n")
        for name in names:  # a burst, also on a busy machine
            (made / name).rename(folder / name)
        for name in ("doc000.md", "doc001.md", "doc002.md"):
            (folder / name).unlink()

        async def all_there() -> bool:
            found = await flow.documents("kb", limit=1000)
            return {document.uri for document in found.items} == set(names)

        await until(all_there)
        assert jobs(database) - before <= 5


@pytest.mark.thorough
async def test_what_is_no_document_starts_nothing(database: Path, watched: FolderSource, tmp_path: Path) -> None:
    folder = Path(watched.path)
    only = FolderSource(watched.path, include=("*.md",))
    async with PhaseFlow(folder / "kb.db", embedder=CountingEmbedder()) as flow:  # its own file changes all the time
        await flow.put_kb("kb", only, WATCH)
        await until(lambda: is_watched(flow))
        before = jobs(folder / "kb.db")
        (folder / "notes.log").write_text("a line")
        (folder / ".hidden.md").write_text("a line")
        await flow.put_kb("other", str(write_folder(tmp_path / "other", 1)))
        await (await flow.start("other")).wait()
        with anyio.move_on_after(1.5):
            await until(lambda: _more_than(folder / "kb.db", before + 1), within_s=10)
        assert jobs(folder / "kb.db") == before + 1
        (folder / "doc000.md").write_text("# Changed\n\nOther words.\n")
        await until(lambda: _more_than(folder / "kb.db", before + 1))


async def _more_than(database: Path, count: int) -> bool:
    return jobs(database) > count


async def test_only_the_source_that_changed_is_read(database: Path, watched: FolderSource, tmp_path: Path) -> None:
    other = FolderSource(str(write_folder(tmp_path / "other", 2)))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", sources={"default": watched, "other": other}, settings=WATCH)
        await until(lambda: is_watched(flow))
        await until(lambda: has(flow, *BOTH))
        (Path(watched.path) / "doc000.md").unlink()
        await until(lambda: has(flow, *BOTH[1:]))  # with what both watches have made up for at their beginning
        (Path(watched.path) / "doc001.md").unlink()
        await until(lambda: has(flow, *BOTH[2:]))
        (sources,) = select(
            database, "SELECT sources FROM ingestion_jobs WHERE documents_deleted = 1 ORDER BY seq DESC LIMIT 1"
        )[0]
        assert '"other"' not in sources


@pytest.mark.thorough
async def test_a_paused_job_stays_quiet(database: Path, watched: FolderSource) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.put_kb("kb", watched, WATCH)
        await until(lambda: is_watched(flow))
        job = await flow.start("kb", hold=["loading"])
        assert (await job.wait_until_idle()).status == "paused"
        before = jobs(database)
        (Path(watched.path) / "new.md").write_text("# New\n\nSomething new.\n")
        with anyio.move_on_after(1.5):
            await until(lambda: _more_than(database, before), within_s=10)
        assert jobs(database) == before
        await flow.resume("kb")
        await until(lambda: has(flow, "doc000.md", "doc001.md", "doc002.md", "new.md"))


@pytest.mark.usefixtures("every_second")
async def test_a_watch_that_is_refused_says_so_and_the_clock_takes_over(
    database: Path, watched: FolderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        @staticmethod
        def watch(*paths: object, **options: object) -> None:
            raise OSError('OS file watch limit reached. about ["a"] (Error { kind: MaxFilesWatch })')

    monkeypatch.setattr(watching, "_library", lambda: Refusing)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", watched, {"sync": {"watch": True, "every": "1s"}})

        async def told() -> bool:
            kb = await flow.kb("kb")
            return kb.sync is not None and "cannot be watched (OS file watch limit reached.);" in (kb.sync.error or "")

        await until(told)
        await until(lambda: has(flow, "doc000.md", "doc001.md", "doc002.md"))
        (Path(watched.path) / "doc000.md").unlink()
        await until(lambda: has(flow, "doc001.md", "doc002.md"))


@pytest.mark.thorough
async def test_a_folder_that_was_away_is_read_as_soon_as_it_is_back(database: Path, watched: FolderSource) -> None:
    folder = Path(watched.path)
    away = folder.with_name("away")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", watched, WATCH)
        await until(lambda: is_watched(flow))
        folder.rename(away)

        async def is_missed() -> bool:
            sync = (await flow.kb("kb")).sync
            return sync is not None and "there is no folder" in (sync.error or "")

        await until(is_missed)
        away.rename(folder)
        (folder / "new.md").write_text("# New\n\nSomething new.\n")
        await until(lambda: has(flow, "doc000.md", "doc001.md", "doc002.md", "new.md"))

        async def is_well() -> bool:
            sync = (await flow.kb("kb")).sync
            return sync is not None and (sync.watching, sync.error) == (["default"], None)

        await until(is_well)


async def test_times_that_were_missed_are_made_up_once(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", str(folder), settings={"sync": {"every": "1h"}})).wait()
        assert jobs(database) == 1
        due = (await flow.kb("kb")).sync
        assert due is not None
        assert due.next_at is not None
        assert timedelta(minutes=59) < due.next_at - datetime.now(UTC) <= timedelta(hours=1)
        await flow._engine.hub.database.write(
            lambda tx: tx.run("UPDATE ingestion_jobs SET created_at = '2020-01-01T00:00:00.000Z'")
        )
        await until(lambda: _more_than(database, 1))
        await (await flow.job("kb")).wait()
        with anyio.move_on_after(1.2):
            await until(lambda: _more_than(database, 2), within_s=10)
        assert jobs(database) == 2


@pytest.mark.usefixtures("every_second")
async def test_an_engine_with_other_work_starts_nothing_by_itself(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder(), slots=0) as flow:
        await flow.put_kb("kb", str(folder), {"sync": {"every": "1s"}})
        with anyio.move_on_after(1.5):
            await until(lambda: _more_than(database, 0), within_s=10)
        assert jobs(database) == 0


async def test_a_time_that_is_none_is_refused(database: Path) -> None:
    wrong: list[Any] = ["", "0s", "1", "1w", "367d", "-1h", "6 h", "1h30m", "9" * 30 + "s", 6, "1s", "9s"]
    async with PhaseFlow(database) as flow:
        for every in wrong:
            with pytest.raises(InvalidRequest, match="sync"):
                await flow.put_kb("kb", "docs", {"sync": {"every": every}})


@pytest.mark.usefixtures("every_second")
@pytest.mark.longest(60)  # two intervals of a schedule, whose shortest is a second
async def test_a_clock_that_is_set_back_neither_stops_nor_hurries_the_jobs_of_a_schedule(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "datetime", WallClock)
    monkeypatch.setattr(WallClock, "ahead", timedelta(days=365))
    folder = str(write_folder(tmp_path / "docs", 1))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", folder, {"sync": {"every": "1s"}})
        await until(lambda: _more_than(database, 0))
        WallClock.ahead = timedelta()
        before, began = jobs(database), anyio.current_time()
        await until(lambda: _more_than(database, before + 2))
        assert anyio.current_time() - began > 1.5  # three jobs are two intervals, or a little more, apart
        sync = (await flow.kb("kb")).sync
        assert sync is not None
        assert sync.next_at is not None
        # It is shown by the moments of this engine, which never go back, or by the clock as it is set now.
        assert min(abs(sync.next_at - now) for now in (datetime.now(UTC), WallClock.now(UTC))) < timedelta(seconds=30)
