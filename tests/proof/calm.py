"""Bringing a job to its end, whatever state it was left in."""

from contextlib import suppress
from pathlib import Path

import anyio

from phaseflow import Job, JobStatus, PhaseFlow
from phaseflow.domain.errors import JobConflict
from tests.proof.outcome import Contradiction
from tests.proof.victim import SETTINGS

OTHER_MODEL = "but this job began with"
"""In the error of a job that was begun with one embedder and cannot be ended with another: only a new one can."""


async def go_on(flow: PhaseFlow, kb: str) -> None:
    """Bring the newest job to a good end, or to one that only a new job leads out of."""
    while True:
        status = await flow.status(kb)
        if status.status in {JobStatus.COMPLETED, JobStatus.CANCELLED} or OTHER_MODEL in (status.error or ""):
            return
        with suppress(JobConflict):  # it has moved on since we looked
            if "retry" in status.allowed_actions:
                await flow.retry(kb)
            elif "resume" in status.allowed_actions:
                await flow.resume(kb)
        hint = flow.tracker.feed.hint()
        with anyio.move_on_after(0.2):
            await hint.wait()


async def bring_to_an_end(flow: PhaseFlow, kb: str, documents: Path) -> None:
    """End the newest job, then do a whole one. Raises Contradiction when that is not a complete success."""
    for status in await flow.latest():
        if status.kb_id == kb:
            await go_on(flow, kb)
    # The riot may have thinned the folder out: without a yes beforehand the job would wait for one, for ever.
    final = await (await _started(flow, kb, documents)).wait()
    if final.status is not JobStatus.COMPLETED or final.metrics.documents_failed:
        raise Contradiction(f"in the calm: {final.model_dump_json(indent=1)}")


async def _started(flow: PhaseFlow, kb: str, documents: Path) -> Job:
    """A whole job. One that has begun by itself with new settings reads everything, too, and gives way to none."""
    while True:
        try:
            return await flow.start(kb, documents, settings=SETTINGS, allow_deletes=True)
        except JobConflict:
            await go_on(flow, kb)
