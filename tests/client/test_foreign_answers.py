"""What the clients say where something else answers: the page of a proxy, a sign-in, another program."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from phaseflow.client import Client, ForeignAnswer, ServiceError
from tests.cli.commands import Shell, ended
from tests.http.service import foreign_server

HTML = Response("<html>Welcome</html>", media_type="text/html")
JSON = Response("{}", media_type="application/json")
NOTHING = Response(status_code=200)


@asynccontextmanager
async def answering(response: Response) -> AsyncIterator[str]:
    """A server that has one answer to everything."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await response(scope, receive, send)

    async with foreign_server(app) as url:
        yield url


async def _first(client: Client) -> None:
    async with aclosing(client.watch("waf")) as statuses:  # type: ignore[type-var]  # it is a generator
        async for _ in statuses:
            return


CALLS: dict[str, Callable[[Client, Path], Awaitable[Any]]] = {
    "a list": lambda client, _: client.kbs(),
    "a verb": lambda client, _: client.pause("waf"),
    "a text": lambda client, _: client.document_text("waf", "a.md"),
    "nothing": lambda client, _: client.delete_kb("waf"),
    "a file": lambda client, folder: client.backup(folder / "copy.db"),
    "the feed": lambda client, _: _first(client),
}


@pytest.mark.parametrize("answer", [HTML, JSON, NOTHING], ids=["html", "json", "nothing"])
async def test_a_success_that_is_not_of_the_service_is_an_error(answer: Response, tmp_path: Path) -> None:
    async with answering(answer) as url, Client(url) as client:
        for call in CALLS.values():
            with pytest.raises(ForeignAnswer, match="not as phaseflow serve does; check the address"):
                await call(client, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            Response(status_code=301, headers={"location": "https://here.test/"}),
            "redirects to https://here.test/; give",
        ),
        (Response("<html>", 502, media_type="text/html"), "the proxy there does not reach it"),
        (Response("no", 401), "answered 401; is that phaseflow serve?"),
    ],
)
async def test_a_refusal_of_a_proxy_says_what_to_look_at(answer: Response, told: str) -> None:
    async with answering(answer) as url, Client(url) as client:
        with pytest.raises(ServiceError, match=told):
            await client.kbs()


async def test_a_command_says_it_in_one_line(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    async with answering(HTML) as url:
        with shell.running("backup", "copy.db", "--server", url) as process:
            done = await anyio.to_thread.run_sync(ended, process)
    assert (done.returncode, done.stderr.count("\n"), "text/html" in done.stderr) == (1, 1, True), done.stderr
    assert not (tmp_path / "copy.db").exists()
