"""A job that nobody started gives way to one that somebody starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from phaseflow.supervisor.scheduler import Scheduler
from phaseflow.supervisor.supervisor import STOP_S

GIVE_WAY_S = 2.0
"""How long such a job has to end by itself, once it takes nothing more; most only wait for more to do."""


@asynccontextmanager
async def giving_way(scheduler: Scheduler, kb_id: str) -> AsyncIterator[None]:
    """In the block the own job of a knowledge base is over, or has nothing in hand and may be ended.

    What is in hand is finished first, so that no call that was paid for is dropped, unless one takes too long.
    """
    supervisor = scheduler.supervisor_of(kb_id)
    if supervisor is None or supervisor.lists:
        yield
        return
    supervisor.hurry()
    with anyio.move_on_after(GIVE_WAY_S):
        await supervisor.ended.wait()
    with supervisor.gates_closed():
        with anyio.move_on_after(STOP_S):
            await supervisor.until_drained()
        yield
