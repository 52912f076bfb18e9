"""Which of the server's answers a request belongs to, where middleware has hidden it."""

import asyncio
from typing import Any

import anyio
import pytest

from phaseflow.http.connection import Connection


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Cycle:
    """What the server has for an answer that is under way."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.transport = Transport()
        self.keep_alive = True

    async def run_asgi(self) -> None:
        await anyio.sleep_forever()


async def wrapped() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("client", "is_copied", "is_found"),
    [
        (("10.0.0.1", 5000), False, True),
        (("10.0.0.1", 5000), True, True),
        (("10.0.0.1", 0), False, True),
        (("10.0.0.1", 0), True, False),  # behind a proxy: it may be anybody's
        (None, True, False),
    ],
)
async def test_only_the_connection_of_the_request_is_dropped(client: Any, is_copied: bool, is_found: bool) -> None:
    other, own = Cycle({"client": ("10.0.0.2", 5000)}), Cycle({"client": client})
    answering = [asyncio.create_task(other.run_asgi()), asyncio.create_task(own.run_asgi())]  # as uvicorn does
    await anyio.lowlevel.checkpoint()
    connection = Connection(wrapped)
    connection.find(dict(own.scope) if is_copied else own.scope)
    connection.drop()
    for task in answering:
        task.cancel()
    await asyncio.gather(*answering, return_exceptions=True)
    assert (own.transport.aborted, other.transport.aborted) == (is_found, False)
