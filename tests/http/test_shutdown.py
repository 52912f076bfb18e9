"""Stopping with streams open and a job running: quick, clean, and the job goes on at the next start."""

import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from unittest.mock import MagicMock
from urllib.parse import urlsplit

import anyio
import pytest
import uvicorn
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phaseflow.flow import PhaseFlow
from phaseflow.http import Limits, create_app, serve, server_for
from phaseflow.http.stream_hub import StreamHub
from tests.cli.embedding_server import EmbeddingServer
from tests.http.listening import ALL, frozen_client
from tests.http.processes import PLAIN_UVICORN, SERVE, ServiceProcess, process
from tests.http.service import (
    documents,
    fail_with_a_long_error,
    foreign_server,
    http_client,
    listening,
    until,
    url_of,
)
from tests.matrices import first_of_each
from tests.ports import free_port
from tests.stopwatch import Stopwatch, fail_soon

STREAMS = 200
KB = "/api/ingestion/kb"
PREFIX = "/ingestion"
HOST_WITH_MIDDLEWARE = f"""
from contextlib import asynccontextmanager
from fastapi import FastAPI
from phaseflow import PhaseFlow
from phaseflow.http import create_app

flow = PhaseFlow("kb.db")

@asynccontextmanager
async def lifespan(app):
    async with flow:
        yield

app = FastAPI(lifespan=lifespan)
app.mount("{PREFIX}", create_app(flow))

@app.middleware("http")
async def through(request, call_next):
    return await call_next(request)
"""


async def _open_streams(url: str, count: int, path: str = ALL) -> list[socket.socket]:
    """Clients that read nothing but the beginning."""
    target = urlsplit(url)
    clients = []
    for _ in range(count):
        client = socket.create_connection((target.hostname, target.port or 80))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        clients.append(client)
    for client in clients:
        client.settimeout(10)
        assert (await anyio.to_thread.run_sync(client.recv, 100)).startswith(b"HTTP/1.1 200")
    return clients


def _rest(client: socket.socket) -> bytes:
    with client:
        parts = []
        while part := client.recv(65536):
            parts.append(part)
        return b"".join(parts)


async def _start_a_long_job(service: ServiceProcess, folder: Path, size: int = 1000) -> None:
    source = {"type": "folder", "path": str(documents(folder, size))}

    async def loads() -> bool:
        status = (await http.get(f"{KB}/waf/status")).json()
        return bool(status["phase_details"][0]["items_processed"])

    async with http_client(service.url) as http:
        assert (await http.post(f"{KB}/waf/start", json={"source": source})).status_code == 202
        await until(loads)


@pytest.mark.parametrize(
    ("command", "limit_s", "number"),
    first_of_each([  # a terminal that is closed sends SIGHUP; uvicorn alone does not know it
        (SERVE, 2.0, signal.SIGHUP), (SERVE, 2.0, signal.SIGTERM), (SERVE, 2.0, signal.SIGINT),
        (PLAIN_UVICORN, 4.0, signal.SIGTERM), (PLAIN_UVICORN, 4.0, signal.SIGINT),
    ]),
)  # fmt: skip
async def test_a_stop_is_quick_with_streams_open_and_a_job_running(
    tmp_path: Path, command: Sequence[str], limit_s: float, number: signal.Signals
) -> None:
    with process(tmp_path, free_port(), command) as service:
        await service.ready()
        await _start_a_long_job(service, tmp_path / "docs", 3000)
        clients = await _open_streams(service.url, STREAMS)
        watch = Stopwatch()
        await service.stop(number)
        assert watch.within(limit_s)
    assert all(_rest(client).endswith(b"0\r\n\r\n") for client in clients)
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        assert not (service.had_time and flow.interrupted), "it was left in good order, not found dead"
        before = (await flow.status("waf")).metrics.chunks_indexed
        with fail_soon(60):
            async for status in (await flow.job("waf")).watch():
                if status.metrics.chunks_indexed > before:
                    break  # it goes on; the rest of so many documents would show nothing more
            else:
                assert status.status == "completed"


@pytest.mark.thorough
async def test_a_service_that_was_asked_to_stop_has_not_failed(tmp_path: Path) -> None:
    with process(tmp_path, free_port(), SERVE) as service:
        await service.ready()
        await service.stop()
        assert service.ended_in_order


