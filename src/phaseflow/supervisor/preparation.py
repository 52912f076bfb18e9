"""What a job that has its slot waits for before its run begins: shown like everything else that keeps a job waiting."""

from collections.abc import Awaitable
from typing import Final, TypeVar

import anyio

from phaseflow.background_task import only_error
from phaseflow.domain.errors import JobNotFound, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.domain.vocabulary import WaitingOn
from phaseflow.tracker import StateHub

T = TypeVar("T")

SHOWN_AFTER_S: Final = 0.5
"""Mostly all is there at once: nothing is written of a wait that is shorter."""


class Preparation:
    """Of one turn of one job: its components are made, before its run is written as begun."""

    def __init__(self, hub: StateHub, job_id: str) -> None:
        self._hub = hub
        self._job_id = job_id

    async def wait_for(self, reason: WaitingOn, call: Awaitable[T]) -> T:
        """Await a call that may take long; meanwhile the status of the job says what it waits on. Raises what it
        raises."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._show, reason)
                result = await call
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise only_error(group) from None
        return result

    async def _show(self, reason: WaitingOn) -> None:
        await anyio.sleep(SHOWN_AFTER_S)
        try:
            await self._hub.change(self._job_id, lambda state: state.waiting_before_its_run(reason))
        except (JobNotFound, StoreError) as error:  # the run itself will meet it
            get_logger().debug("cannot store what a job waits on", job=self._job_id, error=str(error))
