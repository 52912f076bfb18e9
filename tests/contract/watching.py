"""What the tests of the contract wait for."""

from collections.abc import Callable
from pathlib import Path

from phaseflow import Job, JobStatusResponse, PhaseFlow


async def until(job: Job, wanted: Callable[[JobStatusResponse], bool]) -> JobStatusResponse:
    """The first status of a job that is as wanted."""
    async for status in job.watch():
        if wanted(status):
            return status
    raise AssertionError(f"the job ended before: {await job.status()}")


async def until_statuses(flow: PhaseFlow, kb_id: str, *words: str) -> JobStatusResponse:
    """Wait until the four phases of the newest job have these statuses."""
    return await until(await flow.job(kb_id), lambda status: statuses(status) == list(words))


def statuses(status: JobStatusResponse) -> list[str]:
    return [detail.status.value for detail in status.phase_details]


def write_notes(folder: Path, count: int, lines: int = 1) -> Path:
    """So many documents of so many different lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = "\n".join(f"Note {number} line {line} about topic {number * 7 + line}." for line in range(lines))
        (folder / f"note{number:03}.txt").write_text(text + "\n", encoding="utf-8")
    return folder
