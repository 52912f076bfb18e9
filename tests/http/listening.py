"""Clients of the live feed: what came over the wire, event by event."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.stopwatch import fail_soon

ALL = "/api/ingestion/events"
IN_TIME_S = 10


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``id`` is the number in its id, None where the server sent none; ``raw_id`` is the whole id."""

    name: str
    data: Any
    id: int | None
    raw_id: str = ""

    @property
    def seq(self) -> int:
        """The number of a transition."""
        return int(self.data["seq"])


class Stream:
    """A stream that is open."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def block(self) -> list[str]:
        """The lines of the next block, comments too. Raises StopAsyncIteration at the end."""
        with fail_soon(IN_TIME_S):
            lines: list[str] = []
            while True:
                line = await anext(self._lines)
                if line:
                    lines.append(line)
                elif lines:
                    return lines

    async def next(self) -> Event:
        """The next event that carries data."""
        while True:
            fields = dict(line.split(": ", 1) for line in await self.block() if ": " in line and line[0] != ":")
            if "data" in fields:
                number = int(fields["id"].partition("-")[0]) if "id" in fields else None
                return Event(fields["event"], json.loads(fields["data"]), number, fields.get("id", ""))

    async def transitions(self, count: int) -> list[Event]:
        """The next transitions; statuses between them are passed over."""
        found: list[Event] = []
        while len(found) < count:
            event = await self.next()
            if event.name == "transition":
                found.append(event)
        return found

    async def end(self) -> None:
        """Read on until the server ends the stream."""
        with fail_soon(IN_TIME_S):
            async for _ in self._lines:
                pass


@asynccontextmanager
async def stream(
    http: httpx2.AsyncClient, path: str = ALL, last_event_id: int | str | None = None
) -> AsyncIterator[Stream]:
    """Open a stream, from an id on."""
    headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
    async with http.stream("GET", path, headers=headers, timeout=60) as response:
        yield Stream(response)


def frozen_client(url: str, path: str = ALL) -> socket.socket:
    """A client that asks for the feed and never reads."""
    target = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((target.hostname, target.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client
