"""The one door to the workers: who is next, what goes together, and what becomes of a document when one is lost."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from phaseflow.components.extraction.registry import needs_worker
from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.local import LocalWorkers
from phaseflow.components.workers.process import Limits
from phaseflow.components.workers.protocol import Model, Outcome, RawDocument, Workers
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DocumentError, WorkerLost

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors

LOSSES = 3
"""So many workers may be lost in a row on one document, or on one text, that is tried alone."""
_MOST_IN_FLIGHT = 256
_TARGET_S = 0.2
"""What a batch should take to read: long against the milliseconds of a call, short for a pause that waits for it."""
LEAST_BYTES = 64 << 10
MOST_BYTES = 8 << 20
_FIRST_BYTES = 256 << 10
_WEIGHT = 0.2
"""Of the newest batch in the mean: documents of one kind mostly come in a row."""
_PER_PLACE = 2, 24
"""Documents a loader has on their way for each worker elsewhere: so many at the least and at the most."""


class ExtractionPool:
    """Has documents read by workers: those given, or else ``size`` processes of this machine, within ``limits``.

    As many calls at once as the workers have ``capacity``; the others wait in their order, which holds the loaders
    back. What waits together goes together, in batches that a worker reads in a fifth of a second or so. There is no
    task behind it: a call is made by one of those who wait for it. Used by one event loop; after ``aclose`` it is as
    new. ``clock`` gives seconds that only go forward.
    """

    def __init__(
        self, workers: Workers | None = None, *, size: int | None = None, limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.workers: Workers = LocalWorkers(size, limits, clock) if workers is None else workers
        self._clock = clock
        self._batch_size = _BatchSize()
        self._line: deque[_Item] = deque()
        self._places_taken = 0

    @property
    def pids(self) -> list[int]:
        """The processes of this machine there are now."""
        return self.workers.pids if isinstance(self.workers, LocalWorkers) else []

    @property
    def in_flight(self) -> int:
        """How many documents a loader should have on their way now, so that the workers are never idle.

        For workers elsewhere two batches each, by what documents took so far: a pause waits for them.
        """
        least, most = _PER_PLACE if self.workers.is_remote else (1, 1)
        per_place = min(max(int(2 * _TARGET_S / self._batch_size.document_s), least), most)
        return min(self.workers.capacity * per_place + 2, _MOST_IN_FLIGHT)

    def takes(self, data: bytes, name: str, *, declared_type: str | None = None) -> bool:
        """Say whether a document belongs in a worker. Raises DocumentError ``unsupported_format``."""
        return needs_worker(data, name, declared_type=declared_type)

    async def extract(
        self, data: bytes, name: str, *, declared_charset: str | None = None, declared_type: str | None = None
    ) -> Extracted:
        """Return the text of a document, as ``extraction.extract`` does.

        Raises DocumentError: what that raises, and ``extraction_timeout``, ``extraction_memory``,
        ``extraction_crashed`` (three workers in a row were lost on it alone); WorkerUnavailable when no process can be
        started; WorkersDown when the workers are elsewhere and none can be reached. Cancelling it ends its work in the
        worker, too.
        """
        item = _Item(RawDocument(data, name, declared_charset, declared_type))
        while item.outcome is None:
            await self._turn(item)
            if item.outcome is None:
                await self._lead(item)
        if isinstance(item.outcome, Exception):
            raise item.outcome
        return item.outcome

    async def embed(self, model: Model, texts: list[str]) -> "Vectors":
        """Return one vector for each text, in order. Raises what the model raises, and WorkersDown.

        Raises WorkerLost for several texts, which are then to be tried in parts, and DocumentError
        ``embedding_crashed`` for one alone on which three workers in a row were lost.
        """
        losses = 0
        while True:
            try:
                return await self.workers.embed(model, texts)
            except WorkerLost as error:
                losses += 1
                if len(texts) > 1:
                    raise
                if losses == LOSSES:
                    message = f"{counted(LOSSES, 'worker')} in a row were lost on a text of it: {error}"
                    raise DocumentError(message, code="embedding_crashed") from error

    async def aclose(self) -> None:
        """End all workers at once, and see them gone."""
        await self.workers.aclose()

    async def __aenter__(self) -> Self:
        await self.workers.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _turn(self, item: "_Item") -> None:
        """Wait until somebody has read the document, or a place is free to have it read."""
        is_new, item.turn = item.turn is None, asyncio.get_running_loop().create_future()
        (self._line.append if is_new else self._line.appendleft)(item)
        self._admit()
        try:
            await item.turn
        except asyncio.CancelledError:
            self._withdraw(item)
            raise

    def _admit(self) -> None:
        while self._line and self._places_taken < self.workers.capacity:
            self._places_taken += 1
            self._line.popleft().wake()

    def _leave(self) -> None:
        self._places_taken -= 1
        self._admit()

    def _withdraw(self, item: "_Item") -> None:
        """Nobody waits for the document any more: out of the line, and out of the worker that has it."""
        item.is_gone = True
        if item in self._line:
            self._line.remove(item)
        elif item.outcome is None and item.call is not None:
            item.call.cancel()
        elif item.outcome is None:
            self._leave()  # its turn had come at this very moment

    async def _lead(self, first: "_Item") -> None:
        """Have a document read, together with some of those behind it in the line."""
        batch, call, began = [first, *self._companions(first)], anyio.CancelScope(), self._clock()
        for item in batch:
            item.call = call
        try:
            with call:
                self._settle(batch, await self.workers.extract([item.document for item in batch]))
                size = sum(len(item.document.data) for item in batch)
                self._batch_size.learn(size, self._clock() - began, len(batch))
        except WorkerLost as error:
            self._settle(batch, [error] * len(batch))
        except Exception as error:
            for item in batch[1:]:
                item.end(error)
            raise
        finally:
            # Cancelled, by whomever of them, or lost with the worker: the others are first in the line again.
            for item in reversed(batch):
                item.call = None
                if item is not first and item.outcome is None and not item.is_gone:
                    self._line.appendleft(item)
            self._leave()

    def _companions(self, first: "_Item") -> "list[_Item]":
        """Those that go with the first in line: its share of the line, as far as it is not too much for a batch."""
        share = ceil((len(self._line) + 1) / self.workers.capacity)
        most, size = min(share, self.workers.batch_documents) - 1, len(first.document.data)
        found: list[_Item] = []
        while not first.is_alone and len(found) < most and self._line and not self._line[0].is_alone:
            size += len(self._line[0].document.data)
            if size > self._batch_size.bytes:
                break
            found.append(self._line.popleft())
        return found

    def _settle(self, batch: "Sequence[_Item]", outcomes: Sequence[Outcome]) -> None:
        for item, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, WorkerLost):
                # Of several it may have been any, unless the worker says which.
                item.lose(outcome, is_cause=len(batch) == 1 or any(each is not outcome for each in outcomes))
            else:
                item.end(outcome)


@dataclass(slots=True, eq=False)
class _Item:
    """A document on its way."""

    document: RawDocument
    outcome: Outcome | None = None
    turn: "asyncio.Future[None] | None" = None
    call: anyio.CancelScope | None = None
    """The call that reads it now."""
    losses: int = 0
    is_alone: bool = False
    """A worker was lost with it: it is tried without others."""
    is_gone: bool = False

    def wake(self) -> None:
        if self.turn is not None and not self.turn.done():
            self.turn.set_result(None)

    def end(self, outcome: Outcome | Exception) -> None:
        self.outcome = outcome  # type: ignore[assignment]  # raised as it is
        self.wake()

    def lose(self, error: WorkerLost, *, is_cause: bool) -> None:
        self.is_alone = True
        self.losses += is_cause
        if self.losses >= LOSSES:
            self.end(DocumentError(str(error), code="extraction_crashed"))


@dataclass(slots=True)
class _BatchSize:
    """Learns from each batch how many bytes a worker reads in ``_TARGET_S``."""

    bytes: float = _FIRST_BYTES
    """More than so many do not go together; a larger document goes alone."""

    document_s: float = 0.1
    """What a document takes, seconds."""

    def learn(self, size: int, seconds: float, documents: int = 1) -> None:
        """A batch of ``size`` bytes took so long to read, seconds."""
        if size <= 0 or seconds <= 0:
            return
        self.document_s += _WEIGHT * (seconds / documents - self.document_s)
        wanted = min(max(size * _TARGET_S / seconds, LEAST_BYTES), MOST_BYTES)
        self.bytes += _WEIGHT * (wanted - self.bytes)
