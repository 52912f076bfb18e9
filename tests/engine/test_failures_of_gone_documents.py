"""A document that nobody wants any more has no failure, also when it fails after that."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import PhaseFlow, Policies, RetryPolicy
from phaseflow.domain.errors import DocumentError
from tests.engine.components import CountingEmbedder
from tests.engine.test_pushes import note, over


def _refuse(texts: Sequence[str]) -> None:
    raise DocumentError("told to fail", code="embed_error")


@pytest.mark.parametrize("verb", ["delete", "skip"])
async def test_a_document_that_fails_after_it_was_taken_out(database: Path, verb: str) -> None:
    embedder = CountingEmbedder(_refuse)
    policies = Policies(retry=RetryPolicy(tries=1))
    async with PhaseFlow(database, embedder=embedder, policies=policies) as flow:
        embedder.close()
        await flow.add("kb", [note("a")])
        with anyio.fail_after(20):
            await embedder.until_called()
        await (flow.delete_document("kb", "a") if verb == "delete" else flow.skip_document("kb", "a"))
        embedder.gate.set()
        done = await over(flow)
        assert (done.phase_details[2].items_failed, done.metrics.documents_failed) == (0, 0)
        assert (await flow.failures("kb")).items == []
        counts = (await flow.kb("kb")).counts
        assert (counts.failed, counts.skipped) == (0, int(verb == "skip"))
