"""Pushed documents that all fail at the program's chunker or embedder: the job fails, as one that lists a source."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phaseflow import FolderSource, NewDocument, PhaseFlow
from phaseflow.components.protocols import Span
from phaseflow.domain.status import JobStatusResponse
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon

EVERY = "every document failed; the last one: "


class Broken:
    """A chunker and an embedder of which one raises, but for texts with a word that it takes."""

    fingerprint = "broken"
    batch_size = 4

    def __init__(self, place: str) -> None:
        self.place, self.tried = place, list[str]()

    def at(self, place: str, text: str) -> None:
        if place == self.place:
            self.tried.append(text)
            if "good" not in text:
                raise ValueError("broken")

    def spans(self, text: str, media_type: str) -> Sequence[Span]:
        self.at("chunking", text)
        return [Span(0, len(text))]

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        for text in texts:
            self.at("embedding", text)
        return [[1.0, 0.0] for _ in texts]


@pytest.fixture(params=first_of_each(["chunking", "embedding"]))
def broken(request: Any) -> Broken:
    return Broken(request.param)


@pytest.fixture
async def flow(tmp_path: Path, broken: Broken) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(tmp_path / "kb.db", chunker=broken, embedder=broken) as flow:
        yield flow


def texts(*names: str) -> list[NewDocument]:
    return [NewDocument(uri=name, text=f"The text {name}.") for name in names]


async def over(flow: PhaseFlow) -> JobStatusResponse:
    with fail_soon(20):
        return await (await flow.job("kb")).wait()


@pytest.mark.parametrize("broken", ["chunking", "embedding"], indirect=True)
async def test_a_job_of_pushes_fails_as_one_of_a_folder_does(flow: PhaseFlow, broken: Broken, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in "abc":
        (tmp_path / "docs" / f"{name}.txt").write_text(f"The text {name}.")
    with fail_soon(20):
        listed = await (await flow.start("folder", FolderSource(str(tmp_path / "docs")))).wait()
    await flow.add("kb", texts("a", "b", "c"))
    pushed = await over(flow)
    for final in (listed, pushed):
        assert (final.status, final.metrics.documents_failed) == ("failed", 3)
        assert str(final.error).startswith(EVERY)
        assert next(phase.name for phase in final.phase_details if phase.status == "failed") == broken.place


async def test_one_document_that_fails_alone_fails_no_job(flow: PhaseFlow) -> None:
    await flow.add("kb", texts("a"))
    final = await over(flow)
    assert (final.status, final.error, final.metrics.documents_failed) == ("completed", None, 1)


async def test_one_that_passes_beside_them_is_enough(flow: PhaseFlow) -> None:
    await flow.add("kb", texts("a", "b", "good"))
    final = await over(flow)
    assert (final.status, final.metrics.documents_failed) == ("completed", 2)


async def test_what_is_pushed_after_that_is_taken_by_a_new_job_that_tries_nothing_else(
    flow: PhaseFlow, broken: Broken
) -> None:
    await flow.add("kb", texts("a", "b"))
    failed = await over(flow)
    assert failed.status == "failed"
    broken.tried.clear()
    await flow.add("kb", texts("good"))
    final = await over(flow)
    assert (final.status, final.job_id != failed.job_id) == ("completed", True)
    assert (len(broken.tried), "good" in broken.tried[0]) == (1, True)
    assert [one.uri for one in (await flow.failures("kb")).items] == ["a", "b"]


async def test_it_can_be_retried_once_the_cause_is_mended(flow: PhaseFlow, broken: Broken) -> None:
    await flow.add("kb", texts("a", "b"))
    assert (await over(flow)).status == "failed"
    broken.place = "nowhere"
    await flow.retry("kb")
    final = await over(flow)
    assert (final.status, final.metrics.documents_failed) == ("completed", 0)
