"""Forms batches: documents in, batches of chunks whose texts have to be embedded out."""

from collections.abc import Awaitable, Callable, Sequence

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from phaseflow.actors.handoff import Receiver
from phaseflow.actors.pending_documents import Chunk
from phaseflow.store.documents import StagedDocument

BATCH_WAIT_S = 0.05
"""How long a smaller batch waits for more texts, seconds: a call costs the same however few it carries."""


class Batcher:
    """Cuts what comes in into batches of ``size`` chunks; a smaller one when no more come in time.

    ``take_in`` gets each group of documents once, in order, and returns their chunks that need a call.
    """

    def __init__(
        self, inbox: Receiver, take_in: Callable[[Sequence[StagedDocument]], Awaitable[list[Chunk]]], size: int
    ) -> None:
        self._receiver = inbox
        self._take_in = take_in
        self._size = size

    async def feed(self, send: MemoryObjectSendStream[list[Chunk]]) -> None:
        """Send batches until no more documents will come. Cancelling drops the batch that is being formed."""
        waiting: list[Chunk] = []
        while (documents := await self._next(wait_briefly=bool(waiting))) != []:
            if documents is None:
                await send.send(waiting)
                waiting = []
                continue
            waiting.extend(await self._take_in(documents))
            while len(waiting) >= self._size:
                await send.send(waiting[: self._size])
                del waiting[: self._size]
        if waiting:
            await send.send(waiting)

    async def _next(self, *, wait_briefly: bool) -> Sequence[StagedDocument] | None:
        """The next documents, none at the end. With ``wait_briefly``, None when there are none in a moment."""
        if not wait_briefly:
            return list(await self._receiver.next())
        with anyio.move_on_after(BATCH_WAIT_S):
            return list(await self._receiver.next())
        return None
