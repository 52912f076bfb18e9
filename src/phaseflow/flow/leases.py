"""Ends the leases of jobs whose programs run elsewhere and have not been heard of."""

from collections.abc import Sequence

import anyio

from phaseflow.domain import reports
from phaseflow.domain.errors import EngineStopped, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.domain.phase import BY_INTERRUPTION
from phaseflow.store import failpoints
from phaseflow.store.database import STORE_RETRY_S
from phaseflow.store.leases import Leases
from phaseflow.store.transaction import Transaction
from phaseflow.tracker import Changed, StateHub, change_in

_LONGEST_LOOK_S = 5.0
"""It looks at least this often while there are leases: the wall clock may step."""


class LeaseKeeper:
    """Works by level, not by edge: a lease is a row, and one that a crash has left ends like any other."""

    def __init__(self, hub: StateHub) -> None:
        self._hub = hub
        self._scope = anyio.CancelScope()

    def stop(self) -> None:
        """End at once; what the writer has taken is carried out."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until ``stop``. Cancelling is the same."""
        with self._scope:
            await self._renew_all()
            while True:
                try:
                    granted = self._hub.lease_granted
                    left_s = await self._end_some()
                    with anyio.move_on_after(None if left_s is None else min(left_s, _LONGEST_LOOK_S)):
                        await granted.wait()
                except EngineStopped:
                    return
                except StoreError as error:
                    get_logger().warning("cannot end leases, trying again", error=str(error))
                    await anyio.sleep(STORE_RETRY_S)

    async def _renew_all(self) -> None:
        """Give each job a whole lease: nobody could report while no engine was up."""
        at = self._hub.clock.running_now()
        try:
            if await self._hub.database.read(lambda tx: Leases(tx).first_end()) is not None:
                await self._hub.database.write(lambda tx: Leases(tx).renew_all(at))
        except (EngineStopped, StoreError) as error:
            get_logger().warning("cannot renew leases; they end as they stand", error=str(error))

    async def _end_some(self) -> float | None:
        """End what is due; the seconds until the next one is, None without any lease."""
        hub = self._hub
        await hub.follow_clock()
        until = await hub.database.read(lambda tx: Leases(tx).first_end())
        if until is None:
            return None
        left_s = (until - hub.clock.running_now()).total_seconds()
        if left_s > 0:
            return left_s
        await hub.database.write(self._end, durable=True, then=self._tell)
        failpoints.hit("leases.ended")
        return 0.0

    def _end(self, tx: Transaction) -> Sequence[Changed]:
        clock, at = self._hub.clock, self._hub.clock.now()
        return [
            change_in(tx, job_id, lambda state: reports.expire(state, at), clock, BY_INTERRUPTION)
            for job_id in Leases(tx).ended(clock.running_now())
        ]

    def _tell(self, ended: Sequence[Changed]) -> None:
        for changed in ended:
            get_logger().info("program not heard of", job=changed.after.job_id, kb=changed.after.kb_id)
            self._hub.tell(changed)
