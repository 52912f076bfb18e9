"""The queue before the writer: bounded, and closed once."""

from contextlib import suppress
from typing import Any, Final

import anyio
import anyio.lowlevel

from phaseflow.domain.errors import EngineStopped
from phaseflow.store.write_request import WriteRequest

ROOM: Final = 64
"""Requests that may wait for the writer before whoever asks has to."""


class WriteQueue:
    """Requests in the order in which they came. The writer holds it for the length of ``async with``."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[WriteRequest[Any]](ROOM)

    def __len__(self) -> int:
        return self._receive.statistics().current_buffer_used

    async def put(self, request: WriteRequest[Any]) -> None:
        """Wait for room. Cancelling leaves the request out. Raises EngineStopped once it is closed."""
        # Mostly there is room: a turn of the event loop would be for nothing.
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            with suppress(anyio.WouldBlock):
                self._send.send_nowait(request)
                return
            await self._send.send(request)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise EngineStopped("the database was closed") from None

    async def next(self) -> WriteRequest[Any]:
        """The next request; wait for one. Cancelling loses none. Raises EndOfStream when no more will come."""
        with suppress(anyio.WouldBlock):
            return self._receive.receive_nowait()
        return await self._receive.receive()

    def waiting(self, most: float = ROOM) -> list[WriteRequest[Any]]:
        """Those that wait now, also for room."""
        found: list[WriteRequest[Any]] = []
        while len(found) < most and len(self):
            found.append(self._receive.receive_nowait())
        return found

    def close(self) -> None:
        """Take no more."""
        self._send.close()

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        self._receive.close()
