"""The chunking actor: cuts texts into passages."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from phaseflow.actors.actor import Actor
from phaseflow.actors.batching import in_parts
from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.chunker import spans_in_steps
from phaseflow.components.contained import is_own_end
from phaseflow.components.context import contexts
from phaseflow.components.protocols import Span
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.exception_text import named, text_of
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints, taken_out
from phaseflow.store.documents import StagedDocument, StagedDocuments, text_hash
from phaseflow.store.failures import FailedDocument
from phaseflow.store.pieces import MOST_PIECES
from phaseflow.store.progress import Done
from phaseflow.store.states import DocumentState
from phaseflow.store.transaction import Transaction

STORE_CHUNKS = 2048
"""Chunks stored in one transaction, which takes some 15 ms."""

Outcome = StagedDocument | FailedDocument
_Cut = tuple[StagedDocument, Outcome]


class ChunkingActor(Actor):
    """Documents in, documents with passages out, in the order of their ids."""

    phase = JobPhase.CHUNKING

    async def work(self) -> None:
        assert self._receiver is not None
        send: MemoryObjectSendStream[list[_Cut]]
        receive: MemoryObjectReceiveStream[list[_Cut]]
        # Cut while what was cut before is stored: the splitter and SQLite need no GIL. No buffer: one batch ahead.
        send, receive = anyio.create_memory_object_stream(0)
        async with receive, anyio.create_task_group() as tasks:
            tasks.start_soon(self._cut_all, send)
            async for done in receive:
                await self._store_all(done)
                failpoints.hit("chunking.between")
        if self._receiver.is_complete:
            await self.refuse_only_failures()

    async def _cut_all(self, send: MemoryObjectSendStream[list[_Cut]]) -> None:
        assert self._receiver is not None
        async with send:
            while batch := await self._receiver.next():
                while batch:
                    done = await self._cut(batch)
                    await send.send(done)
                    batch = batch[len(done) :]

    async def _cut(self, batch: Sequence[StagedDocument]) -> list[_Cut]:
        """Cut documents until the gate is closed. In the middle of the first one, go on where it was opened again."""
        outcomes, cutting, is_done = list[Outcome](), self._cutting(batch), False
        while not is_done:
            async with self.gate:
                with self.gate.calls.on():
                    is_done = await call_in_abandonable_thread(lambda: self._cut_in_thread(cutting, outcomes))
        return list(zip(batch, outcomes, strict=False))

    async def _store_all(self, done: Sequence[_Cut]) -> None:
        for step in self._steps(done):  # of many chunks: a pause does not wait for all of them
            async with self.gate:
                await step()

    def _steps(self, done: Sequence[_Cut]) -> Iterator[Callable[[], Awaitable[None]]]:
        """What stores documents that were cut, a bounded number of chunks at a time.

        Those of a large document count for nothing before the last: what a crash leaves of them is stored once more,
        under the same ids.
        """
        for part in in_parts(done, _chunks, (STORE_CHUNKS,)):
            stored, outcome = 0, part[0][1]
            while isinstance(outcome, StagedDocument) and len(outcome.spans) - stored > STORE_CHUNKS:
                yield partial(self._store_most, outcome, stored)
                stored += STORE_CHUNKS
            yield partial(self._store_part, part, stored)

    async def _store_most(self, document: StagedDocument, first: int) -> None:
        await self.context.write(partial(self._store_some, document=document, first=first))
        failpoints.hit("chunking.stored_some")

    async def _store_part(self, part: Sequence[_Cut], stored: int) -> None:
        await self.context.write(partial(self._store, part=part, stored=stored), self._hand_over)
        for _, outcome in part:
            self.spend(f"{outcome.uri}: {outcome.error}" if isinstance(outcome, FailedDocument) else None)

    def _store_some(self, tx: Transaction, document: StagedDocument, first: int) -> None:
        self.context.advance(tx, self.phase, Done())
        if taken_out.in_hand(tx, [document.id], DocumentState.LOADED):
            StagedDocuments(tx).add_chunks(document, first, first + STORE_CHUNKS)

    def _cut_in_thread(self, cutting: Iterator[Outcome | None], outcomes: list[Outcome]) -> bool:
        """True when there is something to store and no more is to be cut now."""
        for outcome in cutting:
            if outcome is not None:
                outcomes.append(outcome)
            if not self.gate.is_open:
                return bool(outcomes)
        return True

    def _cutting(self, batch: Sequence[StagedDocument]) -> Iterator[Outcome | None]:
        """What becomes of each document; before it None, wherever a pause may come in between."""
        for document in batch:
            steps = spans_in_steps(self.context.plan.components.chunker, document.text, document.media_type)
            found: Sequence[Span] | FailedDocument | None = None
            while found is None:
                found = _next_of(steps, document.uri)
                yield None
            if isinstance(found, FailedDocument):
                yield found
            elif len(found) >= MOST_PIECES:
                why = f"{counted(len(found), 'chunk')}; choose a larger chunk_size"
                yield FailedDocument(document.uri, "too_many_chunks", why)
            else:
                yield from _described(document, found)

    def _store(self, tx: Transaction, part: Sequence[_Cut], stored: int) -> list[StagedDocument]:
        wanted = taken_out.in_hand(tx, [document.id for document, _ in part], DocumentState.LOADED)
        part = [each for each in part if each[0].id in wanted]
        cut = [outcome for _, outcome in part if isinstance(outcome, StagedDocument)]
        failed = [(document.id, outcome) for document, outcome in part if isinstance(outcome, FailedDocument)]
        chunks = sum(len(document.spans) for document in cut)
        self.context.advance(tx, self.phase, Done(len(cut), len(failed), handed_over=chunks))
        at = self.context.clock.now()
        StagedDocuments(tx).cut(cut, at, stored)
        if failed:
            self.context.fail(tx, self.phase, [outcome for _, outcome in failed])
            StagedDocuments(tx).move([each[0] for each in failed], DocumentState.LOADED, DocumentState.FAILED, at)
        return cut

    def _hand_over(self, cut: list[StagedDocument]) -> None:
        assert self._sender is not None
        self._sender.offer(cut)


def _next_of(steps: Iterator[Sequence[Span] | None], uri: str) -> Sequence[Span] | FailedDocument | None:
    try:
        return next(steps)
    except DocumentError as error:
        return FailedDocument(uri, error.code, text_of(error))
    except BaseException as error:
        if not (isinstance(error, Exception) or is_own_end(error)):
            raise
        return FailedDocument(uri, "chunk_error", named(error))


def _described(document: StagedDocument, spans: Sequence[Span]) -> Iterator[StagedDocument | None]:
    """A document with its passages, what stands above them, and the hashes of both."""
    above = contexts(document.text, document.media_type, document.title, document.uri, spans, document.own_metadata)
    cut = replace(document, spans=spans, contexts=above if any(above) else (), embedded=[False] * len(spans))
    yield None
    yield replace(cut, hashes=[text_hash(text) for text in cut.embedded_texts()])


def _chunks(cut: _Cut) -> tuple[int]:
    return (len(cut[1].spans) if isinstance(cut[1], StagedDocument) else 1,)
