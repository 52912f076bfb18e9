"""Documents that are known to fail, and the error budget of the phase."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from phaseflow import JobStatus, PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.policy import BudgetPolicy
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import finished

BROKEN = BudgetPolicy().in_a_row + 3
GOOD = 100


class Broken:
    """A loader in which some documents are broken for good, spread among the others."""

    def __init__(self) -> None:
        self.good = [f"good-{n:03}" for n in range(GOOD)]
        self.uris = sorted([*self.good, *(f"good-{n:03}-broken" for n in range(0, 8 * BROKEN, 8))])

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(uri) for uri in self.uris]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        if entry.uri.endswith("broken"):
            raise DocumentError("it cannot be read")
        return Document(entry, f"What stands in {entry.uri}.", entry.uri, "text/plain", entry.uri.encode()[:16])


@pytest.fixture
async def flow(database: Path) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(database, loader=Broken(), embedder=CountingEmbedder()) as flow:
        yield flow


async def test_documents_that_are_still_broken_do_not_fail_the_job_that_tries_them_again(flow: PhaseFlow) -> None:
    first = await finished(await flow.start("kb"))
    assert (first.status, first.metrics.documents_failed) == (JobStatus.COMPLETED, BROKEN)
    for failure in (await flow.failures("kb")).items:
        await flow.retry_document("kb", failure.uri)
    again = await finished(await flow.start("kb"))
    assert (again.status, again.error) == (JobStatus.COMPLETED, None)
    assert again.metrics.documents_failed == BROKEN
    assert all(failure.attempts > 1 for failure in (await flow.failures("kb")).items)


async def test_a_source_of_which_nothing_can_be_read_fails_its_job_again(database: Path) -> None:
    loader = Broken()
    loader.uris = [uri for uri in loader.uris if uri.endswith("broken")][:-1]
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb")
        assert "10 documents in a row failed" in str((await finished(job)).error)
        await flow.retry("kb")
        assert "10 documents in a row failed" in str((await finished(job)).error), "what failed in this job counts"


class Moody:
    """A chunker that is out of order for a while."""

    fingerprint = "moody"

    def __init__(self) -> None:
        self.is_broken = True

    def spans(self, text: str, media_type: str) -> Sequence[tuple[int, int]]:
        if self.is_broken:
            raise ValueError("out of order")
        return [(0, len(text))]


async def test_what_failed_in_chunking_is_given_back_by_a_retry_and_counts_as_failed_no_more(database: Path) -> None:
    loader, chunker = Broken(), Moody()
    loader.uris = loader.good[:20]
    async with PhaseFlow(database, loader=loader, chunker=chunker, embedder=CountingEmbedder()) as flow:
        failed = await finished(await flow.start("kb"))
        assert (failed.status, failed.phase_details[1].status) == (JobStatus.FAILED, "failed")
        assert failed.phase_details[1].items_failed > 0
        chunker.is_broken = False
        await flow.retry("kb")
        done = await finished(await flow.job("kb"))
    assert (done.status, done.phase_details[1].items_failed, done.metrics.documents_failed) == ("completed", 0, 0)
    assert done.phase_details[1].items_processed == 20
