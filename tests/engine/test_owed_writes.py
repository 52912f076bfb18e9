"""What a job's moves owe to the database is written, in one piece, however often the disk refuses."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from phaseflow import JobStatus, PhaseFlow, PhaseStatus
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.store import database as store
from phaseflow.store import failpoints
from tests.engine.components import CountingEmbedder
from tests.stopwatch import fail_soon


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(store, "STORE_RETRY_S", 0.02)
    yield
    failpoints.clear()


class FullDisk:
    """Refuses the next transactions, once it ``begins``."""

    def __init__(self, times: int) -> None:
        self.left = times

    def begins(self) -> None:
        failpoints.install("store.before_commit", self.refuse)

    def refuse(self) -> None:
        if not self.left:
            return
        self.left -= 1
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error


def _refused(texts: Sequence[str]) -> None:
    raise ComponentUnavailable("the key was refused")


def _phases(path: Path) -> list[list[str]]:
    """The statuses of the phases of each job, oldest first."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT job_id, status FROM ingestion_phase_status ORDER BY id").fetchall()
    connection.close()
    found: dict[str, list[str]] = {}
    for job_id, status in rows:
        found.setdefault(job_id, []).append(status)
    return list(found.values())


async def test_a_phase_fails_in_the_same_commit_in_which_its_neighbours_are_paused(
    folder: Path, database: Path
) -> None:
    seen: list[list[str]] = []
    async with PhaseFlow(database, embedder=CountingEmbedder(_refused)) as flow:
        failpoints.install("store.after_commit", lambda: seen.extend(_phases(database)))
        with fail_soon(10):
            final = await (await flow.start("kb", folder)).wait()
        failpoints.clear()
    assert final.status is JobStatus.FAILED
    failed = [phases for phases in seen if "failed" in phases]
    assert failed
    assert not [phases for phases in failed if "running" in phases]


async def test_a_failure_is_written_once_the_disk_has_room(folder: Path, database: Path) -> None:
    disk = FullDisk(4)

    def fault(texts: Sequence[str]) -> None:
        disk.begins()
        _refused(texts)

    embedder = CountingEmbedder(fault)
    async with PhaseFlow(database, embedder=embedder) as flow:
        with fail_soon(10):
            final = await (await flow.start("kb", folder)).wait()
    assert (final.status, disk.left) == (JobStatus.FAILED, 0)
    assert PhaseStatus.RUNNING not in [phase.status for phase in final.phase_details]


@pytest.mark.parametrize("point", ["run_start.start", "supervisor.running"])
async def test_a_job_begins_once_the_disk_has_room(folder: Path, database: Path, point: str) -> None:
    disk = FullDisk(4)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        failpoints.install(point, disk.begins)
        with fail_soon(10):
            final = await (await flow.start("kb", folder)).wait()
    assert (final.status, disk.left) == (JobStatus.COMPLETED, 0)


async def test_a_retry_begins_once_the_disk_has_room(folder: Path, database: Path) -> None:
    disk, bad = FullDisk(4), [True]

    def fault(texts: Sequence[str]) -> None:
        if bad:
            raise RuntimeError("no")

    async with PhaseFlow(database, embedder=CountingEmbedder(fault)) as flow:
        with fail_soon(10):
            job = await flow.start("kb", folder)
            assert (await job.wait()).status is JobStatus.FAILED
            bad.clear()
            failpoints.install("scheduler.applied", disk.begins)
            await flow.retry("kb")
            async for status in job.watch():
                if status.status is not JobStatus.FAILED:
                    break
            final = await job.wait()
    assert (final.status, disk.left) == (JobStatus.COMPLETED, 0)


async def test_what_a_dropped_job_leaves_is_written_once_the_disk_has_room(folder: Path, database: Path) -> None:
    """A job whose run is dropped says that nothing of it runs, though its first attempt to say so was refused."""
    disk, embedder = FullDisk(3), CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder, slots=1) as flow:
        await flow.start("kb", folder)
        with fail_soon(10):
            await embedder.until_called()
            scheduler = flow._engine.scheduler
            disk.begins()
            scheduler.abandon("kb")
            embedder.gate.set()
            final = await (await flow.job("kb")).wait()
        log = (await flow.transitions_of(final.job_id)).items
    assert (final.status, disk.left) == (JobStatus.COMPLETED, 0)
    assert "dropped" in {each.reason for each in log}
