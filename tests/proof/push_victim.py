"""A process that pushes documents, or removes most of a source, until it is killed at a named point, by itself."""

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import anyio

from phaseflow import NewDocument, PhaseFlow
from phaseflow.store import failpoints
from tests.proof.victim import LONGEST_S, SETTINGS, RemoteEmbedder
from tests.stopwatch import fail_soon
from tests.store.probes import until_merged

NOTES = [NewDocument(uri=f"note-{n:02}", text=f"The letter {n}: " + f"word{n} again{n} " * 20) for n in range(24)]
HALF = 12
LARGE = NewDocument(uri="large", text="".join(f"The line {n} of the large letter. " for n in range(2500)))
"""More than is kept in the database itself: it goes to the folder of uploads."""
ALL = [*NOTES, LARGE]


class Errand(StrEnum):
    """What the process is busy with when it is killed."""

    PUSH = "push"
    """Push half of the notes, the large document and the other notes, and let all be indexed."""
    PUSH_AFTER_FAILURE = "push-after-failure"
    """The same, but the embedder refuses what was pushed first, and the next push starts another job."""
    DELETE = "delete"
    """Push all, and delete the knowledge base once it is indexed."""
    REMOVE = "remove"
    """Start a job whose source has lost most of its documents, and consent when it asks."""


@dataclass(frozen=True, slots=True)
class Case:
    """Who is killed where: at the ``arrival``-th arrival at ``point``, since its engine was up."""

    errand: Errand
    point: str
    arrival: int = 1

    def __str__(self) -> str:
        return f"{self.errand}-{self.point}-{self.arrival}"


def answered(database: Path) -> list[str]:
    """The uris of the pushes that were answered before the process was killed."""
    record = _record(database)
    return record.read_text().split() if record.exists() else []


def live_and_die(case: Case, database: Path, base_url: str) -> None:
    """Run an errand in this process; ends with exit code 0 when the point was not reached so often."""
    anyio.run(_run, case, database, base_url)


async def _run(case: Case, database: Path, base_url: str) -> None:
    left = case.arrival

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    embedder = RemoteEmbedder(base_url)
    with fail_soon(LONGEST_S):
        async with PhaseFlow(database, embedder=embedder) as flow:
            failpoints.install(case.point, arrive)
            await _ERRANDS[case.errand](flow, embedder, _record(database))
            await until_merged(flow._engine.hub.database)
    await embedder.aclose()


async def settled(flow: PhaseFlow) -> None:
    """Until nothing is asked for any more and no job runs."""
    while True:
        await (await flow.job("kb")).wait()
        if not await flow._engine.hub.database.read(lambda tx: tx.row("SELECT 1 FROM requests LIMIT 1")):
            return
        await anyio.sleep(0.01)


async def _push(flow: PhaseFlow, embedder: RemoteEmbedder, record: Path) -> None:
    await _send(flow, NOTES[:HALF], record)
    await _send(flow, [LARGE], record)
    await _send(flow, NOTES[HALF:], record)
    await settled(flow)


async def _push_after_failure(flow: PhaseFlow, embedder: RemoteEmbedder, record: Path) -> None:
    embedder.refuses_from = 1
    await _send(flow, NOTES[:HALF], record)
    await (await flow.job("kb")).wait()
    embedder.refuses_from = None
    await _send(flow, [LARGE], record)
    await _send(flow, NOTES[HALF:], record)
    await settled(flow)


async def _delete(flow: PhaseFlow, embedder: RemoteEmbedder, record: Path) -> None:
    await _push(flow, embedder, record)
    await flow.delete_kb("kb")


async def _remove(flow: PhaseFlow, embedder: RemoteEmbedder, record: Path) -> None:
    job = await flow.start("kb", settings=SETTINGS)
    await job.wait_until_idle()
    # A resume before its run has ended goes on in that run.
    while flow._engine.scheduler._supervisors:  # noqa: ASYNC110  # it sets no event
        await anyio.sleep(0.005)
    await flow.resume("kb")
    await job.wait()


async def _send(flow: PhaseFlow, documents: list[NewDocument], record: Path) -> None:
    taken = await flow.add("kb", documents)
    with record.open("a") as file:
        file.writelines(f"{uri}\n" for uri in taken.uris)


def _record(database: Path) -> Path:
    return database.with_suffix(".answered")


_ERRANDS: dict[Errand, Callable[[PhaseFlow, RemoteEmbedder, Path], Awaitable[None]]] = {
    Errand.PUSH: _push,
    Errand.PUSH_AFTER_FAILURE: _push_after_failure,
    Errand.DELETE: _delete,
    Errand.REMOVE: _remove,
}
