"""A reader beside: what does it say of a job while a process works, and after that has died?"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio

from phaseflow import JobStatus, PhaseStatus
from phaseflow.domain.errors import StoreUnavailable
from phaseflow.domain.status import JobStatusResponse
from phaseflow.flow import Reader
from tests.proof.outcome import Contradiction

LOOK_S = 0.1
VERB_RESPONSE_S = 8
"""Once a job has failed, no phase of it may be shown as running for longer, unless the disk is full."""
APART_S = 0.15
"""Between two looks at a job that nobody works on."""


class Onlooker:
    """Looks at the jobs of a database from another process than the engine's."""

    def __init__(self, database: Path, has_room: Callable[[], bool]) -> None:
        self._database = database
        self._has_room = has_room
        self._half_failed: dict[str, float] = {}
        self.looks = 0

    async def watch(self) -> None:
        """Look until cancelled, while an engine works."""
        self._half_failed.clear()
        while True:
            with suppress(StoreUnavailable):  # there is none yet, or no room for what a reader needs beside it
                async with Reader(self._database) as reader:
                    while True:
                        for status in await reader.latest():
                            self._check_failed(status)
                        self.looks += 1
                        await anyio.sleep(LOOK_S)
            await anyio.sleep(LOOK_S)

    def _check_failed(self, status: JobStatusResponse) -> None:
        runs = any(phase.status is PhaseStatus.RUNNING for phase in status.phase_details)
        if status.status is not JobStatus.FAILED or not runs or not self._has_room():
            self._half_failed.pop(status.job_id, None)
            return
        since = self._half_failed.setdefault(status.job_id, anyio.current_time())
        if anyio.current_time() - since > VERB_RESPONSE_S:
            raise Contradiction(
                f"failed for {VERB_RESPONSE_S} s, with a phase running: {status.model_dump_json(indent=1)}"
            )

    async def check_dead(self) -> None:
        """Nobody works on the database: nothing may be said to run, no clock may go, and there is a way on."""
        try:
            async with Reader(self._database) as reader:
                first = {status.job_id: status for status in await reader.latest()}
                await anyio.sleep(APART_S)
                second = {status.job_id: status for status in await reader.latest()}
        except StoreUnavailable:
            return  # it died before there was anything
        for job_id, status in second.items():
            self.looks += 1
            if status.status is JobStatus.RUNNING or any(
                phase.status is PhaseStatus.RUNNING for phase in status.phase_details
            ):
                raise Contradiction(f"dead, and said to run: {status.model_dump_json(indent=1)}")
            if status != first[job_id]:
                raise Contradiction(f"dead, and its status changes: {first[job_id]!r} became {status!r}")
            if status.status is JobStatus.PAUSED and not {"resume", "cancel"} <= set(status.allowed_actions):
                raise Contradiction(f"dead, and no way on is offered: {status.model_dump_json(indent=1)}")
