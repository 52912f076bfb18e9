"""The embedding actor: a vector for each passage, several batches in flight, no text paid for twice.

``batching`` forms the batches, ``embedding_calls`` makes the calls, ``embedding_retries`` makes them again and in
parts, ``release`` stores what they came to.
"""

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from phaseflow.actors.actor import Actor
from phaseflow.actors.batching import Batcher
from phaseflow.actors.carry_over import CarryOver
from phaseflow.actors.embedding_calls import EmbeddingCalls
from phaseflow.actors.embedding_retries import EmbeddingRetries
from phaseflow.actors.pending_documents import Chunk
from phaseflow.actors.release import OrderedRelease
from phaseflow.components.contained import not_cancelled_by
from phaseflow.domain.errors import ComponentError
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints

_DRAIN_S = 10.0
"""How long a phase that fails waits for the answers that are on their way, before it drops them."""


class EmbeddingActor(Actor):
    """Documents with passages in; documents whose passages all have vectors out, in the order of their ids."""

    phase = JobPhase.EMBEDDING
    _release: OrderedRelease | None = None

    def taken_out(self) -> None:
        """Documents were skipped or deleted."""
        if self._release is not None and self._receiver is not None:  # else nothing is in hand yet
            self._receiver.note_taken_out()
            self._release.taken_out()

    async def work(self) -> None:
        assert self._receiver is not None
        assert self._sender is not None
        embedder = self.context.plan.components.embedder
        release = OrderedRelease(self.context, self.gate, self._sender, self.spend, self._receiver.is_old)
        self._release = release
        batcher = Batcher(self._receiver, release.take_in, embedder.batch_size, is_awaited=not self.context.plan.lists)
        calls = EmbeddingCalls(self.context, self.gate, release, self.hold)
        retries = EmbeddingRetries(self.context, self.gate, release, calls)
        count = embedder.in_flight + _storing(embedder.in_flight)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(embedder.prepare)  # while the first documents are read and cut
            await _Workers(retries, count).run(batcher)
        if self._receiver.is_complete:
            await self.refuse_only_failures()
            if self.context.plan.lists and await CarryOver(self.context, self.gate).run():
                self._receiver.look_again()  # they are in the store, behind all others
                await _Workers(retries, count).run(batcher)


def _storing(calls: int) -> int:
    """Batches in hand beside those with a call under way: they are looked up, or have their answer and are stored."""
    return (calls + 1) // 2


class _Workers:
    """Several tasks that carry batches from the batcher to the calls, until all are done or one has failed."""

    def __init__(self, retries: EmbeddingRetries, count: int) -> None:
        self._retries = retries
        self._count = count
        self._fault: Exception | None = None
        self._working, self._feeding = anyio.CancelScope(), anyio.CancelScope()

    async def run(self, batcher: Batcher) -> None:
        """Work until no more batches come. Raises what the first one raised, once the calls under way are in."""
        send: MemoryObjectSendStream[list[Chunk]]
        receive: MemoryObjectReceiveStream[list[Chunk]]
        send, receive = anyio.create_memory_object_stream(0)
        with self._working:
            async with receive, anyio.create_task_group() as tasks:
                for _ in range(self._count):
                    tasks.start_soon(self._work_off, receive)
                async with send:
                    with self._feeding:
                        await batcher.feed(send)
        if self._fault is not None:
            raise self._fault

    async def _work_off(self, receive: MemoryObjectReceiveStream[list[Chunk]]) -> None:
        try:
            with not_cancelled_by("the embedder"):
                async for chunks in receive:
                    await self._try(chunks)
        except ComponentError as error:
            self._give_up(error)

    async def _try(self, chunks: list[Chunk]) -> None:
        try:
            await self._retries.embed(chunks)
        except Exception as error:  # noqa: BLE001  # raised again once the other calls, which are paid for, are in
            self._give_up(error)
        failpoints.hit("embedding.between")

    def _give_up(self, error: Exception) -> None:
        """Begin nothing more, and let the calls under way end and be stored."""
        self._fault = self._fault or error
        self._retries.stop()
        self._feeding.cancel()
        self._working.deadline = min(self._working.deadline, anyio.current_time() + _DRAIN_S)
