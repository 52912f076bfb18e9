"""Host applications that cancel in asyncio's own way: around every call, in the middle, twice, at the end.

Nothing of it may leave an open transaction, a job that is stuck, or a status that is not true.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import JobStatus, PhaseFlow, PhaseTracker, Reader
from phaseflow.domain.errors import DatabaseHeld, EngineStopped, JobConflict, WrongEventLoop
from phaseflow.store.connection import open_connection
from tests.engine.components import CountingEmbedder
from tests.matrices import first_of_each
from tests.proof import outcome
from tests.stopwatch import Stopwatch, fail_soon

DEADLINES_S = (0, 0.0002, 0.001, 0.003, 0.01)

CALLS: dict[str, Callable[[PhaseFlow, Path], Coroutine[Any, Any, Any]]] = {
    "start": lambda flow, folder: flow.start("kb", folder),
    "pause": lambda flow, _: flow.pause("kb"),
    "pause phase": lambda flow, _: flow.pause("kb", "embedding"),
    "resume": lambda flow, _: flow.resume("kb"),
    "cancel": lambda flow, _: flow.cancel("kb"),
    "retry": lambda flow, _: flow.retry("kb"),
    "status": lambda flow, _: flow.status("kb"),
    "search": lambda flow, _: flow.search("kb", "word3x7"),
    "put_kb": lambda flow, folder: flow.put_kb("kb", folder),
    "kbs": lambda flow, _: flow.kbs(),
}


async def goes_on_to_its_end(flow: PhaseFlow, folder: Path) -> None:
    """The newest job, and one more after it, come to their end."""
    with fail_soon(10):
        while not (status := await flow.status("kb")).status.is_terminal:
            if "resume" in status.allowed_actions:
                with suppress(JobConflict):  # a cancel that was given up waiting for may take effect in between
                    await flow.resume("kb")
            await anyio.sleep(0.02)
        assert (await (await flow.start("kb", folder)).wait()).status is JobStatus.COMPLETED


def nobody_holds_a_transaction(database: Path) -> bool:
    """Another program can write at once."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=0.5)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    return True


@pytest.mark.parametrize("name", first_of_each(CALLS, lambda name: name in {"status", "search", "kbs"}))
async def test_a_timeout_around_any_call_leaves_nothing_half_done(folder: Path, database: Path, name: str) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.start("kb", folder, hold=["indexing"])
        for deadline_s in DEADLINES_S:
            with suppress(TimeoutError, JobConflict):
                async with asyncio.timeout(deadline_s):
                    await CALLS[name](flow, folder)
        await goes_on_to_its_end(flow, folder)
        assert nobody_holds_a_transaction(database)
    assert outcome.violations(database) == []


@pytest.mark.parametrize("times", first_of_each([1, 2]))
async def test_a_host_task_that_is_cancelled_leaves_a_job_that_goes_on(
    folder: Path, database: Path, times: int
) -> None:
    embedder = CountingEmbedder()
    embedder.close()

    async def host() -> None:
        async with PhaseFlow(database, embedder=embedder) as flow:
            await (await flow.start("kb", folder)).wait()

    task = asyncio.create_task(host())
    with fail_soon(10):
        await embedder.until_called()
        for _ in range(times):
            task.cancel()
            await anyio.sleep(0.01)
        with suppress(asyncio.CancelledError):
            await task
        while not await can_be_opened(database):  # noqa: ASYNC110  # cancelled twice, it has not waited for the end
            await anyio.sleep(0.05)
    assert outcome.violations(database) == []
    embedder.gate.set()
    async with PhaseFlow(database, embedder=embedder) as flow:
        with fail_soon(10):
            assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED
    assert max(embedder.paid.values()) == 1


async def can_be_opened(database: Path) -> bool:
    try:
        async with PhaseFlow(database, slots=0):
            return True
    except DatabaseHeld:
        return False


async def test_a_loop_that_is_closed_in_the_middle_leaves_a_file_that_can_be_opened(
    folder: Path, database: Path
) -> None:
    async def host() -> None:
        embedder = CountingEmbedder()
        embedder.close()
        flow = PhaseFlow(database, embedder=embedder)
        await flow.__aenter__()  # and never left
        await flow.start("kb", folder)
        await embedder.until_called()

    with fail_soon(10):
        await anyio.to_thread.run_sync(asyncio.run, host())
    assert outcome.violations(database) == []
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        with fail_soon(10):
            assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED


