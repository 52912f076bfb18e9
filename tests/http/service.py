"""A real service on a real socket, in the event loop of the test."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import httpx2
from starlette.types import ASGIApp

from phaseflow.components.certificates import trusted
from phaseflow.domain import phase as bounds
from phaseflow.domain.vocabulary import PHASES
from phaseflow.flow import PhaseFlow
from phaseflow.http import create_app, server_for
from phaseflow.store.leases import Leases
from phaseflow.tracker import PhaseTracker
from tests.stopwatch import fail_soon

READY_S = 10
TRANSITIONS_OF_A_PASSAGE = 10
"""Of a job that goes from its start to its end: two for each phase, two of its own."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is up. ``http`` is a client of it."""

    flow: PhaseFlow
    http: httpx2.AsyncClient
    url: str


@asynccontextmanager
async def serving(flow: PhaseFlow, **options: Any) -> AsyncIterator[Service]:
    """Serve an engine, which runs for the length of the block, with the options of ``create_app``."""
    async with flow, listening_for(create_app(flow, **options)) as url, http_client(url) as http:
        yield Service(flow, http, url)


def http_client(url: str) -> httpx2.AsyncClient:
    """A client with as many connections as it likes, which heeds no proxy of the machine."""
    limits = httpx2.Limits(max_connections=None)
    return httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits, verify=trusted())


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = READY_S) -> None:
    """Wait for what no event tells of, since it happens behind a socket."""
    wait_s = 0.01
    with fail_soon(within_s):
        while not await holds():
            await anyio.sleep(wait_s)
            wait_s = min(1.5 * wait_s, 0.05)  # each look is a request, which costs the service as much as the test


@asynccontextmanager
async def listening_for(app: Any, port: int = 0) -> AsyncIterator[str]:
    """Serve an app of ``create_app`` for the length of the block; its address."""
    with listening(port) as listener:
        started = anyio.Event()
        server = server_for(app, started.set)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: server.serve(sockets=[listener]))
            with fail_soon(READY_S):
                await started.wait()
            try:
                yield url_of(listener)
            finally:
                server.should_exit = True


@asynccontextmanager
async def foreign_server(app: ASGIApp) -> AsyncIterator[str]:
    """Serve any app with uvicorn as it comes; its address."""
    import uvicorn

    class Started(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    with listening() as listener:
        started = anyio.Event()
        server = Started(uvicorn.Config(app, log_config=None))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: server.serve(sockets=[listener]))
            with fail_soon(READY_S):
                await started.wait()
            try:
                yield url_of(listener)
            finally:
                server.should_exit = True


def listening(port: int = 0) -> socket.socket:
    """A socket on a port of this machine, a free one unless named."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def url_of(listener: socket.socket) -> str:
    """The address of a socket as a URL."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def documents(folder: Path, count: int = 3) -> Path:
    """A folder of short documents."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number}.md").write_text(f"# Part {number}\n\nWhat stands in part {number} of the manual.\n")
    return folder


async def pass_through(tracker: PhaseTracker, job_id: str, kb_id: str) -> None:
    """A job of a program with its own pipeline, from its start to its end."""
    await tracker.initialize_phases(job_id, kb_id)
    for phase in PHASES:
        await tracker.start_phase(job_id, phase)
        await tracker.complete_phase(job_id, phase)


async def fail_with_a_long_error(tracker: PhaseTracker, job_id: str, kb_id: str) -> None:
    """A job that ends with 150 kB of an error, as older builds stored it; all who listen are told twice."""
    await tracker.initialize_phases(job_id, kb_id)
    await tracker.start_phase(job_id, "loading")
    with patch.object(bounds, "LONGEST_ERROR", 150_000):
        await tracker.fail_phase(job_id, "loading", "no " * 50_000)


async def lease_end(flow: PhaseFlow) -> datetime:
    """When the only lease ends, should nobody be heard of until then."""
    end = await flow._engine.hub.database.read(lambda tx: Leases(tx).first_end())
    assert end is not None
    return end


async def end_leases(flow: PhaseFlow) -> None:
    """All leases run out now, as if nobody had been heard of for their time."""
    hub = flow._engine.hub
    with fail_soon(20):
        # Again and again: an engine that has just been opened may not have given each its whole time anew yet.
        while await hub.database.read(lambda tx: Leases(tx).first_end()) is not None:
            await hub.database.write(lambda tx: Leases(tx).move(timedelta(days=-1)))
            hub.tell_lease()
            await anyio.sleep(0.005)
