"""Jobs on a cluster of Ray that somebody else has started (``ray://HOST:PORT``)."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest

import phaseflow
from phaseflow import PhaseFlow
from phaseflow.components.workers.ray.driver_process import kill_session
from phaseflow.components.workers.ray.workers import RayWorkers
from phaseflow.domain.vocabulary import JobStatus
from tests.engine.ray_parts import SlowEmbedder, eventually, processes, write_documents
from tests.ports import free_port
from tests.stopwatch import Stopwatch, fail_soon

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed"),
]
TOKEN = "b5a6" * 16
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the name is historical: it means loopback addresses only
}


class Cluster:
    """One node on loopback, whose workers import from ``code`` before all else."""

    def __init__(self, folder: Path, port: int, code: Path) -> None:
        self.address = f"ray://127.0.0.1:{port}"
        self._folder, self._port, self._code = folder, port, code
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        path = os.pathsep.join([str(self._code), *(each for each in sys.path if each)])
        gcs = free_port()
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1",
             f"--port={gcs}", f"--ray-client-server-port={self._port}", "--num-cpus=2", "--num-gpus=0",
             "--include-dashboard=false", "--object-store-memory=100000000", f"--temp-dir={self._folder}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **QUIET, "PYTHONPATH": path},
        )  # fmt: skip
        until = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < until, "the cluster does not start"
            assert self._process.poll() is None, "the cluster has ended"
            time.sleep(0.1)

    def _answers(self) -> bool:
        with closing(socket.socket()) as knocking:
            return knocking.connect_ex(("127.0.0.1", self._port)) == 0

    def kill(self) -> None:
        """All of it at once."""
        if self._process is not None:
            kill_session(self._process.pid)
            self._process.wait()
            while processes(self._process.pid):
                time.sleep(0.02)

    def at_work(self) -> bool:
        return self._process is not None and any("ray::read" in each for each in processes(self._process.pid).values())


@contextmanager
def cluster(code: Path) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="pf-ray-", dir="/tmp"))
    made = Cluster(folder, free_port(), code)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


SOURCE = Path(phaseflow.__file__).parents[1]


@pytest.mark.longest(240)
async def test_a_job_is_done_there_waits_while_it_is_gone_and_a_head_that_dies_leaves_no_work(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    folder = write_documents(tmp_path / "papers", "extraction")
    with cluster(SOURCE) as there:
        async with PhaseFlow(database, workers=there.address, embedder=SlowEmbedder()) as flow:
            job = await flow.start("kb", folder)
            await eventually(there.at_work, 90)
            await anyio.to_thread.run_sync(there.kill)
            with fail_soon(60):
                async for status in job.watch():
                    if status.waiting_on == "workers":
                        break
            assert (status.status, status.metrics.documents_failed) == ("running", 0)
            await anyio.to_thread.run_sync(there.start)
            with fail_soon(90):
                done = await job.wait()
            assert done.status is JobStatus.COMPLETED
            assert (await flow.failures("kb")).items == []
            assert done.metrics.documents_loaded == len(list(folder.iterdir()))
        (folder / "0.docx").unlink()
        write_documents(tmp_path / "more", "extraction")
        words = "import sys; from tests.engine.ray_parts import elsewhere; elsewhere(*sys.argv[1:])"
        with subprocess.Popen(  # noqa: ASYNC220  # a moment
            [sys.executable, "-c", words, str(tmp_path / "other.db"), str(tmp_path / "more"), there.address],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as head:
            await eventually(there.at_work, 90)
            head.send_signal(signal.SIGKILL)
            watch = Stopwatch()
            head.wait()
        await eventually(lambda: not there.at_work(), 20)
        assert watch.within(10)


@pytest.mark.longest(240)
async def test_a_cluster_that_asks_for_a_token_and_has_other_code_is_refused_and_nothing_is_read_there_or_here(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    other = tmp_path / "src"
    shutil.copytree(SOURCE / "phaseflow", other / "phaseflow", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "phaseflow" / "snapshot.py").open("a") as file:
        file.write("# as of yesterday\n")
    folder = write_documents(tmp_path / "papers", "extraction")
    with cluster(other) as there:
        workers = RayWorkers(there.address)
        async with PhaseFlow(database, workers=workers, embedder=SlowEmbedder()) as flow:
            job = await flow.start("kb", folder)
            await eventually(lambda: "the cluster has another version of phaseflow" in (workers.down or ""), 90)
            with fail_soon(30):
                async for status in job.watch():
                    if status.waiting_on == "workers":
                        break
            assert status.metrics.documents_loaded == 0
            await flow.cancel("kb")
