"""What an engine does beside its jobs, until it stops."""

import anyio

from phaseflow.components.embedders import EmbedderAccess
from phaseflow.flow.clock_keeper import ClockKeeper
from phaseflow.flow.deliveries import Deliveries
from phaseflow.flow.leases import LeaseKeeper
from phaseflow.flow.source_sync import SourceSync
from phaseflow.supervisor.janitor import Janitor
from phaseflow.tracker import PhaseTracker


class Background:
    """Each part works by what the database holds, so a crash in between costs nothing."""

    def __init__(
        self, tracker: PhaseTracker, access: EmbedderAccess, keep_vectors: float, sync: SourceSync | None
    ) -> None:
        self._janitor = Janitor(tracker.database, tracker.clock, keep_vectors)
        parts = (self._janitor, LeaseKeeper(tracker), Deliveries(tracker, access), ClockKeeper(tracker))
        self._parts = parts if sync is None else (*parts, sync)

    async def run(self) -> None:
        """Until ``stop``. Cancelling is the same."""
        async with anyio.create_task_group() as tasks:
            for part in self._parts:
                tasks.start_soon(part.run)

    def stop(self) -> None:
        """End at once."""
        for part in self._parts:
            part.stop()

    async def finish(self) -> None:
        """When all else has ended: some of what is left, in a time that nobody notices."""
        await self._janitor.finish()
