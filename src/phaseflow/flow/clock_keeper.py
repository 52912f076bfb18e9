"""Brings what is stored of running times after a step of the wall clock, also while no job makes a move."""

import anyio

from phaseflow.domain.errors import EngineStopped, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.tracker import PhaseTracker

LOOK_S = 0.5
"""How often it looks: for so long may a reader beside the engine be wrong after a suspend."""


class ClockKeeper:
    """The engine itself knows of a step when it asks its clock; a reader in another process knows only the rows."""

    def __init__(self, tracker: PhaseTracker) -> None:
        self._tracker = tracker
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
                    await self._tracker.follow_clock()
                except EngineStopped:
                    return
                except StoreError as error:
                    get_logger().warning("cannot follow the clock, trying again", error=str(error))