@pytest.mark.thorough
async def test_a_closed_terminal_ends_a_service_in_good_order(tmp_path: Path) -> None:
    with process(tmp_path, free_port(), SERVE) as service:
        await service.ready()
        await _start_a_long_job(service, tmp_path / "docs")
        clients = await _open_streams(service.url, 3)
        assert (await service.stop(signal.SIGHUP)).within(2.0)
        assert service.ended_in_order
    assert all(_rest(client).endswith(b"0\r\n\r\n") for client in clients)
    async with PhaseFlow(tmp_path / "kb.db", slots=0) as flow:
        assert not (service.had_time and flow.interrupted), "it was left in good order, not found dead"


@pytest.mark.thorough
async def test_a_service_outlives_its_terminal_under_nohup(tmp_path: Path) -> None:
    with process(tmp_path, free_port(), ("nohup", *SERVE)) as service:
        await service.ready()
        os.kill(service.pid, signal.SIGHUP)
        await service.ready()
        await service.stop(signal.SIGTERM)
        assert service.ended_in_order


async def test_a_service_is_ready_only_when_interrupted_jobs_go_on(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, port) as service:
        await service.ready()
        await _start_a_long_job(service, tmp_path / "docs")
        await service.stop(signal.SIGKILL)
    with process(tmp_path, port) as service:
        await service.ready()
        async with http_client(service.url) as http:
            assert (await http.get("/readyz")).json() == {"status": "ready", "interrupted": 1}
            job_id = (await http.get(f"{KB}/waf/status")).json()["job_id"]
            log = (await http.get(f"/api/ingestion/jobs/{job_id}/transitions")).json()["items"]
    assert "interrupted" in {transition["reason"] for transition in log}
    assert b"interrupted job found" in (tmp_path / "log").read_bytes()


async def test_an_app_in_the_loop_of_its_host_stops_when_the_host_says_so(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        with listening() as listener:
            started = anyio.Event()
            server = server_for(create_app(flow), started.set)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: server.serve(sockets=[listener]))
                await started.wait()
                clients = await _open_streams(url_of(listener), STREAMS)
                with fail_soon(2):
                    server.should_exit = True
                    await anyio.to_thread.run_sync(lambda: [_rest(client) for client in clients])
        assert flow.is_running


