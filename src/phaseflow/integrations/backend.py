"""The knowledge base behind an adapter: of an engine in this process, or of a service."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from phaseflow.client import Client, SyncClient
from phaseflow.domain.errors import DocumentError, InvalidRequest, TransientError
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.domain.status import SearchHits
from phaseflow.domain.vocabulary import DocumentStatus
from phaseflow.flow import PhaseFlow

T = TypeVar("T")
_Work = Callable[[], Coroutine[Any, Any, T]]

FIRST_LOOK_S, LONGEST_LOOK_S = 0.02, 0.5
"""How often it is looked whether a document is searchable: seldom where it takes long."""
_ON_ITS_WAY = frozenset({DocumentStatus.QUEUED, DocumentStatus.PROCESSING})


class Backend:
    """Calls of an adapter's framework, which come from any thread, with or without an event loop.

    Give either ``flow`` (running) or ``client`` (open). Work is done in the event loop that the one given belongs to,
    wherever it is asked for. Raises InvalidRequest for a blocking call in that loop itself: it would wait for ever.
    """

    def __init__(self, kb_id: str, flow: PhaseFlow | None, client: Client | SyncClient | None) -> None:
        target = client if flow is None else flow
        if target is None or (flow is not None and client is not None):
            raise InvalidRequest("flow", "give either flow= (a running PhaseFlow) or client= (of a service)")
        self.kb_id = check_kb_id(kb_id)
        self._target: PhaseFlow | Client | SyncClient = target
        self._loop = _running_loop()

    def search(self, query: str, limit: int, filter: Mapping[str, Any] | None) -> SearchHits:
        """The best passages. Blocking."""
        hits: SearchHits = self.run(partial(self.ask, "search", query, limit, filter=filter))
        return hits

    async def asearch(self, query: str, limit: int, filter: Mapping[str, Any] | None) -> SearchHits:
        """The best passages. Safe to cancel."""
        return await self.arun(partial(self.ask, "search", query, limit, filter=filter))

    def ask(self, method: str, *args: Any, **options: Any) -> Coroutine[Any, Any, Any]:
        """A method of the engine or the client, about this knowledge base; for ``run`` and ``arun`` only."""
        made: Coroutine[Any, Any, Any] = getattr(type(self._target), method)(self._target, self.kb_id, *args, **options)
        return made

    @staticmethod
    def said(hits: SearchHits) -> dict[str, str]:
        """What goes with each passage about the search itself: why it is ranked by words alone, where it is."""
        return {} if hits.degraded is None else {"degraded": hits.degraded}

    async def searchable(self, uri: str, within_s: float) -> None:
        """Wait until a document that was pushed answers searches; for ``run`` and ``arun`` only.

        Raises DocumentError for one that cannot be used, TransientError when it takes longer; it stays stored.
        """
        pause_s = FIRST_LOOK_S
        with anyio.move_on_after(within_s):
            while (document := await self.ask("document", uri)).status in _ON_ITS_WAY:
                await anyio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_LOOK_S)
            if document.error is not None:
                raise DocumentError(f"{uri}: {document.error}", code=document.code or DocumentError.code)
            return
        raise TransientError(
            f"{uri} is stored, but not searchable after {within_s:g} s; see the status of {self.kb_id!r}"
        )

    def run(self, work: _Work[T]) -> T:
        """Do it in the loop where it belongs. Blocking."""
        if isinstance(self._target, SyncClient):
            return self._target._loop.call(work)
        if self._loop is None or self._loop is _running_loop():
            raise InvalidRequest(
                "flow", "a blocking call needs an event loop of another thread: make the adapter inside the loop and"
                " call it from a worker thread, use the asynchronous methods, or take client=SyncClient(…)",
            )  # fmt: skip
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    async def arun(self, work: _Work[T]) -> T:
        """The same without blocking."""
        if isinstance(self._target, SyncClient):
            return await anyio.to_thread.run_sync(partial(self.run, work), abandon_on_cancel=True)
        here = asyncio.get_running_loop()
        self._loop = self._loop or here
        if self._loop is here:
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
