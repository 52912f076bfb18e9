"""What one phase does while its rows are being stored."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import JobStatus, PhaseFlow
from phaseflow.actors.handoff import READ_DOCUMENTS
from phaseflow.store import failpoints
from tests.engine.components import CountingEmbedder, write_folder


@pytest.fixture(autouse=True)
def no_failpoint_is_left() -> Iterator[None]:
    yield
    failpoints.clear()


async def test_documents_are_cut_while_those_before_them_are_stored(tmp_path: Path, database: Path) -> None:
    cut, is_ahead, was_ahead = list[str](), threading.Event(), list[bool]()

    class Chunker:
        fingerprint = "whole"

        def spans(self, text: str, media_type: str) -> Sequence[tuple[int, int]]:
            cut.append(text)
            if len(cut) > READ_DOCUMENTS:
                is_ahead.set()
            return [(0, len(text))]

    def writing() -> None:
        if not was_ahead:
            was_ahead.append(is_ahead.wait(5))

    write_folder(tmp_path / "many", 2 * READ_DOCUMENTS + 1)
    failpoints.install("chunking.writing", writing)
    async with PhaseFlow(database, embedder=CountingEmbedder(), chunker=Chunker()) as flow:
        with anyio.fail_after(20):
            job = await flow.start("kb", tmp_path / "many", hold=["chunking"])
            await job.wait_until_idle()
            await flow.resume("kb")
            assert (await job.wait()).status is JobStatus.COMPLETED
    assert was_ahead == [True]
