"""What the actors of a job have in hand: how a verb, and the failure of one of them, wait for it."""

from collections.abc import Sequence
from typing import Final

import anyio

from phaseflow.actors.actor import Actor

NEIGHBOURS_S: Final = 1.0
"""How long the failure of a phase waits for the others to finish what they have in hand."""


class Draining:
    """The actors of one run, while their gates are closed."""

    def __init__(self, actors: Sequence[Actor]) -> None:
        self._actors = actors
        self._has_waited = False

    async def until_drained(self) -> None:
        """Wait until nothing is in hand."""
        for actor in self._actors:
            await actor.gate.until_drained()

    async def beside_failure(self) -> bool:
        """Let the neighbours of an actor that has failed finish what they have in hand, so that its failure is written
        with them held, and no failed job is said to have a phase that runs.

        Once, and not for long: a call may hang. Whether there was a failure to wait beside.
        """
        if self._has_waited or all(actor.failure is None for actor in self._actors):
            return False
        self._has_waited = True
        with anyio.move_on_after(NEIGHBOURS_S):
            await self.until_drained()
        return True
