"""Says in the background that the program of a job is alive, while it is too busy to report."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from phaseflow.client.errors import ServiceError, ServiceUnreachable
from phaseflow.domain.errors import PhaseflowError
from phaseflow.domain.log import get_logger
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import Action

LEASE_S = 60.0
"""What a job has whose lease this program has not chosen."""
_SHARE = 3
"""A lease is renewed so many times before it would end."""
_PASSING = 500


@dataclass(slots=True)
class _Renewal:
    every_s: float
    due: float


class Renewals:
    """Renews the leases of the jobs that were reported on, until they are over. One task of the event loop."""

    def __init__(self, renew: Callable[[str], Awaitable[JobStatusResponse]]) -> None:
        self._renew = renew
        self._jobs: dict[str, _Renewal] = {}
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(self, status: JobStatusResponse, lease_s: float | None = None) -> None:
        """A report was answered, and has renewed the lease."""
        if status.status.is_terminal and Action.RETRY not in status.allowed_actions:
            self._jobs.pop(status.job_id, None)
            return
        known = self._jobs.get(status.job_id)
        every_s = known.every_s if known is not None and lease_s is None else (lease_s or LEASE_S) / _SHARE
        self._jobs[status.job_id] = _Renewal(every_s, _now() + every_s)
        if known is None:
            self._woken.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Renew no more: what is still running is shown as interrupted once its lease has run out."""
        self._jobs.clear()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            job_id, renewal = min(self._jobs.items(), key=lambda item: item[1].due, default=("", None))
            left_s = None if renewal is None else max(0.0, renewal.due - _now())
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._woken.wait()
                continue
            if renewal is not None and self._jobs.get(job_id) is renewal:
                await self._renew_one(job_id, renewal)

    async def _renew_one(self, job_id: str, renewal: _Renewal) -> None:
        renewal.due = _now() + renewal.every_s
        try:
            self.note(await self._renew(job_id))
        except ServiceUnreachable:
            return  # the next one may get there
        except ServiceError as error:
            if error.http_status < _PASSING:
                self._drop(job_id, error)
        except PhaseflowError as error:
            self._drop(job_id, error)

    def _drop(self, job_id: str, error: PhaseflowError) -> None:
        get_logger().warning("lease not renewed any more", job=job_id, error=str(error))
        self._jobs.pop(job_id, None)


def _now() -> float:
    return asyncio.get_running_loop().time()
