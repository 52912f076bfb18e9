"""The two clients: one for asyncio, one that blocks."""

from types import TracebackType
from typing import Self

from phaseflow.client.calls import AsyncFace, LoopThread, SyncFace
from phaseflow.client.client import Calls
from phaseflow.client.connection import Connection
from phaseflow.client.tracker import TrackerCalls


class _Tracker(TrackerCalls, AsyncFace):
    """Of a ``Client``."""


class Client(Calls, AsyncFace):
    """A client of the service at ``url``, which may have a prefix. Use it in an ``async with`` block.

    Cancelling a call drops its answer; the service may have done what was asked. ``tracker`` reports the phases of a
    pipeline of your own.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self._connection = Connection(url, token)
        self.url = self._connection.url
        self.tracker = _Tracker(self._connection)

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.aclose()


class _SyncTracker(TrackerCalls, SyncFace):
    """Of a ``SyncClient``."""

    def __init__(self, connection: Connection, loop: LoopThread) -> None:
        super().__init__(connection)
        self._loop = loop


class SyncClient(Calls, SyncFace):
    """The same for programs without an event loop: calls block, feeds are iterators. Use it in a ``with`` block.

    May be used from several threads. What it does is done by a thread of its own, which also renews leases.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self._connection = Connection(url, token)
        self._loop = LoopThread()
        self.url = self._connection.url
        self.tracker = _SyncTracker(self._connection, self._loop)

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self._loop.call(self._connection.open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._loop.call(self._connection.aclose)
        finally:
            self._loop.__exit__(kind, error, traceback)
