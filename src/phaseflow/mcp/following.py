"""Progress for agents: calls that start a job follow it for a while where the client has asked for progress."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar

import anyio

from phaseflow.domain.status import JobStatusResponse
from phaseflow.mcp.backend import Backend

FOLLOWED_S = 20.0
"""Clients give up on a call after 30 seconds or a minute, and many ask for progress with each call."""
MOST_FOLLOWED = 64
"""Calls at once that wait; those beyond are answered at once."""

Report = Callable[[float, float, str], Awaitable[None]]
REPORT: ContextVar[Report | None] = ContextVar("REPORT", default=None)
"""What takes (progress, total, message) for the call in hand; None: its client has not asked."""


class Followers:
    """The calls that wait for the job that they started."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting = 0

    async def follow(self, started: JobStatusResponse) -> JobStatusResponse:
        """Report each step of a job until it is over or quiet, for FOLLOWED_S at most; its status then.

        Without anybody who asked, the status given. Cancelling it does nothing to the job.
        """
        report = REPORT.get()
        if report is None or self._waiting >= MOST_FOLLOWED:
            return started
        self._waiting += 1
        latest, reported = started, -1.0
        try:
            with anyio.move_on_after(FOLLOWED_S):
                async with aclosing(self._backend.watch(started.kb_id)) as statuses:
                    async for status in statuses:
                        if status.job_id != started.job_id:
                            break
                        latest = status
                        if status.progress > reported:  # the protocol wants each to be more than the one before
                            reported = status.progress
                            await report(status.progress, 100.0, status.message)
                        if status.is_idle:
                            break
        finally:
            self._waiting -= 1
        return latest
