"""A reader beside an engine knows only rows: they follow the wall clock though no job makes a move."""

from datetime import datetime, timedelta
from pathlib import Path

import anyio
import pytest

from phaseflow import PhaseFlow, PhaseStatus, Reader
from phaseflow.flow import reader as reader_module
from phaseflow.store import clock
from tests.engine.components import CountingEmbedder
from tests.stopwatch import fail_soon

SUSPENDED = timedelta(hours=2)


class LaterDatetime(datetime):
    """The class ``datetime`` of a machine that was suspended for two hours."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # wider on purpose
        return datetime.now(tz) + SUSPENDED  # type: ignore[arg-type]  # wrong on purpose


async def test_a_reader_is_right_about_running_times_after_a_suspend(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = CountingEmbedder()
    embedder.close()

    async def active_s() -> float:
        async with Reader(database) as reader:
            return max(phase.active_seconds for phase in (await reader.status("kb")).phase_details)

    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        with fail_soon(10):
            await embedder.until_called()
            async for status in job.watch():
                if status.phase_details[1].status is PhaseStatus.COMPLETED:
                    break
            monkeypatch.setattr(clock, "datetime", LaterDatetime)
            monkeypatch.setattr(reader_module, "datetime", LaterDatetime)
            while await active_s() > 60:  # noqa: ASYNC110  # what is told nobody: the rows are moved
                await anyio.sleep(0.02)
        embedder.gate.set()
