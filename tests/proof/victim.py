"""A process that works until it is killed at a named point, by itself: no handler, no clean-up, as by ``kill -9``."""

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import anyio

from phaseflow import JobPhase, JobStatus, PhaseFlow, PhaseStatus
from phaseflow.actors import carry_over, chunking, indexing, loading
from phaseflow.components.embedders.openai import OpenAIEmbedder
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.flow import Job
from phaseflow.store import failpoints
from tests.stopwatch import fail_soon
from tests.store.probes import until_given_back

SETTINGS = {"chunk_size": 200, "chunk_overlap": 20}
BATCH = 8
IN_FLIGHT = 2
AT_RISK = BATCH * (IN_FLIGHT + 1)
"""Texts that a kill may cost: those of the calls under way, and those of an answer that is being stored."""
LONGEST_S = 20


class Errand(StrEnum):
    """What the process is busy with when it is killed."""

    INGEST = "ingest"
    """Start a job, or go on with the one there is, to its end."""
    PAUSE = "pause"
    """The same, but pause and resume it while it embeds."""
    CANCEL = "cancel"
    """The same, but cancel it while it embeds, and start another."""
    RETRY = "retry"
    """The same, but the embedder refuses in the middle; then retry."""


@dataclass(frozen=True, slots=True)
class Case:
    """Who is killed where: at the ``arrival``-th arrival at ``point``."""

    errand: Errand
    point: str
    arrival: int = 1
    base: str = "indexed"
    """The state of the database before: ``nothing``, ``indexed``, ``interrupted``, ``rebuild``, or ``carried``: a
    rebuild with documents that cannot be read any more."""

    def __str__(self) -> str:
        return f"{self.errand}-{self.base}-{self.point}-{self.arrival}"


class RemoteEmbedder:
    """A remote embedder whose vectors stay those of the same model, whatever port its server has."""

    batch_size = BATCH
    in_flight = IN_FLIGHT

    def __init__(self, base_url: str, model: str = "a", timeout_s: float = 60) -> None:
        self.fingerprint = f"remote:{model}"
        self.refuses_from: int | None = None
        self._calls = 0
        self._remote = OpenAIEmbedder(base_url, model, batch_size=BATCH, in_flight=IN_FLIGHT, timeout_s=timeout_s)

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self._calls += 1
        if self.refuses_from is not None and self._calls >= self.refuses_from:
            raise ComponentUnavailable("the key was refused")
        return [list(map(float, row)) for row in await self._remote.embed_documents(texts)]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._remote.aclose()


def live_and_die(case: Case, database: Path, folder: Path, base_url: str, model: str) -> None:
    """Run an errand in this process; ends with exit code 0 when the point was not reached so often."""
    left = case.arrival

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if case.point.endswith("_some"):  # as if these small documents were large ones, which are stored in steps
        loading.STORE_CHARACTERS, chunking.STORE_CHUNKS, indexing.BATCH_CHUNKS = 100, 1, 1
        carry_over.CHUNKS = 1
    failpoints.install(case.point, arrive)
    anyio.run(_run, case.errand, database, folder, base_url, model)


async def _run(errand: Errand, database: Path, folder: Path, base_url: str, model: str) -> None:
    embedder = RemoteEmbedder(base_url, model)
    if errand is Errand.RETRY:
        embedder.refuses_from = 5
    with fail_soon(LONGEST_S):
        async with PhaseFlow(database, embedder=embedder) as flow:
            job = await flow.start("kb", folder, settings=SETTINGS) if not flow.interrupted else await flow.job("kb")
            await _ERRANDS[errand](flow, job, embedder)
    await embedder.aclose()


async def _ingest(flow: PhaseFlow, job: Job, embedder: RemoteEmbedder) -> None:
    await job.wait()
    await until_given_back(flow._engine.hub.database)


async def _pause(flow: PhaseFlow, job: Job, embedder: RemoteEmbedder) -> None:
    await _until_embedding(job)
    await flow.pause("kb")
    await job.wait_until_idle()
    await flow.resume("kb")
    await job.wait()


async def _cancel(flow: PhaseFlow, job: Job, embedder: RemoteEmbedder) -> None:
    await _until_embedding(job)
    await flow.cancel("kb")
    await (await flow.start("kb")).wait()


async def _retry(flow: PhaseFlow, job: Job, embedder: RemoteEmbedder) -> None:
    await job.wait()
    embedder.refuses_from = None
    await flow.retry("kb")
    async for status in job.watch():
        if status.status is not JobStatus.FAILED:
            break
    await job.wait()


async def _until_embedding(job: Job) -> None:
    position = JobPhase.EMBEDDING.position
    async for status in job.watch():
        if status.phase_details[position].status is PhaseStatus.RUNNING:
            return


_ERRANDS: dict[Errand, Callable[[PhaseFlow, Job, RemoteEmbedder], Awaitable[None]]] = {
    Errand.INGEST: _ingest,
    Errand.PAUSE: _pause,
    Errand.CANCEL: _cancel,
    Errand.RETRY: _retry,
}
