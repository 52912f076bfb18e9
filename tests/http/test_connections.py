"""Connections that ask for nothing, half of something, or too much, and a process without descriptors."""

import asyncio
import errno
import inspect
import resource
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from phaseflow.flow import PhaseFlow
from phaseflow.http import Limits
from phaseflow.http.connections import LOCAL_RESERVE, Connections, protocol_for, quiet_accepts
from tests.http.listening import ALL, stream
from tests.http.processes import process
from tests.http.service import Service, http_client, serving
from tests.matrices import first_of_each
from tests.ports import free_port
from tests.stopwatch import fail_soon

HEAD_S = 0.3
HALF = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(head_s=HEAD_S)) as service:
        yield service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        yield service


async def _connected(url: str) -> Any:
    target = urlsplit(url)
    assert target.hostname
    assert target.port
    return await anyio.connect_tcp(target.hostname, target.port)


async def _is_closed(connection: Any) -> None:
    with fail_soon(5):
        try:
            while True:
                await connection.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


@pytest.mark.parametrize("sent", [b"", HALF])
async def test_a_connection_that_brings_no_head_is_closed(impatient: Service, sent: bytes) -> None:
    async with await _connected(impatient.url) as connection:
        if sent:
            await connection.send(sent)
        await _is_closed(connection)


async def test_a_head_that_drips_is_not_waited_for(impatient: Service) -> None:
    async with await _connected(impatient.url) as connection, anyio.create_task_group() as tasks:
        await connection.send(HALF)

        async def drip() -> None:
            while True:
                await anyio.sleep(HEAD_S / 5)
                try:
                    await connection.send(b"x")
                except anyio.BrokenResourceError:
                    return

        tasks.start_soon(drip)
        await _is_closed(connection)
        tasks.cancel_scope.cancel()


LINES = b"X-A: " + b"a" * 30_000 + b"\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"


@pytest.mark.parametrize(
    ("begin", "more"),
    first_of_each(
        [
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n", LINES),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X-A: a\r\n" * 1000),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ", b"a" * 30_000),
            (b"GET /", b"a" * 30_000),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a", b"a" * 30_000),
            (CHUNKED, LINES),
            (CHUNKED + b"X-A: ", b"a" * 30_000),
        ],
        lambda case: case[0],
        ids=["fields", "many fields", "a line", "an address", "a name", "trailers", "a trailer"],
    ),
)
async def test_a_head_is_taken_up_to_a_size(tmp_path: Path, begin: bytes, more: bytes) -> None:
    sent, most = 0, 8_000_000  # sockets hold up to some megabytes that the service has not read
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service, await _connected(service.url) as connection:
        await connection.send(begin)
        with fail_soon(10):
            try:
                while sent < 4 * most:
                    await connection.send(more)
                    sent += len(more)
                    await anyio.lowlevel.checkpoint()
            except anyio.BrokenResourceError:
                pass  # closed, as it should be
        assert sent < most
        large = {"cookie": "a" * 40_000}
        assert (await service.http.get("/healthz", headers=large)).status_code == 200


async def test_a_head_that_is_too_large_is_answered_so_and_a_body_is_not_taken_for_one(service: Service) -> None:
    small = Limits().head_bytes
    found = await service.http.get("/healthz", headers={"cookie": "a" * small})
    assert (found.status_code, found.text) == (431, "the head of the request is too large")
    body = b'{"source": "' + b"a" * 4 * small + b'"}'
    for content in (body, _in_pieces(body)):
        headers = {"content-type": "application/json"}
        put = await service.http.put("/api/ingestion/kb/waf", content=content, headers=headers)
        assert put.status_code == 422


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 7000):
        yield body[start : start + 7000]


async def test_the_head_of_a_second_request_is_waited_for_no_longer(impatient: Service) -> None:
    async with await _connected(impatient.url) as connection:
        await connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF)
        assert (await connection.receive()).startswith(b"HTTP/1.1 200")
        await _is_closed(connection)


async def test_a_stream_outlives_the_time_for_a_head(impatient: Service) -> None:
    async with stream(impatient.http, ALL) as feed:
        await feed.block()
        with anyio.move_on_after(3 * HEAD_S) as quiet:
            await feed.end()
        assert quiet.cancelled_caught


class _Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class _Connection:
    def __init__(self) -> None:
        self.transport = _Transport()


