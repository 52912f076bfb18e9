"""What the indexing phase has to do with an index outside the database. All of it is done inside the gate."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Final, TypeVar

import anyio

from phaseflow.actors.context import OpenIndex, PhaseFailed, RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.index_audit import IndexAudit, RefusedDocument, withdraw_refused
from phaseflow.background_task import only_error
from phaseflow.components.contained import not_cancelled_by
from phaseflow.components.indexes import Index, IndexDocument, Space
from phaseflow.components.indexes.registry import bounded
from phaseflow.components.stored_vectors import read_all
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import (
    BatchTooLarge,
    ComponentError,
    ComponentUnavailable,
    DocumentError,
    TransientError,
)
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.log import get_logger
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints, index_spaces
from phaseflow.store.documents import StagedDocument
from phaseflow.store.failures import FailedDocument
from phaseflow.store.index_outbox import IndexOutbox, Waiting
from phaseflow.store.index_spaces import Spaces
from phaseflow.store.progress import PhaseProgress
from phaseflow.store.transaction import Transaction

T = TypeVar("T")

_PART: Final = 512
"""Passages of a long document in one call."""
CALL_S: Final = 10.0
"""What one call may take, seconds. A pause waits for no more than the one in hand."""
_TELL_S: Final = 1.0
"""How often it is said how far the filling of an index has come."""
READY_S: Final = 24 * 3600.0
"""The same for what builds an index over everything; a pause breaks it off."""
REST_S: Final = 5.0
"""After a removal that failed, the outbox rests for so long: the documents in hand go first."""

Refused = tuple[StagedDocument, FailedDocument]


class IndexDelivery:
    """Brings the documents of one run to an index, in few calls, before the database makes them searchable.

    ``place``: what opens the index, the name of its server, and that of the space. ``spend`` counts a document that it
    refuses while it is filled, and may raise.
    """

    def __init__(
        self, context: RunContext, gate: Gate, place: tuple[OpenIndex, str, str], spend: Callable[[str | None], None]
    ) -> None:
        open_index, server, space = place
        self._spend = spend
        self._context = context
        self._gate = gate
        self._open_index = open_index
        self._server = server
        self._name = space
        self._created = False
        self._rests_until = -inf
        self._tells_at = -inf
        self.refused: Sequence[RefusedDocument] = ()
        """What search sees and the index has not taken, when it was filled."""

    async def put(self, batch: Sequence[StagedDocument]) -> tuple[list[StagedDocument], list[Refused]]:
        """Give documents to the index: (those taken, those that it refuses, each alone). Raises TransientError while
        it cannot be reached: nothing is lost when it is called again."""
        good: list[StagedDocument] = []
        refused: list[Refused] = []
        for some in _in_calls(batch):
            taken, bad = await self._put_some(some)
            good += taken
            refused += bad
        failpoints.hit("indexing.put")
        return good, refused

    async def _put_some(self, some: Sequence[StagedDocument]) -> tuple[list[StagedDocument], list[Refused]]:
        try:
            await self._put_whole(some)
        except (DocumentError, BatchTooLarge) as error:
            if len(some) > 1:
                half = len(some) // 2
                first, second = await self._put_some(some[:half]), await self._put_some(some[half:])
                return [*first[0], *second[0]], [*first[1], *second[1]]
            return [], [(some[0], FailedDocument(some[0].uri, error.code, text_of(error)))]
        except TransientError as error:
            get_logger().warning(
                "the index cannot take documents, trying again", index=self._server, error=text_of(error)
            )
            self._created = False  # whatever has become of it meanwhile
            raise
        return list(some), []

    async def _put_whole(self, some: Sequence[StagedDocument]) -> None:
        parts = [(d, n) for d in some for n in range(0, len(d.spans), _PART)]
        if sum(len(d.spans) for d in some) <= 2 * _PART:
            await self._put_parts(parts)
        else:
            for part in parts:
                await self._put_parts([part])

    async def _put_parts(self, parts: Sequence[tuple[StagedDocument, int]]) -> None:
        if not parts:
            return
        read = partial(_vectors, [(document.id, first) for document, first in parts])
        packed = await self._context.reads.read_long(read)
        found = [_index_document(d, first, vectors) for (d, first), vectors in zip(parts, packed, strict=True)]
        space = Space(self._name, found[0].vectors.shape[1])
        failpoints.hit("indexing.putting")
        index = await self._opened()
        if not self._created:
            await self._call(index.create(space))
            self._created = True
        await self._call(index.put(space, found))

    async def fill(self) -> None:
        """Put all that search sees of the index version and the index lacks, from the stored vectors. Raises
        TransientError while the index cannot be reached: what it has by then it keeps."""
        space = await self._space()
        if space is None or space.dimension is None:
            return
        losses, index = self._context.plan.components.index_losses, await self._opened()
        audit = IndexAudit(self._context.reads, index, space, lambda: self._telling(audit), self._spend)
        await audit.run()
        if audit.refused and not audit.put:
            raise PhaseFailed(f"the index takes no document; {audit.refused[-1][1].error}")
        self.refused = audit.refused
        losses.found_whole(self._name)

    def withdraw_refused(self, tx: Transaction) -> list[FailedDocument]:
        """Documents that the index has not taken when it was filled are searchable no more."""
        space = Spaces(tx).by_name(self._name)
        return [] if space is None else withdraw_refused(tx, space, self.refused, self._context.clock.now())

    async def _space(self) -> index_spaces.Space | None:
        return await self._context.reads.read(lambda tx: Spaces(tx).by_name(self._name))

    @asynccontextmanager
    async def _telling(self, audit: IndexAudit) -> AsyncIterator[None]:
        """A turn inside the gate, which now and then says how far it has come."""
        async with self._gate:
            if (now := anyio.current_time()) >= self._tells_at:
                self._tells_at = now + _TELL_S
                note = f"bringing the vectors to the index, {counted(audit.put, 'passage')} so far"
                attempt = self._context.plan.attempt
                await self._context.write(lambda tx: PhaseProgress(tx, attempt, JobPhase.INDEXING).note(note))
            with self._gate.calls.on():
                yield

    async def make_ready(self) -> None:
        """Have built what makes search fast, before search sees the space; a gate that closes breaks it off, and it is
        done when it has opened again. Raises TransientError while the index cannot be reached."""
        found = await self._space()
        if found is None or found.dimension is None:
            return
        space = Space(found.name, found.dimension)
        async with self._gate:
            index = await self._opened()
            is_ready = await self._until_closed(lambda: index.ready(space))
        if not is_ready:
            await self.make_ready()

    async def _until_closed(self, call: Callable[[], Awaitable[None]]) -> bool:
        """Make a call; False when the gate was closed first, and the call dropped."""
        is_done = False

        async def make() -> None:
            nonlocal is_done
            failpoints.hit("indexing.ready")
            with not_cancelled_by("the index"), self._gate.calls.on():
                await bounded(call(), READY_S)
            is_done = True
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(make)
                await self._gate.sleep(inf)
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise only_error(group) from None
        return is_done

    async def empty_outbox(self) -> None:
        """Let the index forget some of what is gone. When it cannot, that waits: nobody sees what it still has."""
        if anyio.current_time() < self._rests_until:
            return
        waiting = await self._context.reads.read(lambda tx: IndexOutbox(tx, self._server).gone_of(self._name))
        if waiting is None:
            return
        failpoints.hit("index.removing")
        try:
            await self._call((await self._opened()).remove(Space(self._name, 0), waiting.document_ids))
        except ComponentError as error:
            get_logger().warning("the index cannot remove documents", index=self._server, error=text_of(error))
            self._rests_until = anyio.current_time() + REST_S
            return
        await self._context.write(partial(self._settle, waiting))

    def _settle(self, waiting: Waiting, tx: Transaction) -> None:
        PhaseProgress(tx, self._context.plan.attempt, JobPhase.INDEXING).check()
        IndexOutbox(tx, self._server).settle(waiting)

    async def _opened(self) -> Index:
        with self._gate.calls.on():
            return await self._open_index()

    async def _call(self, call: Awaitable[T]) -> T:
        with self._gate.calls.on():
            return await bounded(call, CALL_S)


def _in_calls(batch: Sequence[StagedDocument]) -> list[Sequence[StagedDocument]]:
    """Long documents alone, the others together."""
    short = [document for document in batch if len(document.spans) <= _PART]
    return [each for each in (short, *([d] for d in batch if len(d.spans) > _PART)) if each]


def _vectors(parts: Sequence[tuple[int, int]], tx: Transaction) -> list[list[bytes]]:
    return [[row[2] for row in index_spaces.passages_of(tx, key, first, _PART)] for key, first in parts]


def _index_document(document: StagedDocument, first: int, packed: Sequence[bytes]) -> IndexDocument:
    spans = document.spans[first : first + _PART]
    if len(packed) != len(spans):
        raise ComponentUnavailable(f"{document.uri} has lost vectors; start a job with full=true")
    vectors = read_all(packed)
    texts = [document.text[start:end] for start, end in spans]
    return IndexDocument(document.id, document.uri, document.title, first, texts, vectors)
