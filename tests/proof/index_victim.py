"""A process with a knowledge base in a PostgreSQL, in which one of the two comes to harm at a named point."""

import os
import signal
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import anyio

from phaseflow import FolderSource, JobPhase, PhaseFlow
from phaseflow.actors import index_audit
from phaseflow.components.indexes import postgres
from phaseflow.components.workers.protocol import Workers
from phaseflow.store import failpoints
from tests.proof.victim import RemoteEmbedder
from tests.stopwatch import fail_soon

Settings = dict[str, dict[str, str]]
OUTSIDE: Settings = {"index": {"type": "postgres", "server": "main"}}
INSIDE: Settings = {"index": {"type": "embedded"}}
LONGEST_S = 120
SEEN_S = 20.0
"""How long the one who does the harm may take to see that the point is reached."""


class Who(StrEnum):
    """What happens at the point."""

    HEAD = "head"
    """The head is killed."""
    SERVER = "server"
    """The PostgreSQL is killed, and started again at once."""
    STOPPED = "stopped"
    """It stands still (SIGSTOP) for half a minute: connections stay, and nothing answers."""
    FULL = "full"
    """Its disk is full for some seconds."""
    WORKER = "worker"
    """A worker on a cluster of Ray is killed, one that has work where there is one."""
    RAYLET = "raylet"
    """The node of that cluster is killed."""

    @property
    def is_of_cluster(self) -> bool:
        """Documents are read on a cluster, a part of which is killed; the head lives on."""
        return self in {Who.WORKER, Who.RAYLET}


class Errand(StrEnum):
    """What the head is busy with then."""

    INGEST = "ingest"
    """Bring a changed folder into a knowledge base that is outside."""
    MOVE_OUT = "move_out"
    """Move one from the database to the server."""
    MOVE_IN = "move_in"
    """Move one back."""
    DELETE = "delete"
    """Delete one."""
    PAUSE = "pause"
    """Ingest, and pause and resume in the middle."""
    CANCEL = "cancel"
    """Ingest, and cancel in the middle."""

    @property
    def before(self) -> Settings:
        """The settings that the knowledge base has before."""
        return INSIDE if self is Errand.MOVE_OUT else OUTSIDE

    @property
    def after(self) -> Settings:
        """Those that it has in the end."""
        return INSIDE if self is Errand.MOVE_IN else OUTSIDE


class Cell(NamedTuple):
    """One cell of the matrix: ``who`` is killed at the ``arrival``-th arrival at ``point`` of an errand."""

    who: Who
    errand: Errand
    point: str
    arrival: int = 1

    def __str__(self) -> str:
        return f"{self.who}-{self.errand}-{self.point}-{self.arrival}"


PLACES = [
    (Errand.INGEST, "indexing.putting", 1),
    (Errand.INGEST, "indexing.put", 1),
    (Errand.INGEST, "indexing.between", 1),
    (Errand.INGEST, "index.removing", 1),
    (Errand.INGEST, "index.removed", 1),
    (Errand.INGEST, "indexing.withdrawn", 1),
    (Errand.MOVE_OUT, "index.putting_back", 1),
    (Errand.MOVE_OUT, "index.putting_back", 20),
    (Errand.MOVE_OUT, "indexing.put", 1),
    (Errand.MOVE_OUT, "indexing.ready", 1),
    (Errand.MOVE_OUT, "indexing.switched", 1),
    (Errand.MOVE_IN, "indexing.switched", 1),
    (Errand.MOVE_IN, "index.removing", 1),
    (Errand.MOVE_IN, "index.dropped", 1),
    (Errand.DELETE, "store.after_commit", 1),
    (Errand.DELETE, "index.removing", 1),
    (Errand.DELETE, "index.dropped", 1),
    (Errand.PAUSE, "supervisor.paused", 1),
    (Errand.CANCEL, "scheduler.applied", 1),
]
WAITS = [
    (Errand.INGEST, "indexing.putting", 1),
    (Errand.INGEST, "index.removing", 1),
    (Errand.MOVE_OUT, "index.putting_back", 1),
    (Errand.MOVE_OUT, "indexing.ready", 1),
    (Errand.MOVE_IN, "index.removing", 1),
    (Errand.DELETE, "index.removing", 1),
    (Errand.PAUSE, "supervisor.paused", 1),
    (Errand.CANCEL, "scheduler.applied", 1),
]
OF_CLUSTER = [
    (Errand.INGEST, "indexing.putting", 1),
    (Errand.INGEST, "indexing.put", 1),
    (Errand.INGEST, "indexing.between", 1),
    (Errand.INGEST, "index.removing", 1),
    (Errand.MOVE_OUT, "indexing.ready", 1),
    (Errand.MOVE_OUT, "indexing.switched", 1),
    (Errand.MOVE_IN, "index.removing", 1),
    (Errand.DELETE, "index.removing", 1),
    (Errand.PAUSE, "supervisor.paused", 1),
    (Errand.CANCEL, "scheduler.applied", 1),
]
CELLS = [
    *(Cell(who, *place) for who in (Who.HEAD, Who.SERVER) for place in PLACES),
    *(Cell(who, *place) for who in (Who.STOPPED, Who.FULL) for place in WAITS),
    *(Cell(who, *place) for who in (Who.WORKER, Who.RAYLET) for place in OF_CLUSTER),
]


