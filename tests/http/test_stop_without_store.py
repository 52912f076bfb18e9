"""A stop is quick whatever has become of the database file, and whatever the service was doing."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import anyio
import httpx2
import pytest

from phaseflow.flow import PhaseFlow
from phaseflow.store.stop_deadline import WRITES_S
from tests.engine.components import write_folder
from tests.http.processes import SERVE, ServiceProcess, process
from tests.http.service import http_client, until
from tests.matrices import first_of_each
from tests.ports import free_port
from tests.stopwatch import Stopwatch, fail_soon

KB = "/api/ingestion/kb/a"
STOP_S = 2.3
"""2 s are promised; the rest is for a busy machine."""
INGEST_S = 4.3
"""A command shows the end as well; it leaves after 4 s."""

STUCK = (
    sys.executable,
    "-c",
    """
import sys, time
from pathlib import Path
from phaseflow.__main__ import run
from phaseflow.store import failpoints

def wait():
    while Path("stuck").exists():
        time.sleep(0.05)

failpoints.install("store.before_commit", wait)
sys.argv[0] = "phaseflow"
run()
""",
    "serve",
)
"""A service whose writer does not come back while there is a file ``stuck``."""


def _replaced(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def _cut_off(path: Path) -> None:
    os.truncate(path, 0)


def _overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"something else altogether " * 1000)


def _full(path: Path) -> None:
    with path.with_name("fill").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.fixture
def locked() -> Iterator[Callable[[Path], None]]:
    """Another program locks the file until the end of the test."""
    with ExitStack() as stack:

        def lock(path: Path) -> None:
            connection = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
            connection.execute("BEGIN IMMEDIATE")

        yield lock


async def _bring_to(state: str, service: ServiceProcess, source: Path) -> None:
    """A service with a job that is completed, running or paused."""
    count = {"idle": 3, "running": 1500, "paused": 400}[state]
    folder = write_folder(source, count, words=600)

    async with http_client(service.url) as http:

        async def loads() -> bool:
            status = (await http.get(f"{KB}/status")).json()
            return bool(status["phase_details"][0]["items_processed"] > 3)

        async def is_so(status: str) -> bool:
            return bool((await http.get(f"{KB}/status")).json()["status"] == status)

        asked = await http.post(f"{KB}/start", json={"source": {"type": "folder", "path": str(folder)}})
        assert asked.status_code == 202
        if state == "idle":
            await until(lambda: is_so("completed"), 30)
            return
        await until(loads, 30)
        if state == "paused":
            await http.post(f"{KB}/pause")
            await until(lambda: is_so("paused"), 30)


async def _is_unwritable(service: ServiceProcess) -> None:
    async with http_client(service.url) as http:

        async def refuses() -> bool:
            return (await http.put("/api/ingestion/kb/b", json={"source": {"type": "upload"}})).status_code == 503

        await until(refuses, 20)


async def _listens_no_more(service: ServiceProcess) -> bool:
    async with http_client(service.url) as http:
        try:
            await http.get("/healthz")
        except httpx2.TransportError:
            return True
    return False


@pytest.mark.parametrize("state", first_of_each(["running", "idle", "paused"]))
@pytest.mark.parametrize("damage", first_of_each([_full, _replaced, _cut_off, _overwritten]))
async def test_a_stop_is_quick_when_the_file_takes_no_writes(
    tmp_path: Path, small_disk: Path, damage: Callable[[Path], None], state: str
) -> None:
    with process(small_disk, free_port(), (*SERVE, "--allow-root", str(tmp_path))) as service:
        await service.ready()
        await _bring_to(state, service, tmp_path / "docs")
        damage(small_disk / "kb.db")
        await _is_unwritable(service)
        assert (await service.stop()).within(STOP_S)
        assert service.ended_in_order


@pytest.mark.thorough
async def test_a_stop_is_quick_while_another_program_has_the_file_locked(
    tmp_path: Path, locked: Callable[[Path], None]
) -> None:
    with process(tmp_path, free_port(), SERVE) as service:
        await service.ready()
        await _bring_to("running", service, tmp_path / "docs")
        locked(tmp_path / "kb.db")
        assert (await service.stop()).within(STOP_S)


@pytest.mark.thorough
async def test_a_stop_is_quick_when_the_writer_does_not_come_back(tmp_path: Path) -> None:
    with process(tmp_path, free_port(), STUCK) as service:
        await service.ready()
        await _bring_to("running", service, tmp_path / "docs")
        (tmp_path / "stuck").touch()
        assert (await service.stop()).within(STOP_S)
    async with PhaseFlow(tmp_path / "kb.db", slots=0) as flow:
        assert [job.kb_id for job in [await flow.job("a")]] == ["a"]
        assert len(flow.interrupted) == 1  # it was found dead, and goes on


@pytest.mark.thorough
async def test_a_pause_is_written_where_the_file_can_be_written_again_in_time(
    tmp_path: Path, locked: Callable[[Path], None]
) -> None:
    with process(tmp_path, free_port(), SERVE) as service:
        await service.ready()
        await _bring_to("running", service, tmp_path / "docs")
        with closing(sqlite3.connect(tmp_path / "kb.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            watch = Stopwatch()
            os.kill(service.pid, signal.SIGTERM)
            await until(lambda: _listens_no_more(service))
            other.execute("ROLLBACK")
        assert (await service.stop()).within(STOP_S)
    had_time = watch.seconds < WRITES_S
    async with PhaseFlow(tmp_path / "kb.db", slots=0) as flow:
        assert not (had_time and flow.interrupted)


@pytest.mark.thorough
async def test_a_service_says_in_one_line_that_its_file_was_cut_off(tmp_path: Path) -> None:
    with process(tmp_path, free_port(), SERVE) as service:
        await service.ready()
        await _bring_to("paused", service, tmp_path / "docs")
        _cut_off(tmp_path / "kb.db")
        await service.stop()
    words = [*SERVE, "--port", str(free_port()), "--db", str(tmp_path / "kb.db")]
    with fail_soon(20):
        again = await anyio.run_process(words, check=False, stderr=subprocess.PIPE)
    lines = again.stderr.decode().splitlines()
    assert (again.returncode, len(lines)) == (1, 1)
    assert "is damaged" in lines[0]


@pytest.mark.thorough
@pytest.mark.parametrize("damage", first_of_each([_replaced, _cut_off, _overwritten, _full]))
async def test_an_ingest_ends_soon_after_ctrl_c_when_the_file_takes_no_writes(
    tmp_path: Path, small_disk: Path, damage: Callable[[Path], None]
) -> None:
    folder, path = write_folder(tmp_path / "docs", 1500, words=600), small_disk / "kb.db"
    words = [sys.executable, "-m", "phaseflow", "ingest", str(folder), "--kb", "a", "--db", str(path), "--json"]
    log = tmp_path / "log"

    async def loads() -> bool:
        assert command.returncode is None, log.read_text()
        return '"items_processed"' in log.read_text()

    with log.open("wb") as output:
        command = await anyio.open_process(words, stdout=output, stderr=output)
        try:
            await until(loads, 30)
            damage(path)
            command.send_signal(signal.SIGINT)
            with fail_soon(INGEST_S):
                await command.wait()
        finally:
            with suppress(ProcessLookupError):
                command.kill()
            await command.aclose()
    assert command.returncode in {1, 3}
    assert "Traceback" not in log.read_text()
