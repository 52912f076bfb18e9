"""The knowledge base behind an adapter: of an engine in this process, or of a service."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import anyio.to_thread

from phaseflow.client import Client, SyncClient
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.domain.status import SearchHits
from phaseflow.flow import PhaseFlow

Engine = PhaseFlow | Client


class Backend:
    """Calls of an adapter's framework, which come from any thread, with or without an event loop.

    Give either ``flow`` (running) or ``client`` (open). What belongs to an event loop, a ``PhaseFlow`` or a ``Client``,
    is called there, wherever the call comes from. Raises InvalidRequest for a blocking call in that loop itself: it
    would wait for ever.
    """

    def __init__(self, kb_id: str, flow: PhaseFlow | None, client: Client | SyncClient | None) -> None:
        if (flow is None) == (client is None):
            raise InvalidRequest("flow", "give either flow= (a running PhaseFlow) or client= (of a service)")
        self.kb_id = check_kb_id(kb_id)
        self._target: Engine | SyncClient = flow if flow is not None else client  # type: ignore[assignment]
        self._loop = _running_loop()

    def search(self, query: str, limit: int, filter: Mapping[str, Any] | None) -> SearchHits:
        """The best passages. Blocking."""
        hits: SearchHits = self.call("search", query, limit, filter=filter)
        return hits

    async def asearch(self, query: str, limit: int, filter: Mapping[str, Any] | None) -> SearchHits:
        """The best passages. Safe to cancel."""
        hits: SearchHits = await self.acall("search", query, limit, filter=filter)
        return hits

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the engine or the client about this knowledge base. Blocking."""
        bound = partial(getattr(self._target, method), self.kb_id, *args, **options)
        return bound() if isinstance(self._target, SyncClient) else self._in_loop(bound)

    async def acall(self, method: str, *args: Any, **options: Any) -> Any:
        """The same without blocking."""
        bound = partial(getattr(self._target, method), self.kb_id, *args, **options)
        if isinstance(self._target, SyncClient):
            return await anyio.to_thread.run_sync(bound)
        here = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = here
        if self._loop is here:
            return await bound()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(bound(), self._loop))

    def _in_loop(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        if self._loop is None or self._loop is _running_loop():
            raise InvalidRequest(
                "flow", "a blocking call needs an event loop of another thread: make the adapter inside the loop and"
                " call it from a worker thread, use the asynchronous methods, or take client=SyncClient(…)",
            )  # fmt: skip
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
