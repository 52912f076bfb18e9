"""A document that nobody wants any more has no failure, also when it fails after that."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import BudgetPolicy, FolderSource, JobStatus, PhaseFlow, Policies, RetryPolicy
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.domain.errors import DocumentError
from tests.engine.components import CountingEmbedder
from tests.engine.test_pushes import note, over
from tests.stopwatch import fail_soon


def _refuse(texts: Sequence[str]) -> None:
    raise DocumentError("told to fail", code="embed_error")


@pytest.mark.parametrize("verb", ["delete", "skip"])
async def test_a_document_that_fails_after_it_was_taken_out(database: Path, verb: str) -> None:
    embedder = CountingEmbedder(_refuse)
    policies = Policies(retry=RetryPolicy(tries=1))
    async with PhaseFlow(database, embedder=embedder, policies=policies) as flow:
        embedder.close()
        await flow.add("kb", [note("a")])
        with fail_soon(20):
            await embedder.until_called()
        await (flow.delete_document("kb", "a") if verb == "delete" else flow.skip_document("kb", "a"))
        embedder.gate.set()
        done = await over(flow)
        assert (done.phase_details[2].items_failed, done.metrics.documents_failed) == (0, 0)
        assert (await flow.failures("kb")).items == []
        counts = (await flow.kb("kb")).counts
        assert (counts.failed, counts.skipped) == (0, int(verb == "skip"))


class FailingLoader:
    """A source of a few documents, none of which can be read; from ``close`` on, whoever reads one waits."""

    def __init__(self) -> None:
        self.go_on, self.is_asked = anyio.Event(), anyio.Event()
        self.go_on.set()

    def close(self) -> None:
        self.go_on, self.is_asked = anyio.Event(), anyio.Event()

    async def list(self) -> AsyncIterator[list[Entry]]:
        yield [Entry(f"d{number}") for number in range(3)]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        self.is_asked.set()
        await self.go_on.wait()
        raise DocumentError("told to fail", code="load_error")


@pytest.mark.parametrize("verb", ["skip", "retry"])
async def test_a_failure_that_a_retry_of_the_job_has_given_back_is_taken_from_its_count_once(
    database: Path, verb: str
) -> None:
    loader = FailingLoader()
    policies = Policies(budget=BudgetPolicy(in_a_row=3))
    async with PhaseFlow(database, embedder=CountingEmbedder(), loader=loader, policies=policies) as flow:
        with fail_soon(20):
            job = await flow.start("kb", FolderSource("any"))
            assert (await job.wait()).metrics.documents_failed == 3
            loader.close()
            await flow.retry("kb")
            await loader.is_asked.wait()
            assert (await flow.status("kb")).metrics.documents_failed == 0
            await (flow.skip_document("kb", "d0") if verb == "skip" else flow.retry_document("kb", "d0"))
            assert (await flow.status("kb")).metrics.documents_failed == 0
            loader.go_on.set()
            final = await job.wait()
        # Those that fail again count against the budget as before: it is the same job.
        assert final.status is JobStatus.FAILED
        assert (final.metrics.documents_failed, (await flow.kb("kb")).counts.failed) == (2, 2)  # the third is queued