def test_the_connection_that_waits_for_longest_makes_room() -> None:
    connections = Connections(Limits(connections=2))
    first, second, third, fourth = (_Connection() for _ in range(4))
    assert connections.admit(first, "192.0.2.1")
    assert connections.admit(second, "192.0.2.2")
    connections.work(first)
    assert connections.admit(third, "192.0.2.3")
    assert [each.transport.aborted for each in (first, second, third)] == [False, True, False]
    connections.remove(second, "192.0.2.2")
    connections.work(third)
    assert not connections.admit(fourth, "192.0.2.4")
    connections.remove(fourth, "192.0.2.4")
    assert [connections.admit(_Connection(), "127.0.0.1") for _ in range(LOCAL_RESERVE)] == [True] * LOCAL_RESERVE


def test_one_address_takes_no_more_than_its_share() -> None:
    connections = Connections(Limits(connections_per_client=2))
    mine = [_Connection() for _ in range(3)]
    other = _Connection()
    assert connections.admit(other, "192.0.2.2")
    assert all(connections.admit(each, "192.0.2.1") for each in mine)
    assert [each.transport.aborted for each in (*mine, other)] == [True, False, False, False]


def test_the_protocol_of_uvicorn_has_what_is_taken_of_it() -> None:
    """What breaks here when uvicorn changes: the limits on connections, and on the time and the size of a head."""
    of_connections = ("connection_made", "connection_lost", "data_received", "pause_writing", "resume_writing")
    of_heads = ("on_message_begin", "on_url", "on_header", "on_body", "send_400_response")
    for name in of_connections + of_heads:
        assert callable(getattr(HttpToolsProtocol, name))
    source = inspect.getsource(sys.modules[HttpToolsProtocol.__module__])
    for part in ("on_response=self.on_response_complete", "self.cycle", "response_complete", "self.transport ="):
        assert part in source
    assert issubclass(protocol_for(Limits()), HttpToolsProtocol)


async def test_want_of_descriptors_is_told_in_one_line_and_other_faults_as_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    others: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: others.append(context))
    context = {"message": "socket.accept() out of system resource", "exception": OSError(errno.EMFILE, "too many")}
    with quiet_accepts(loop):
        for _ in range(2048):
            loop.call_exception_handler(context)
        loop.call_exception_handler({"message": "another"})
    assert caplog.text.count("no connection can be taken") == 1
    assert others == [{"message": "another"}]
    loop.call_exception_handler(context)
    assert others[1:] == [context]
    loop.set_exception_handler(None)


async def test_an_upload_that_drips_is_not_waited_for(tmp_path: Path) -> None:
    limits = Limits(upload_idle_s=0.5, upload_pace_bytes=1000)
    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=limits) as service:
        head = b"POST /api/ingestion/kb/waf/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        async with await _connected(service.url) as connection, anyio.create_task_group() as tasks:
            await connection.send(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n")
            await connection.send(b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.md"\r\n\r\n')

            async def drip() -> None:
                while True:
                    await connection.send(b"x")
                    await anyio.sleep(0.1)

            tasks.start_soon(drip)
            with fail_soon(5):
                assert (await connection.receive()).startswith(b"HTTP/1.1 408")
            tasks.cancel_scope.cancel()


async def test_more_connections_than_descriptors_neither_stop_the_service_nor_fill_the_log(tmp_path: Path) -> None:
    few = 160
    command = (
        sys.executable, "-c",
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({few}, {few}));"
        "from asyncio import constants; constants.ACCEPT_RETRY_DELAY = 0.05;"  # each request waits for it
        "from phaseflow.__main__ import run; run()",
        "serve",
    )  # fmt: skip
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 3 * few
    with process(tmp_path, free_port(), command) as service:
        await service.ready()
        target = urlsplit(service.url)
        clients = []
        try:
            for number in range(2 * few):
                client = socket.create_connection((target.hostname or "", target.port or 0), timeout=60)
                clients.append(client)
                if number % 2:
                    client.sendall(HALF)
            async with http_client(service.url) as http:
                for _ in range(5):
                    assert (await http.get("/healthz", headers={"Connection": "close"}, timeout=60)).status_code == 200
        finally:
            for client in clients:
                client.close()
        assert (await service.stop()).within(5)
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert log.count("at their limit") == 1
    assert len(log) < 20_000