def live(cell: Cell, database: Path, folder: Path, base_url: str, url: str, server_pid: int) -> None:
    """Run an errand in this process. Ends with exit code 3 when the point was not reached so often."""
    left = cell.arrival

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            if cell.who in {Who.HEAD, Who.SERVER}:
                os.kill(os.getpid() if cell.who is Who.HEAD else server_pid, signal.SIGKILL)
            else:
                _call_for_harm(arrived_at(database))

    postgres.WORTH_AN_INDEX = 1  # type: ignore[misc]  # Final for others
    index_audit.TOGETHER = 1  # type: ignore[misc]  # Final for others
    install = lambda: failpoints.install(cell.point, arrive)  # noqa: E731  # named for what it does
    anyio.run(run_errand, cell.errand, database, folder, base_url, url, install)
    raise SystemExit(3 if left > 0 else 0)


def arrived_at(database: Path) -> Path:
    """The file that says that the point is reached, until the harm is done."""
    return database.with_name("arrived")


def _call_for_harm(arrived: Path) -> None:
    """Let nothing go on before it is done."""
    arrived.touch()
    until = time.monotonic() + SEEN_S
    while arrived.exists() and time.monotonic() < until:
        time.sleep(0.005)


async def run_errand(
    errand: Errand,
    database: Path,
    folder: Path,
    base_url: str,
    url: str,
    install: Callable[[], None],
    workers: Workers | None = None,
) -> None:
    """Do it, with ``install`` called when the point may be reached, until the index has removed all that is gone."""
    embedder = RemoteEmbedder(base_url)
    with fail_soon(LONGEST_S):
        async with PhaseFlow(database, embedder=embedder, index_servers={"main": url}, workers=workers) as flow:
            if errand is not Errand.DELETE:
                install()
            await _ERRANDS.get(errand, _ingest)(flow, errand, folder, install)
            await until_settled(flow)
    await embedder.aclose()


async def until_settled(flow: PhaseFlow) -> None:
    """Until the index has removed all that is gone."""
    while await flow._engine.read(lambda tx: tx.row("SELECT 1 FROM index_outbox LIMIT 1")):  # noqa: ASYNC110  # nobody tells when
        await anyio.sleep(0.02)


async def _ingest(flow: PhaseFlow, errand: Errand, folder: Path, install: Callable[[], None]) -> None:
    await (await flow.start("kb", FolderSource(str(folder)), settings=errand.after, allow_deletes=True)).wait()


async def _delete(flow: PhaseFlow, errand: Errand, folder: Path, install: Callable[[], None]) -> None:
    install()
    await flow.delete_kb("kb")


async def _pause(flow: PhaseFlow, errand: Errand, folder: Path, install: Callable[[], None]) -> None:
    job = await flow.start("kb", FolderSource(str(folder)), allow_deletes=True)
    async for status in job.watch():
        if status.phase_details[JobPhase.EMBEDDING.position].items_processed:
            break
    await flow.pause("kb")
    await job.wait_until_idle()
    await flow.resume("kb")
    await job.wait()


async def _cancel(flow: PhaseFlow, errand: Errand, folder: Path, install: Callable[[], None]) -> None:
    job = await flow.start("kb", FolderSource(str(folder)), allow_deletes=True)
    async for status in job.watch():
        if status.phase_details[JobPhase.INDEXING.position].status != "not_started" or status.status == "completed":
            break
    if not status.status.is_terminal:
        await flow.cancel("kb")


_ERRANDS: dict[Errand, Callable[[PhaseFlow, Errand, Path, Callable[[], None]], Awaitable[None]]] = {
    Errand.DELETE: _delete,
    Errand.PAUSE: _pause,
    Errand.CANCEL: _cancel,
}
