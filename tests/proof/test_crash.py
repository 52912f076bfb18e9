"""What a process that died has left, and what the next one makes of it.

The file of a running engine is copied as it stands, committed and not one row more: that is what a kill leaves.
"""

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import anyio

from phaseflow import JobStatus, PhaseFlow, PhaseStatus
from phaseflow.components.protocols import Span
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from tests.engine.components import CountingEmbedder, write_folder
from tests.stopwatch import fail_soon


class HangingChunker:
    """Cuts a text in one piece; hangs before one that has ``word`` in it, until released."""

    fingerprint = "hanging"

    def __init__(self, word: str) -> None:
        self.word = word
        self.entered = threading.Event()
        self.release = threading.Event()

    def spans(self, text: str, media_type: str) -> list[Span]:
        if self.word in text:
            self.entered.set()
            assert self.release.wait(60)
        return [Span(0, len(text))]


def left_behind(database: Path) -> Path:
    """A copy of the file as a kill at this moment would leave it."""
    copy = database.with_name("left.db")
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


async def test_phases_that_a_failed_job_left_running_are_paused_by_the_next_engine(
    tmp_path: Path, database: Path
) -> None:
    """The other phases of a failed job finish their batches: a kill may fall in between."""
    folder = write_folder(tmp_path / "many", 40, words=10)
    chunker = HangingChunker("word39x")

    def fault(texts: Sequence[str]) -> None:
        raise ComponentUnavailable("the key was refused")

    embedder = CountingEmbedder(fault)
    embedder.close()
    async with PhaseFlow(database, chunker=chunker, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        assert await anyio.to_thread.run_sync(chunker.entered.wait, 60)
        embedder.gate.set()  # not before: a phase without anything in hand would be paused at once
        with fail_soon(10):
            failed = await job.wait()
        assert failed.phase_details[1].status is PhaseStatus.RUNNING
        copy = left_behind(database)
        chunker.release.set()
    async with PhaseFlow(copy, chunker=chunker, embedder=CountingEmbedder()) as flow:
        found = await flow.status("kb")
        assert found.status is JobStatus.FAILED
        assert found.phase_details[1].status is PhaseStatus.PAUSED
        await flow.retry("kb")
        with fail_soon(10):
            assert (await (await flow.job("kb")).wait()).status in {JobStatus.COMPLETED, JobStatus.FAILED}
        await until_completed(flow)
        assert (await flow.kb("kb")).documents == 40


async def test_the_time_in_which_no_process_lived_is_no_running_time(folder: Path, database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder)
        await embedder.until_called()
        copy = left_behind(database)
        embedder.gate.set()
    with closing(sqlite3.connect(copy)) as connection:
        for column in ("running_since", "updated_at"):  # an hour has gone by since
            connection.execute(
                f"UPDATE ingestion_phase_status SET {column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '-1 hour')"
            )
        connection.commit()
    async with PhaseFlow(copy, embedder=CountingEmbedder(), auto_resume=False) as flow:
        status = await flow.status("kb")
    assert status.status is JobStatus.PAUSED
    assert max(detail.active_seconds for detail in status.phase_details) < 60


async def test_one_changed_document_that_fails_is_not_every_document(folder: Path, database: Path) -> None:
    def fault(texts: Sequence[str]) -> None:
        if any("bad" in text for text in texts):
            raise DocumentError("cannot embed this")

    async with PhaseFlow(database, embedder=CountingEmbedder(fault)) as flow:
        assert await finished(flow, folder) is JobStatus.COMPLETED
        (folder / "doc011.md").write_text("bad")
        assert await finished(flow, folder) is JobStatus.COMPLETED


async def finished(flow: PhaseFlow, folder: Path) -> JobStatus:
    with fail_soon(10):
        return (await (await flow.start("kb", folder)).wait()).status


async def until_completed(flow: PhaseFlow) -> None:
    with fail_soon(10):
        while (await flow.status("kb")).status is not JobStatus.COMPLETED:
            await flow.tracker.feed.hint().wait()
