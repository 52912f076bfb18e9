"""Jobs on a cluster of Ray whose parts are killed: no document fails for it, and no work is left behind."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest

from phaseflow import PhaseFlow
from phaseflow.components.workers.ray.workers import RayWorkers
from phaseflow.domain.vocabulary import JobStatus
from phaseflow.flow import Job
from tests.engine.ray_parts import DOCUMENTS, SlowEmbedder, at_work, eventually, named, processes, write_documents
from tests.stopwatch import Stopwatch, fail_soon

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed"),
]
POINTS = ["extraction", "embedding", "paused", "cancelling"]
TARGETS = {"worker": ("ray::read", "ray::embed", "ray::IDLE"), "raylet": ("raylet/raylet",), "driver": ("ray.driver",)}


async def paused(job: Job) -> None:
    with fail_soon(60):
        async for status in job.watch():
            if status.status is JobStatus.PAUSED:
                return


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_part_of_the_cluster_fails_nothing(
    tmp_path: Path, database: Path, point: str, target: str
) -> None:
    folder = write_documents(tmp_path / "papers", point)
    workers = RayWorkers(size=2)
    async with PhaseFlow(database, workers=workers, embedder=SlowEmbedder()) as flow:
        job = await flow.start("kb", folder)
        await eventually(lambda: workers.down is None, 90)
        session = workers.pid or 0
        await eventually(lambda: at_work(session, point))
        if point == "paused":
            await flow.pause("kb")
            await paused(job)
            assert not at_work(session, "extraction")
        if point == "cancelling":
            await flow.cancel("kb")
        for part in TARGETS[target]:
            for pid in named(session, part)[:1]:
                os.kill(pid, signal.SIGKILL)
        if point == "cancelling":
            with fail_soon(30):
                assert (await job.wait()).status is JobStatus.CANCELLED
            await eventually(lambda: not at_work(session, "extraction"), 10)
            job = await flow.start("kb", folder)
        if point == "paused":
            await flow.resume("kb")
        with fail_soon(110):
            final = await job.wait()
        assert final.status is JobStatus.COMPLETED
        assert (await flow.failures("kb")).items == []
        assert {each.uri for each in (await flow.documents("kb")).items} == {path.name for path in folder.iterdir()}
        assert final.metrics.documents_loaded + final.metrics.documents_unchanged == DOCUMENTS
        assert final.metrics.chunks_indexed == final.metrics.chunks_created
        last = workers.pid or 0
    for each in {last, session}:
        await eventually(lambda each=each: not processes(each), 5)  # type: ignore[misc]  # bound in the loop


@pytest.mark.parametrize("point", POINTS)
async def test_a_head_that_dies_leaves_no_work_behind_and_goes_on_without_a_loss(
    tmp_path: Path, database: Path, point: str
) -> None:
    folder = write_documents(tmp_path / "papers", point)
    words = [sys.executable, "-c", "from tests.engine.ray_parts import main; main()", str(database), str(folder), point]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(  # noqa: ASYNC220  # a moment
        words, stdout=subprocess.PIPE, text=True, env=path
    ) as head:
        assert head.stdout is not None
        stdout = head.stdout
        with fail_soon(100):
            driver = int((await anyio.to_thread.run_sync(stdout.readline)).split()[1])
            assert (await anyio.to_thread.run_sync(stdout.readline)).strip() == "there"
        assert processes(driver)
        head.kill()
        watch = Stopwatch()
        head.wait(60)
        await eventually(lambda: not processes(driver), 20)
        assert watch.within(6)
    async with PhaseFlow(database, embedder=SlowEmbedder()) as flow:
        job = await flow.start("kb", folder) if point == "cancelling" else await flow.job("kb")
        if point == "paused":
            await flow.resume("kb")
        with fail_soon(90):
            final = await job.wait()
        assert final.status is JobStatus.COMPLETED
        assert (await flow.failures("kb")).items == []
        assert len((await flow.documents("kb")).items) == DOCUMENTS
