"""Inside other applications: under a prefix, beside their lifespan, their access rules and their middleware."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from phaseflow.client import Client
from phaseflow.flow import PhaseFlow
from phaseflow.http import create_app
from tests.http.listening import stream
from tests.http.service import TRANSITIONS_OF_A_PASSAGE, foreign_server, http_client, listening_for, pass_through
from tests.stopwatch import fail_soon

if TYPE_CHECKING:
    from fastapi import FastAPI  # imported late: it takes long, and each process of the tests reads this module

PREFIX = "/tools/ingestion"


def fastapi_host(flow: PhaseFlow) -> "FastAPI":
    """A FastAPI application that runs the engine in its own lifespan and asks for a key of its own."""
    from fastapi import Depends, FastAPI, Header, HTTPException

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with flow:
            yield

    async def check_key(x_key: str = Header("")) -> None:
        if x_key != "host key":
            raise HTTPException(401)

    host = FastAPI(lifespan=lifespan)

    @host.middleware("http")
    async def note(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["x-host"] = "seen"
        return response

    @host.get("/own", dependencies=[Depends(check_key)])
    async def own() -> dict[str, str]:
        return {"kbs": str(len((await flow.kbs()).items))}

    host.mount(PREFIX, create_app(flow))
    return host


def starlette_host(flow: PhaseFlow) -> Starlette:
    """A Starlette application with middleware of its own."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with flow:
            yield

    return Starlette(
        routes=[Mount(PREFIX, create_app(flow))], lifespan=lifespan, middleware=[Middleware(GZipMiddleware)]
    )


async def test_a_fastapi_host_mounts_it_under_a_prefix(tmp_path: Path) -> None:
    flow = PhaseFlow(tmp_path / "kb.db")
    async with foreign_server(fastapi_host(flow)) as url, http_client(url) as http:
        await pass_through(flow.tracker, "mine", "own")
        assert (await http.get("/own")).status_code == 401
        assert (await http.get("/own", headers={"x-key": "host key"})).json() == {"kbs": "1"}
        status = await http.get(f"{PREFIX}/api/ingestion/kb/own/status")
        assert (status.json()["status"], status.headers["x-host"]) == ("completed", "seen")
        async with stream(http, f"{PREFIX}/api/ingestion/events", last_event_id=0) as opened:
            assert len(await opened.transitions(TRANSITIONS_OF_A_PASSAGE)) == TRANSITIONS_OF_A_PASSAGE


async def test_a_starlette_host_mounts_it_under_a_prefix(tmp_path: Path) -> None:
    flow = PhaseFlow(tmp_path / "kb.db")
    async with foreign_server(starlette_host(flow)) as url, http_client(url) as http:
        assert (await http.get(f"{PREFIX}/readyz")).status_code == 200
        document = (await http.get(f"{PREFIX}/openapi.json")).json()
        assert document["servers"] == [{"url": PREFIX}]
        assert (await http.get(f"{PREFIX}/")).headers["content-type"].startswith("text/html")
        async with Client(f"{url}{PREFIX}") as client:
            assert (await client.kbs()).items == []


async def test_the_cookie_belongs_to_the_prefix(tmp_path: Path) -> None:
    flow = PhaseFlow(tmp_path / "kb.db")
    async with flow:
        host = Starlette(routes=[Mount(PREFIX, create_app(flow, token="a long secret"))])
        async with foreign_server(host) as url, http_client(url) as http:
            assert (await http.get(f"{PREFIX}/")).status_code == 200
            assert (await http.get(f"{PREFIX}/api/ingestion/kb")).status_code == 401
            answer = await http.post(f"{PREFIX}/login", json={"token": "a long secret"})
            assert f"Path={PREFIX}" in answer.headers["set-cookie"]
            assert (await http.get(f"{PREFIX}/api/ingestion/kb")).status_code == 200


async def test_an_app_whose_engine_nobody_entered_runs_it_itself(tmp_path: Path) -> None:
    flow = PhaseFlow(tmp_path / "kb.db")
    async with listening_for(create_app(flow)) as url, http_client(url) as http:
        assert (await http.get("/readyz")).status_code == 200
    assert not flow.is_running


async def test_a_mounted_app_whose_engine_is_not_up_says_so(tmp_path: Path) -> None:
    host = Starlette(routes=[Mount(PREFIX, create_app(PhaseFlow(tmp_path / "kb.db")))])
    async with foreign_server(host) as url, http_client(url) as http:
        codes = [
            (await http.get(f"{PREFIX}{path}")).status_code for path in ("/healthz", "/readyz", "/api/ingestion/kb")
        ]
        events = await http.get(f"{PREFIX}/api/ingestion/events")
    assert codes == [200, 503, 503]
    assert (events.status_code, events.json()["code"]) == (503, "not_ready")


async def test_two_engines_in_one_process_do_not_meet(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "one.db") as one, PhaseFlow(tmp_path / "two.db") as two:
        host = Starlette(routes=[Mount("/one", create_app(one)), Mount("/two", create_app(two))])
        async with foreign_server(host) as url, http_client(url) as http:
            await pass_through(one.tracker, "mine", "own")
            found = [len((await http.get(f"/{name}/api/ingestion/kb")).json()["items"]) for name in ("one", "two")]
            text = (await http.get("/two/metrics")).text
    assert found == [1, 0]
    assert 'phaseflow_jobs{status="completed"} 0.0' in text


async def test_streams_end_when_a_foreign_server_stops_by_itself(tmp_path: Path) -> None:
    flow = PhaseFlow(tmp_path / "kb.db")
    with fail_soon(4):
        async with foreign_server(starlette_host(flow)) as url, http_client(url) as http:
            opened = await http.send(http.build_request("GET", f"{PREFIX}/api/ingestion/events"), stream=True)
            assert opened.status_code == 200
