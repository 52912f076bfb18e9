"""An embedding server of the OpenAI protocol on a real socket, that can be told to misbehave.

In a test: ``async with FakeEmbeddingServer() as server:`` and ``server.base_url``. As a program, for a process of its
own: ``python -m tests.components.fake_embedding_server --delay-ms 50`` prints its base URL as the first line of stdout
and then runs until it is ended; ``GET /counts`` there answers what was asked so far.
"""

import argparse
import asyncio
import json
import socket
from collections import Counter, deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Self

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.stopwatch import fail_soon

_NUMBERS = [f"{byte / 128 - 1:.4f}" for byte in range(256)]


class Flaw(StrEnum):
    """How an answer with status 200 is wrong."""

    ONE_TOO_FEW = "one_too_few"
    OTHER_DIMENSION = "other_dimension"
    MIXED_DIMENSIONS = "mixed_dimensions"
    NOT_JSON = "not_json"
    NO_DATA = "no_data"
    NOT_FINITE = "not_finite"
    NO_NUMBERS = "no_numbers"
    INDEX_TWICE = "index_twice"
    CUT_OFF = "cut_off"
    """The connection breaks in the middle of the answer."""
    HANG = "hang"
    """No answer until the server ends."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer with an error status. ``body`` None is an error object of the protocol."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came."""

    texts: list[str]
    headers: dict[str, str]
    body: dict[str, Any]


class FakeEmbeddingServer:
    """Answers ``POST /v1/embeddings`` with vectors that follow from the texts, in reverse order with their index.

    ``faults`` answer the next calls, one each; ``always`` answers all others while it is set. ``delay_s`` goes before
    each answer. More than ``max_texts`` texts in a call are answered with 413, texts in ``poison`` with 400.
    """

    def __init__(self, *, dimension: int = 16, delay_s: float = 0) -> None:
        self.dimension = dimension
        self.delay_s = delay_s
        self.max_texts: int | None = None
        self.poison: set[str] = set()
        self.api_key: str | None = None
        self.faults: deque[Refusal | Flaw] = deque()
        self.always: Refusal | Flaw | None = None
        self.calls: list[Call] = []
        self.texts: Counter[str] = Counter()
        """How often each text was embedded, so answered with its vector."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.changed = anyio.Event()
        """Set, and replaced by a new one, when a call begins or ends."""
        self._socket = _listening_socket()
        self._ending = anyio.Event()
        self._server = _Server(self._config(), self._ending)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    async def until_in_flight(self, count: int) -> None:
        """Wait until so many calls are under way at once."""
        while self.in_flight < count:
            await self.changed.wait()

    async def serve(self) -> None:
        """Serve until cancelled or told to end."""
        await self._server.serve(sockets=[self._socket])

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        with fail_soon(5, shield=True):
            await self._task

    def _config(self) -> uvicorn.Config:
        routes = [
            Route("/v1/embeddings", self._embeddings, methods=["POST"]),
            Route("/counts", self._counts),
        ]
        return uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", timeout_graceful_shutdown=2)

    async def _embeddings(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.calls.append(Call(body["input"], dict(request.headers), body))
        self._count(+1)
        try:
            with anyio.move_on_after(self.delay_s):
                await self._ending.wait()
            return await self._answer(request, body["input"])
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self.in_flight += change
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    async def _answer(self, request: Request, texts: list[str]) -> Response:
        fault = self.faults.popleft() if self.faults else self.always or self._refusal(request, texts)
        if isinstance(fault, Refusal):
            return _refused(fault)
        if fault is Flaw.HANG:
            await self._ending.wait()
        if fault is None:
            self.texts.update(texts)
            return Response(self._rendered(texts), media_type="application/json")
        return _flawed(self._vectors(texts), fault)

    def _refusal(self, request: Request, texts: list[str]) -> Refusal | None:
        if self.api_key is not None and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return Refusal(401)
        if self.max_texts is not None and len(texts) > self.max_texts:
            return Refusal(413)
        return Refusal(400) if self.poison.intersection(texts) else None

    def _vectors(self, texts: list[str]) -> list[dict[str, Any]]:
        rows = [{"object": "embedding", "index": at, "embedding": self.vector(text)} for at, text in enumerate(texts)]
        return rows[::-1]

    def vector(self, text: str) -> list[float]:
        """The vector of a text: always the same one, of length far from 1."""
        return [float(number) for number in self._numbers(text).split(",")]

    def _numbers(self, text: str) -> str:
        digest = blake2b(text.encode()).digest()
        times, rest = divmod(self.dimension, len(digest))
        numbers = [",".join(map(_NUMBERS.__getitem__, digest))] * times
        return ",".join(numbers + list(map(_NUMBERS.__getitem__, digest[:rest])))

    def _rendered(self, texts: list[str]) -> str:
        """What _vectors would give, many times as fast: a benchmark must not wait for its own server."""
        rows = [f'{{"index":{at},"embedding":[{self._numbers(text)}]}}' for at, text in enumerate(texts)]
        return f'{{"object":"list","data":[{",".join(rows[::-1])}]}}'

    async def _counts(self, _: Request) -> Response:
        repeated = sum(times - 1 for times in self.texts.values())
        return JSONResponse(
            {
                "calls": len(self.calls),
                "texts": self.texts.total(),
                "repeated": repeated,
                "most_in_flight": self.most_in_flight,
            }
        )


class _Server(uvicorn.Server):
    """Leaves the signals to the program it runs in, and ends on an event instead of looking ten times a second."""

    def __init__(self, config: uvicorn.Config, ending: anyio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def main_loop(self) -> None:
        await self._ending.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _listening_socket() -> socket.socket:
    """On a free port. With its protocol named: asyncio sets TCP_NODELAY only then, else answers wait 40 ms."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    return listening


def _refused(refusal: Refusal) -> Response:
    body = refusal.body
    if body is None:
        body = json.dumps({"error": {"message": f"refused with {refusal.status}", "type": "fake"}}).encode()
    return Response(body, refusal.status, refusal.headers, "application/json")


def _flawed(rows: list[dict[str, Any]], flaw: Flaw | None) -> Response:
    if flaw is Flaw.ONE_TOO_FEW:
        rows = rows[1:]
    elif flaw is Flaw.OTHER_DIMENSION:
        rows = [row | {"embedding": [*row["embedding"], 0.5]} for row in rows]
    elif flaw is Flaw.MIXED_DIMENSIONS:
        rows[0]["embedding"] = rows[0]["embedding"][1:]
    elif flaw is Flaw.NOT_FINITE:
        rows[0]["embedding"][0] = 1e300
    elif flaw is Flaw.NO_NUMBERS:
        rows[0]["embedding"] = ["one"] * len(rows[0]["embedding"])
    elif flaw is Flaw.INDEX_TWICE:
        rows = [row | {"index": 0} for row in rows]
    content = json.dumps({"object": "list", "data": rows, "model": "fake"}).encode()
    if flaw is Flaw.NOT_JSON:
        content = b"<html>busy</html>"
    elif flaw is Flaw.NO_DATA:
        content = b'{"data": null}'
    headers = {"content-length": str(len(content) + 10)} if flaw is Flaw.CUT_OFF else None
    return Response(content, headers=headers, media_type="application/json")


async def _run(delay_s: float, dimension: int) -> None:
    server = FakeEmbeddingServer(dimension=dimension, delay_s=delay_s)
    print(server.base_url, flush=True)
    await server.serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--dimension", type=int, default=16)
    options = parser.parse_args()
    anyio.run(_run, options.delay_ms / 1000, options.dimension)


if __name__ == "__main__":
    main()
