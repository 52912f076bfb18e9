"""A disk that is full, a file that is locked, gone or read-only, a clock that goes back: said, and nothing is lost."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from phaseflow import JobStatus, PhaseFlow
from phaseflow.domain.errors import StoreUnavailable
from phaseflow.domain.status import JobStatusResponse
from phaseflow.store import clock, connection
from tests.engine.components import CountingEmbedder
from tests.proof import outcome


@asynccontextmanager
async def embedding(folder: Path, database: Path) -> AsyncIterator[tuple[PhaseFlow, CountingEmbedder]]:
    """A job whose embedder waits to be let go on."""
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder)
        with anyio.fail_after(10):
            await embedder.until_called()
        yield flow, embedder


async def failed(flow: PhaseFlow) -> JobStatusResponse:
    with anyio.fail_after(10):
        return await (await flow.job("kb")).wait()


async def goes_on_and_loses_nothing(flow: PhaseFlow, embedder: CountingEmbedder, database: Path) -> None:
    """A retry ends the job. Paid twice was at most what was in hand when nothing could be written."""
    await flow.retry("kb")
    with anyio.fail_after(10):
        while (await flow.status("kb")).status is not JobStatus.COMPLETED:
            await flow.tracker.feed.hint().wait()
    assert (await flow.kb("kb")).documents == 12
    twice = sum(times - 1 for times in embedder.paid.values())
    assert twice <= embedder.batch_size * embedder.in_flight
    assert outcome.violations(database) == []


async def on_the_writer(flow: PhaseFlow, sql: str) -> None:
    writer = flow.tracker.database._writer
    await writer.call(lambda bare: bare.execute(sql).fetchall())


async def test_a_full_disk_fails_the_job_and_a_retry_goes_on_once_there_is_room(folder: Path, database: Path) -> None:
    async with embedding(folder, database) as (flow, embedder):
        with outcome.connected(database) as other:
            pages = other.execute("PRAGMA page_count").fetchone()[0]
        await on_the_writer(flow, f"PRAGMA max_page_count = {pages + 1}")
        embedder.gate.set()
        with anyio.move_on_after(1):
            await failed(flow)  # if there is no room even for that, it waits until there is
        await on_the_writer(flow, "PRAGMA max_page_count = 1000000")
        assert "the disk is full" in ((await failed(flow)).error or "")
        await goes_on_and_loses_nothing(flow, embedder, database)


async def test_a_read_only_file_fails_the_job_and_a_retry_goes_on(folder: Path, database: Path) -> None:
    async with embedding(folder, database) as (flow, embedder):
        await on_the_writer(flow, "PRAGMA query_only = ON")
        embedder.gate.set()
        with pytest.raises(StoreUnavailable, match="read-only"):
            await flow.cancel("kb")
        assert (await flow.status("kb")).status is JobStatus.RUNNING
        await on_the_writer(flow, "PRAGMA query_only = OFF")
        assert "read-only" in ((await failed(flow)).error or "")
        await goes_on_and_loses_nothing(flow, embedder, database)


async def test_a_file_locked_by_another_program_fails_the_job_and_a_retry_goes_on(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_S", 0.2)
    await lock_for(1, folder, database)


@pytest.mark.slow
async def test_a_file_locked_for_longer_than_anybody_waits(folder: Path, database: Path) -> None:
    await lock_for(8, folder, database)


async def lock_for(seconds: float, folder: Path, database: Path) -> None:
    async with embedding(folder, database) as (flow, embedder):
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            embedder.gate.set()
            await anyio.sleep(seconds)
            assert (await flow.status("kb")).status is JobStatus.RUNNING  # reading needs no lock
            with pytest.raises(StoreUnavailable, match="another program has it locked"):
                await flow.pause("kb")
            other.execute("ROLLBACK")
        assert "another program has it locked" in ((await failed(flow)).error or "")
        await goes_on_and_loses_nothing(flow, embedder, database)


async def test_a_file_that_is_taken_away_and_put_back_loses_nothing(folder: Path, database: Path) -> None:
    async with embedding(folder, database) as (flow, embedder):
        away = database.rename(database.with_name("away.db"))
        embedder.gate.set()
        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            await flow.pause("kb")
        away.rename(database)
        assert "deleted or replaced" in ((await failed(flow)).error or "")
        await goes_on_and_loses_nothing(flow, embedder, database)


async def test_an_engine_whose_file_is_gone_for_good_can_be_left(folder: Path, database: Path) -> None:
    with anyio.fail_after(5):
        async with embedding(folder, database) as (flow, embedder):
            database.unlink()
            embedder.gate.set()
            with pytest.raises(StoreUnavailable, match="deleted or replaced"):
                await flow.cancel("kb")


async def test_a_clock_that_is_set_back_makes_no_negative_time(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with embedding(folder, database) as (_, embedder):
        embedder.gate.set()
    monkeypatch.setattr(clock, "datetime", two_hours_ago())
    async with PhaseFlow(database, embedder=embedder) as flow:
        with anyio.fail_after(10):
            final = await (await flow.job("kb")).wait()
        log = (await flow.transitions_of(final.job_id)).items
    assert final.status is JobStatus.COMPLETED
    assert all(0 <= detail.active_seconds < 60 for detail in final.phase_details)
    assert [entry.seq for entry in log] == sorted(entry.seq for entry in log)
    assert outcome.violations(database) == []


def two_hours_ago() -> object:
    """A stand-in for the class ``datetime`` that reads a clock which has been set back."""

    class Earlier:
        now: Callable[[object], datetime] = staticmethod(lambda _: datetime.now(UTC) - timedelta(hours=2))

    return Earlier
