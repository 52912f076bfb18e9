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
        self._reason = WaitingOn.COMPONENT
        self._over = anyio.Event()

    async def show_when_late(self) -> None:
        """Have the status say, once the job has had its slot for long, that it is not a slot which it waits for: a
        library may be imported for seconds, an address be looked up. Ends with the preparation."""
        with anyio.move_on_after(SHOWN_AFTER_S):
            await self._over.wait()
        if not self._over.is_set():
            await self._write(self._reason)

    def end(self) -> None:
        """The run has begun, or will not."""
        self._over.set()

    async def wait_for(self, reason: WaitingOn, call: Awaitable[T]) -> T:
        """Await a call that may take long; meanwhile the status of the job says what it waits on. Raises what it
        raises."""
        self._reason = reason
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
        await self._write(reason)

    async def _write(self, reason: WaitingOn) -> None:
        try:
            await self._hub.change(self._job_id, lambda state: state.waiting_before_its_run(reason))
        except (JobNotFound, StoreError) as error:  # the run itself will meet it
            get_logger().debug("cannot store what a job waits on", job=self._job_id, error=str(error))
