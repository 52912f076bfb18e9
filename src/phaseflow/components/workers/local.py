"""The workers of this machine: as many processes as there are cores, started when they are needed."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio

from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.process import Limits, Worker
from phaseflow.components.workers.protocol import Model, Outcome, RawDocument
from phaseflow.domain.errors import DocumentError, WorkerLost, WorkerUnavailable

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors

_CLOSE_S = 2.0
_HOPELESS_S = 30.0
"""When no process has started for so long, documents fail one by one instead of waiting for it."""
_FORGOTTEN_S = 90.0
"""A failed start so long ago says nothing about the next: a start that hangs takes 30 s, and is then tried again."""
_PROBE_S = 5.0
"""From then on one start is tried so often."""


class LocalWorkers:
    """Reads documents in processes of their own, which may hang, crash or grow without harm to the service. Implements
    ``Workers``; models run in threads of this process.

    At most ``size`` processes (default: the cores this process may use), started with the first document, ended when
    idle or when a document went wrong. A worker ends by itself when this process does, however that happens. Used by
    one event loop; after ``aclose`` it is as new. ``clock`` gives seconds that only go forward.
    """

    is_remote = False
    batch_documents = 1
    """A process on this machine costs nothing to ask, and one document is stored while the next is read."""
    down = None

    def __init__(
        self, size: int | None = None, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.capacity = size or usable_cores()
        self.limits = limits or Limits()
        self._starts = _Starts(clock)
        self._busy: set[Worker] = set()
        self._idle: dict[Worker, asyncio.TimerHandle] = {}
        self._leaving: dict[Worker, asyncio.TimerHandle] = {}
        """Told to end, and not yet looked after."""

    @property
    def pids(self) -> list[int]:
        """The processes there are now."""
        return [
            worker.pid
            for worker in (*self._busy, *self._idle, *self._leaving)
            if worker.is_alive and worker.pid is not None
        ]

    async def open(self) -> None:
        """Nothing to do: the first document starts the first process."""

    async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
        """Read documents one after the other in one process. Cancelling it kills the process.

        Raises WorkerUnavailable when no process can be started, and DocumentError ``worker_unavailable`` (not counted)
        once that has been so for 30 s.
        """
        return [await self._outcome(document) for document in batch]

    async def embed(self, model: Model, texts: list[str]) -> "Vectors":
        """Compute vectors in a thread. Cancelling abandons it, and drops its result."""
        return cast("Vectors", await call_in_abandonable_thread(lambda: model.embedder.embed_documents(texts)))

    async def _outcome(self, document: RawDocument) -> Outcome:
        head = {"name": document.name, "charset": document.charset, "type": document.media_type}
        try:
            return await self.ask(head, document.data)
        except (DocumentError, WorkerLost) as error:
            return error

    async def ask(self, head: Mapping[str, Any], data: bytes) -> Extracted | DocumentError:
        """Ask a process for one document in its own words. Raises as ``extract`` does, and WorkerLost."""
        return await self._ask(self._take(), head, data)

    async def aclose(self) -> None:
        """End all workers at once, and see them gone. Cancelling leaves that to a thread."""
        for timer in (*self._idle.values(), *self._leaving.values()):
            timer.cancel()
        workers = [*self._busy, *self._idle, *self._leaving]
        self._idle.clear()
        self._leaving.clear()
        for worker in workers:
            worker.kill()
        with anyio.move_on_after(_CLOSE_S):
            await call_in_abandonable_thread(partial(_end, workers))
        self._starts.succeeded()  # those that were killed here say nothing about the next

    async def _ask(self, worker: Worker, head: Mapping[str, Any], data: bytes) -> Extracted | DocumentError:
        if not worker.is_alive:
            self._starts.check()
        self._busy.add(worker)

        def ask() -> Extracted | DocumentError:
            try:
                return worker.ask(head, data)
            finally:
                self._busy.discard(worker)

        try:
            found = await call_in_abandonable_thread(ask)
        except asyncio.CancelledError:
            # The thread sees the end of the process, and cleans up.
            worker.kill()
            raise
        except WorkerUnavailable as error:
            raise self._starts.failed(error) from error
        except (DocumentError, WorkerLost):
            self._starts.succeeded()
            raise
        self._starts.succeeded()
        self._keep(worker)
        return found

    def _take(self) -> Worker:
        while self._idle:
            worker, timer = self._idle.popitem()
            timer.cancel()
            if worker.is_alive:
                return worker
            worker.end()
        return Worker(self.limits)

    def _keep(self, worker: Worker) -> None:
        if worker.is_alive:
            loop = asyncio.get_running_loop()
            self._idle[worker] = loop.call_later(self.limits.idle_s, self._release, worker)

    def _release(self, worker: Worker) -> None:
        """Let go of a worker that nothing was asked of: first its input ends, later it is gone and costs no wait."""
        del self._idle[worker]
        worker.release()
        self._leaving[worker] = asyncio.get_running_loop().call_later(_CLOSE_S, self._forget, worker)

    def _forget(self, worker: Worker) -> None:
        del self._leaving[worker]
        worker.end()


def _end(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.end()


class _Starts:
    """Whether processes can be started at all, so that nobody waits for ever for those that cannot."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._next_probe = 0.0
        self._why = ""

    def check(self) -> None:
        """Raise DocumentError when starting is hopeless and it is not time to try it again."""
        if self._is_hopeless() and self._clock() < self._next_probe:
            raise self._hopeless()

    def succeeded(self) -> None:
        self._failing_since = None

    def failed(self, error: WorkerUnavailable) -> WorkerUnavailable | DocumentError:
        """Return the error to raise: the one that is tried again, or in the end the document's."""
        now = self._clock()
        if self._failing_since is None or now - self._failed_at > _FORGOTTEN_S:
            self._failing_since = now
        self._failed_at = now
        self._why = str(error)
        if not self._is_hopeless():
            return error
        self._next_probe = now + _PROBE_S
        return self._hopeless()

    def _is_hopeless(self) -> bool:
        return self._failing_since is not None and self._clock() - self._failing_since >= _HOPELESS_S

    def _hopeless(self) -> DocumentError:
        return DocumentError(f"no process to read it in: {self._why}", code="worker_unavailable", counts=False)


def usable_cores() -> int:
    """How many processors this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1
