"""A disk that is full, a file that is locked, gone or read-only, a clock that goes back: said, and nothing is lost."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import anyio
import pytest

from phaseflow import JobStatus, PhaseFlow
from phaseflow.domain.errors import StoreUnavailable
from phaseflow.store import clock, connection
from tests.engine.components import CountingEmbedder
from tests.matrices import first_of_each
from tests.proof import outcome
from tests.stopwatch import fail_soon


@asynccontextmanager
async def embedding(folder: Path, database: Path) -> AsyncIterator[tuple[PhaseFlow, CountingEmbedder]]:
    """A job whose embedder waits to be let go on."""
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder)
        with fail_soon(10):
            await embedder.until_called()
        yield flow, embedder


async def says(flow: PhaseFlow, reason: str) -> None:
    """Wait until the status of the running job says that the database cannot be written, and why."""
    with fail_soon(10):
        async for status in (await flow.job("kb")).watch():
            assert status.status is JobStatus.RUNNING
            if "The database cannot be written" in status.message and reason in status.message:
                return


async def refused(flow: PhaseFlow) -> None:
    """Ask until writing fails: a small write can still succeed before the job tries its own again."""
    with fail_soon(10):
        while True:
            await flow.check_store()
            await anyio.sleep(0.01)


async def goes_on_and_loses_nothing(flow: PhaseFlow, embedder: CountingEmbedder, database: Path) -> None:
    """The job ends by itself. Nothing is paid twice: what was in hand is stored once there is room."""
    with fail_soon(10):
        final = await (await flow.job("kb")).wait()
    assert (final.status, "cannot be written" in final.message) == (JobStatus.COMPLETED, False)
    assert (await flow.kb("kb")).documents == 12
    assert set(embedder.paid.values()) == {1}
    await flow.check_store()
    assert outcome.violations(database) == []


async def on_the_writer(flow: PhaseFlow, sql: str) -> None:
    writer = flow._engine.hub.database._writer
    await writer.call(lambda bare: bare.execute(sql).fetchall())


async def test_a_job_waits_while_the_disk_is_full_and_goes_on_by_itself(folder: Path, database: Path) -> None:
    async with embedding(folder, database) as (flow, embedder):
        with outcome.connected(database) as other:
            pages = other.execute("PRAGMA page_count").fetchone()[0]
        await on_the_writer(flow, f"PRAGMA max_page_count = {pages + 1}")
        embedder.gate.set()
        await says(flow, "the disk is full")
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await refused(flow)
        await on_the_writer(flow, "PRAGMA max_page_count = 1000000")
        await goes_on_and_loses_nothing(flow, embedder, database)


async def test_a_job_waits_while_its_file_is_read_only_and_goes_on_by_itself(folder: Path, database: Path) -> None:
    async with embedding(folder, database) as (flow, embedder):
        await on_the_writer(flow, "PRAGMA query_only = ON")
        embedder.gate.set()
        with pytest.raises(StoreUnavailable, match="read-only"):
            await flow.cancel("kb")
        await says(flow, "read-only")
        await on_the_writer(flow, "PRAGMA query_only = OFF")
        await goes_on_and_loses_nothing(flow, embedder, database)


async def test_a_job_waits_while_another_program_has_its_file_locked(
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
            await says(flow, "another program has it locked")
            other.execute("ROLLBACK")
        await goes_on_and_loses_nothing(flow, embedder, database)


async def test_a_file_that_is_taken_away_and_put_back_loses_nothing(folder: Path, database: Path) -> None:
    async with embedding(folder, database) as (flow, embedder):
        away = database.rename(database.with_name("away.db"))
        embedder.gate.set()
        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            await flow.pause("kb")
        await says(flow, "deleted or replaced")
        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            await flow.check_store()
        away.rename(database)
        await goes_on_and_loses_nothing(flow, embedder, database)


async def test_an_engine_whose_file_is_gone_for_good_can_be_left(folder: Path, database: Path) -> None:
    with fail_soon(5):
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
        with fail_soon(10):
            final = await (await flow.job("kb")).wait()
        log = (await flow.transitions_of(final.job_id)).items
    assert final.status is JobStatus.COMPLETED
    assert all(0 <= detail.active_seconds < 60 for detail in final.phase_details)
    assert [entry.seq for entry in log] == sorted(entry.seq for entry in log)
    assert outcome.violations(database) == []


@pytest.mark.parametrize("step", first_of_each([timedelta(hours=6), timedelta(hours=-2)]))
async def test_a_clock_that_steps_while_a_job_runs_moves_its_moments_and_not_its_durations(
    step: timedelta, folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with embedding(folder, database) as (flow, embedder):
        before = await flow.status("kb")
        monkeypatch.setattr(clock, "datetime", shifted(step))
        during = await flow.status("kb")
        embedder.gate.set()
        with fail_soon(10):
            final = await (await flow.job("kb")).wait()
    for status in (during, final):
        assert all(0 <= detail.active_seconds < 60 for detail in status.phase_details)
    assert final.started_at is not None
    assert final.completed_at is not None
    if step > timedelta():
        assert abs(final.completed_at - (datetime.now(UTC) + step)) < timedelta(minutes=1)
    else:
        assert final.completed_at >= final.started_at  # never behind what was told
    assert before.started_at == final.started_at


def two_hours_ago() -> object:
    """A stand-in for the class ``datetime`` that reads a clock which has been set back."""
    return shifted(timedelta(hours=-2))


def shifted(step: timedelta) -> object:
    """A stand-in for the class ``datetime`` whose clock has stepped."""

    class Shifted:
        now: Callable[[object], datetime] = staticmethod(lambda _: datetime.now(UTC) + step)
        fromtimestamp: Callable[[float, tzinfo], datetime] = staticmethod(datetime.fromtimestamp)

    return Shifted