HOST = """
import asyncio, sys
from pathlib import Path
from phaseflow import PhaseFlow
from phaseflow.store.stop_deadline import StopDeadline
from tests.engine.components import CountingEmbedder

limit = StopDeadline.limit  # a busy machine may take longer than an engine waits for the file at its end
StopDeadline.limit = lambda self, within_s, **more: limit(self, 20 * within_s, **more)

async def main(database, folder):
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        await embedder.until_called()
        print("embedding", flush=True)
        await job.wait()

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.mark.thorough
async def test_ctrl_c_in_a_host_of_its_own_leaves_the_job_queued_to_go_on(folder: Path, database: Path) -> None:
    with fail_soon(20):
        code = await anyio.to_thread.run_sync(interrupt_a_host, folder, database)
    assert code in {-signal.SIGINT, 1}  # what asyncio.run makes of a KeyboardInterrupt
    async with PhaseFlow(database, embedder=CountingEmbedder(), slots=0) as flow:
        status = await flow.status("kb")
        assert (status.status, status.waiting_on) == (JobStatus.PAUSED, "queue")
        assert flow.interrupted == []  # it was left in good order, not found dead
    assert outcome.violations(database) == []


BROKEN_OFF = """
import asyncio, sys
from phaseflow import PhaseFlow
from tests.engine.components import CountingEmbedder

class Embedder(CountingEmbedder):
    async def embed_documents(self, texts):
        raise KeyboardInterrupt  # as a second Ctrl-C does while a component is busy

async def main(database, folder):
    async with PhaseFlow(database, embedder=Embedder()) as flow:
        await (await flow.start("kb", folder)).wait()

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


async def test_ctrl_c_inside_a_component_ends_the_host_and_leaves_a_job_that_goes_on(
    folder: Path, database: Path
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with fail_soon(20):
        ended = await anyio.run_process(
            [sys.executable, "-c", BROKEN_OFF, str(database), str(folder)], env=environment, check=False
        )
    assert ended.returncode in {-signal.SIGINT, 130}
    assert ended.stderr.rstrip().endswith(b"KeyboardInterrupt")
    assert b"was never retrieved" not in ended.stderr
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        with fail_soon(10):
            assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED
    assert outcome.violations(database) == []


def interrupt_a_host(folder: Path, database: Path) -> int:
    """Send SIGINT to a program that embeds; its exit code. It ends within 5 seconds."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", HOST, str(database), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"embedding\n"
        process.send_signal(signal.SIGINT)
        watch = Stopwatch()
        code = process.wait(60)
        assert watch.within(5)
        return code


@pytest.mark.parametrize(
    "opened",
    [PhaseFlow, Reader, PhaseTracker.open, partial(open_connection, mode="rw")],
    ids=["engine", "reader", "tracker", "connection"],
)
async def test_a_program_without_asyncio_is_told_so_and_no_thread_is_left(
    tmp_path: Path, opened: Callable[[Path], AbstractAsyncContextManager[object]]
) -> None:
    database = tmp_path / "kb.db"
    async with PhaseFlow(database):
        pass

    def as_another_library_would() -> None:
        opened(database).__aenter__().send(None)  # whoever sends is its loop

    before = set(threading.enumerate())
    with ThreadPoolExecutor() as elsewhere, pytest.raises(WrongEventLoop, match=r"call it from .* asyncio\.run"):
        elsewhere.submit(as_another_library_would).result()
    assert set(threading.enumerate()) <= before


async def test_an_engine_whose_loop_has_ended_says_that_it_has_ended(tmp_path: Path) -> None:
    async def begun() -> PhaseFlow:
        async with PhaseFlow(tmp_path / "kb.db") as flow:
            await flow.put_kb("kb", tmp_path)
        return flow

    async def calls(flow: PhaseFlow) -> None:
        for call in (flow.kb("kb"), flow.start("kb"), anext(flow.transitions())):
            with pytest.raises(EngineStopped):
                await call

    await anyio.to_thread.run_sync(lambda: asyncio.run(calls(asyncio.run(begun()))))
