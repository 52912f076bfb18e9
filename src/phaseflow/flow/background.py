"""What an engine does beside its jobs, until it stops."""

import anyio

from phaseflow.components.embedders import EmbedderAccess
from phaseflow.domain.errors import EngineStopped, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.flow.deliveries import Deliveries
from phaseflow.flow.leases import LeaseKeeper
from phaseflow.flow.source_sync import SourceSync
from phaseflow.store.stop_deadline import WRITES_S
from phaseflow.supervisor.index_keeper import IndexKeeper
from phaseflow.supervisor.janitor import Janitor
from phaseflow.tracker import StateHub

LOOK_S = 0.5
"""How often it looks: for so long may a reader beside the engine be wrong after a suspend."""


class Background:
    """Each part works by what the database holds, so a crash in between costs nothing."""

    def __init__(
        self,
        hub: StateHub,
        access: EmbedderAccess,
        keep_vectors: float,
        sync: SourceSync | None,
        indexes: IndexKeeper,
    ) -> None:
        self._janitor = Janitor(hub.database, hub.clock, keep_vectors)
        self._indexes = indexes
        self._ending = hub.database.ending
        parts = (self._janitor, indexes, LeaseKeeper(hub), Deliveries(hub, access), _ClockKeeper(hub))
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
        with self._ending.limit(WRITES_S):
            await self._janitor.finish()
            await self._indexes.finish()


class _ClockKeeper:
    """Brings what is stored of running times after a step of the wall clock, also while no job makes a move.

    The engine itself knows of a step when it asks its clock; a reader in another process knows only the rows.
    """

    def __init__(self, hub: StateHub) -> None:
        self._hub = hub
        self._scope = anyio.CancelScope()

    def stop(self) -> None:
        """End at once; what the writer has taken is carried out."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until ``stop``. Cancelling is the same."""
        with self._scope:
            while True:
                await anyio.sleep(LOOK_S)
                try:
                    await self._hub.follow_clock()
                except EngineStopped:
                    return
                except StoreError as error:
                    get_logger().warning("cannot follow the clock, trying again", error=str(error))
