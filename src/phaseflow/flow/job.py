"""A handle on one job."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from phaseflow.domain.errors import EngineStopped
from phaseflow.domain.status import JobStatusResponse
from phaseflow.feed import Feed


@dataclass(frozen=True, slots=True)
class Job:
    """One ingestion run. Holds no state of its own: each answer is read from the database."""

    job_id: str
    kb_id: str
    feed: Feed

    async def status(self) -> JobStatusResponse:
        """The status now."""
        return await self.feed.status_of(self.job_id)

    def watch(self) -> AsyncIterator[JobStatusResponse]:
        """The status now and after each change (progress at most ten times a second); the latest wins.

        Ends with the final status, or when the engine stops. Safe to cancel and to start again.
        """
        return self.feed.statuses(self.job_id, self.kb_id)

    async def wait(self) -> JobStatusResponse:
        """The final status: completed, failed or cancelled. Waits through pauses, and for a retry that was asked for.

        Raises EngineStopped when the engine stops first. Cancelling it does nothing to the job.
        """
        return await self._last(until_quiet=False)

    async def wait_until_idle(self) -> JobStatusResponse:
        """The status once the job is over, or paused and will not resume automatically."""
        return await self._last(until_quiet=True)

    async def _last(self, *, until_quiet: bool) -> JobStatusResponse:
        async for status in self.feed.statuses(self.job_id, self.kb_id, counts=False):
            if status.is_idle if until_quiet else status.is_over:
                return status
        raise EngineStopped("the engine stopped before the job was over; the next one goes on with it")
