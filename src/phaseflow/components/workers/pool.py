"""The workers of an engine: as many as there are cores, started when they are needed."""

import asyncio
import os
from types import TracebackType
from typing import Self

import anyio

from phaseflow.components.daemon import call_in_daemon
from phaseflow.components.extraction.shapes import Extracted
from phaseflow.components.workers.frames import Frame
from phaseflow.components.workers.process import Limits, Worker
from phaseflow.domain.errors import DocumentError

_CLOSE_S = 2.0


class ExtractionPool:
    """Reads documents in processes of their own, which may hang, crash or grow without harm to the service.

    At most ``size`` workers (default: the cores this process may use), started with the first document, ended when idle
    or when a document went wrong. A worker ends by itself when this process does, however that happens. Used by one
    event loop; after ``aclose`` it is as new.
    """

    def __init__(self, *, size: int | None = None, limits: Limits | None = None) -> None:
        self.size = size or _cores()
        self.limits = limits or Limits()
        self._places = anyio.CapacityLimiter(self.size)
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

    async def extract(
        self, data: bytes, name: str, *, declared_charset: str | None = None, declared_type: str | None = None
    ) -> Extracted:
        """Return the text of a document, as ``extraction.extract`` does.

        Raises DocumentError: what that raises, and ``extraction_timeout``, ``extraction_memory``,
        ``extraction_crashed``; ComponentUnavailable when no process can be started. Cancelling it kills the worker.
        """
        head = {"name": name, "charset": declared_charset, "type": declared_type}
        async with self._places:
            answer = await self._ask(head, data)
        return _extracted(answer)

    async def aclose(self) -> None:
        """End all workers at once, and see them gone."""
        for timer in (*self._idle.values(), *self._leaving.values()):
            timer.cancel()
        workers = [*self._busy, *self._idle, *self._leaving]
        self._idle.clear()
        self._leaving.clear()
        for worker in workers:
            worker.kill()
        with anyio.move_on_after(_CLOSE_S, shield=True):
            for worker in workers:
                await call_in_daemon(worker.end)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _ask(self, head: dict[str, str | None], data: bytes) -> Frame:
        worker = self._take()
        self._busy.add(worker)

        def ask() -> Frame:
            try:
                return worker.ask(head, data)
            finally:
                self._busy.discard(worker)

        try:
            answer = await call_in_daemon(ask)
        except asyncio.CancelledError:
            # The thread sees the end of the process, and cleans up.
            worker.kill()
            raise
        self._keep(worker)
        return answer

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


def _extracted(answer: Frame) -> Extracted:
    head, body = answer
    if head["status"] == "failed":
        raise DocumentError(head["message"], code=head["code"], counts=head["counts"])
    parts = tuple((int(offset), str(label)) for offset, label in head["parts"])
    return Extracted(body.decode(), head["title"], head["type"], parts)


def _cores() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1
