"""The janitor: removes in the background what nobody sees any more, a little at a time, with pauses in between."""

import anyio

from phaseflow.domain.errors import EngineStopped, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.store import failpoints, leftovers
from phaseflow.store.database import Database

LOOK_S = 0.5
"""How often it looks whether there is anything to remove."""
RETRY_S = 5.0
"""How long it waits when the database cannot be written."""
SHARE = 2.0
"""It pauses for this many times as long as a step took, so that the writer is for the others most of the time."""


class Janitor:
    """Works by level, not by edge: what a crash has left is removed like anything else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._scope = anyio.CancelScope()

    def stop(self) -> None:
        """End at once; a step that the writer has taken is carried out."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until ``stop``. Cancelling is the same."""
        with self._scope:
            while True:
                try:
                    await anyio.sleep(LOOK_S)
                    await self._remove()
                except EngineStopped:
                    return
                except StoreError as error:
                    get_logger().warning("cannot remove what is gone, trying again", error=str(error))
                    await anyio.sleep(RETRY_S)

    async def _remove(self) -> None:
        if not await self._database.read(leftovers.are_there):
            return
        while True:
            began = anyio.current_time()
            if not await self._database.write(leftovers.remove_some):
                return
            failpoints.hit("janitor.removed_some")
            await anyio.sleep(SHARE * (anyio.current_time() - began))
