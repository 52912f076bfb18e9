"""Forms batches: of what one transaction stores, and of the chunks whose texts one call embeds."""

from collections.abc import Awaitable, Callable, Sequence
from operator import gt, sub
from typing import TypeVar

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from phaseflow.actors.handoff import Receiver
from phaseflow.actors.pending_documents import Chunk
from phaseflow.store.documents import StagedDocument

T = TypeVar("T")

BATCH_WAIT_S = 0.05
"""How long a smaller batch waits for more texts, seconds: a call costs the same however few it carries."""
_LONE_WAIT_S = 0.005
"""The same for a document that comes alone, and for which somebody waits."""
ALONE_S = 0.5
"""It comes alone when nothing has come for so long before it."""


class Batcher:
    """Cuts what comes in into batches of ``size`` chunks; a smaller one when no more come in time.

    ``take_in`` gets each group of documents once, in order, and returns their chunks that need a call. ``is_awaited``:
    documents are asked for one by one, and one that comes alone is not kept waiting.
    """

    def __init__(
        self,
        receiver: Receiver,
        take_in: Callable[[Sequence[StagedDocument]], Awaitable[list[Chunk]]],
        size: int,
        *,
        is_awaited: bool = False,
    ) -> None:
        self._receiver = receiver
        self._take_in = take_in
        self._size = size
        self._is_awaited = is_awaited

    async def feed(self, send: MemoryObjectSendStream[list[Chunk]]) -> None:
        """Send batches until no more documents will come. Cancelling drops the batch that is being formed."""
        waiting: list[Chunk] = []
        # The wait begins anew with each group of documents, so that a slow but steady loader still fills batches. What
        # that can cost is bounded: a batch has ``size`` chunks, and a sender that has ended sends what there is.
        last_at, wait_s = -ALONE_S, BATCH_WAIT_S
        while (documents := await self._next(wait_s if waiting else None)) != []:
            if documents is None:
                await send.send(waiting)
                waiting = []
                continue
            now = anyio.current_time()
            # After a silence only: a document that somebody has pushed is searchable at once, and of a thousand that
            # follow one another, no more than the first makes a call of its own.
            is_alone = self._is_awaited and not waiting and now - last_at > ALONE_S
            last_at, wait_s = now, _LONE_WAIT_S if is_alone else BATCH_WAIT_S
            waiting.extend(await self._take_in(documents))
            while len(waiting) >= self._size:
                await send.send(waiting[: self._size])
                del waiting[: self._size]
        if waiting:
            await send.send(waiting)

    async def _next(self, wait_s: float | None) -> Sequence[StagedDocument] | None:
        """The next documents, none at the end. None when there are none within ``wait_s``."""
        if wait_s is None:
            return list(await self._receiver.next())
        with anyio.move_on_after(wait_s):
            return list(await self._receiver.next())
        return None


def in_parts(items: Sequence[T], sizes: Callable[[T], tuple[int, ...]], room: tuple[int, ...]) -> list[list[T]]:
    """The items in order, in parts for a transaction each: of no measure of ``sizes`` more than its ``room``.

    One that alone is more is a part of its own.
    """
    parts: list[list[T]] = []
    left: tuple[int, ...] = ()
    for item in items:  # in order, not packed best: documents are handed over in the order of their ids
        taken = sizes(item)
        if not parts or any(map(gt, taken, left)):
            parts.append([])
            left = room
        parts[-1].append(item)
        left = tuple(map(sub, left, taken))
    return parts