@pytest.mark.thorough
async def test_a_host_with_middleware_of_its_own_stops_while_streams_are_open(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(HOST_WITH_MIDDLEWARE)
    words = [sys.executable, "-m", "uvicorn", "host:app", "--app-dir", str(tmp_path)]
    with process(tmp_path, free_port(), words) as service:
        await service.ready(PREFIX)
        clients = await _open_streams(service.url, 3, PREFIX + ALL)
        assert (await service.stop()).within(4)
    assert all(_rest(client).endswith(b"0\r\n\r\n") for client in clients)


class Wrapped:
    """A host's middleware: what the application gets of the server is not the server's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def passed_on() -> Message:
            return await receive()

        await self._app(dict(scope), passed_on, send)


def _starlette_middleware(app: ASGIApp) -> ASGIApp:
    async def through(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    return BaseHTTPMiddleware(app, through)


@pytest.mark.parametrize("middleware", [Wrapped, _starlette_middleware])
async def test_a_host_with_middleware_stops_when_its_server_is_told_to(
    tmp_path: Path, middleware: Callable[[ASGIApp], ASGIApp]
) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        with fail_soon(4):
            async with foreign_server(middleware(create_app(flow))) as url:
                clients = await _open_streams(url, 3)
        assert all(_rest(client).endswith(b"0\r\n\r\n") for client in clients)


@pytest.mark.parametrize("middleware", first_of_each([Wrapped, _starlette_middleware]))
async def test_a_frozen_client_holds_up_no_host_with_middleware(
    tmp_path: Path, middleware: Callable[[ASGIApp], ASGIApp]
) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        for number in range(60):  # 9 MB: more than the buffers on the way take
            await fail_with_a_long_error(flow.tracker, f"job-{number}", "own")
        app = create_app(flow, limits=Limits(send_s=0.2, heartbeat_s=0.2))
        open_streams = app.state.phaseflow.hub
        with fail_soon(20):
            async with foreign_server(middleware(app)) as url:
                with frozen_client(url, f"{ALL}?last_event_id=0"):
                    await until(partial(_has_clients, open_streams, 1))
                    await until(partial(_has_clients, open_streams, 0))
                    watch = Stopwatch()
        assert watch.within(4)


async def _has_clients(hub: StreamHub, count: int) -> bool:
    return hub.clients == count


@pytest.mark.thorough
async def test_a_component_that_hangs_holds_up_no_stop(tmp_path: Path) -> None:
    with EmbeddingServer() as hanging, process(tmp_path, free_port(), SERVE) as service:
        await service.ready()
        settings = {"embedder": {"type": "openai", "base_url": hanging.options[3], "model": "counting"}}
        source = {"type": "folder", "path": str(documents(tmp_path / "docs"))}
        async with http_client(service.url) as http:
            started = await http.post(f"{KB}/waf/start", json={"source": source, "settings": settings})
        assert started.status_code == 202
        assert await anyio.to_thread.run_sync(hanging.asked.wait, 60)
        assert (await service.stop()).within(2)


@pytest.mark.thorough
async def test_half_a_body_holds_up_no_stop(tmp_path: Path) -> None:
    with process(tmp_path, free_port(), PLAIN_UVICORN) as service:
        await service.ready()
        target = urlsplit(service.url)
        with socket.create_connection((target.hostname, target.port or 80)) as client:
            head = f"POST {KB}/waf/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(f'{head}Content-Length: 50\r\n\r\n{{"full":'.encode())
            assert (await service.stop()).within(4)
            assert client.recv(100).startswith(b"HTTP/1.1 503")


async def test_the_interpreter_is_set_for_serving_and_as_before_afterwards(tmp_path: Path) -> None:
    before, frozen, turn_s = gc.get_threshold(), gc.get_freeze_count(), sys.getswitchinterval()
    started = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve, PhaseFlow(tmp_path / "kb.db"), port=0, started=lambda _: started.set()))
        with fail_soon(10):
            await started.wait()
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > frozen
        assert sys.getswitchinterval() <= 0.001 < turn_s
        signal.raise_signal(signal.SIGTERM)
    assert (gc.get_threshold(), gc.get_freeze_count(), sys.getswitchinterval()) == (before, 0, turn_s)


def _own_server(path: Path, listener: socket.socket, started: Callable[[], None]) -> uvicorn.Server:
    return server_for(create_app(PhaseFlow(path)), started)


def _foreign_server(path: Path, listener: socket.socket, started: Callable[[], None]) -> uvicorn.Server:
    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    return Server(uvicorn.Config(create_app(PhaseFlow(path)), log_config=None))


@pytest.mark.parametrize(("make", "limit_s"), first_of_each([(_own_server, 2.0), (_foreign_server, 4.0)]))
async def test_an_app_in_a_thread_stops_when_its_server_is_told_to(
    tmp_path: Path, make: Callable[..., uvicorn.Server], limit_s: float
) -> None:
    with listening() as listener:
        started = threading.Event()
        server = make(tmp_path / "kb.db", listener, started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert await anyio.to_thread.run_sync(started.wait, 60)
        clients = await _open_streams(url_of(listener), STREAMS)
        watch = Stopwatch()
        server.should_exit = True
        await anyio.to_thread.run_sync(thread.join)
        assert watch.within(limit_s)
    assert not thread.is_alive()
    assert all(_rest(client).endswith(b"0\r\n\r\n") for client in clients)


@pytest.mark.parametrize(("answers", "errors"), [(0, []), (1, ["Cancel 1 running task(s)"])])
async def test_a_stop_that_cuts_off_no_answer_logs_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answers: int, errors: list[str]
) -> None:
    server = server_for(create_app(PhaseFlow(tmp_path / "kb.db")))
    server.config.timeout_graceful_shutdown = 0
    server.servers, server.force_exit = [], True  # it has not begun
    connection = MagicMock()  # of a stream that has ended, and takes its time to close
    server.server_state.connections.add(connection)
    server.server_state.tasks.update(MagicMock() for _ in range(answers))
    await server.shutdown()
    connection.shutdown.assert_called_once()
    told = [record.getMessage().split(",")[0] for record in caplog.records if record.levelno >= logging.ERROR]
    assert told == errors
