"""A phase that fails while others have a batch in hand: nobody is told of a failed job with a phase that runs."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.supervisor import draining
from phaseflow.supervisor.draining import Draining
from tests.stopwatch import NEVER_S, fail_soon


class Waits:
    """Reads the first document at once, and keeps the second in hand until it is told."""

    in_flight = 2

    def __init__(self) -> None:
        self.told = anyio.Event()

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry("a"), Entry("b")]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        if entry.uri == "b":
            await self.told.wait()
        return Document(entry, f"Of {entry.uri}.", entry.uri, "text/plain", entry.uri.encode().ljust(16))


class Fails:
    """Cannot work at all."""

    fingerprint = "fails"

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise ImportError("no such library")


async def test_a_failure_is_told_with_its_neighbours_held(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has_failed, plain = anyio.Event(), Draining.until_drained

    async def until_drained(self: Draining) -> None:
        has_failed.set()
        await plain(self)

    monkeypatch.setattr(draining, "NEIGHBOURS_S", NEVER_S)
    monkeypatch.setattr(Draining, "until_drained", until_drained)
    loader = Waits()
    async with PhaseFlow(database, loader=loader, embedder=Fails()) as flow:
        job = await flow.start("kb", "https://pages.test/")
        with fail_soon(20):
            await has_failed.wait()
            assert (await job.status()).status == "running"  # until the document in hand is stored
            loader.told.set()
            failed = await job.wait()
        assert [phase.status for phase in failed.phase_details] == ["paused", "paused", "failed", "not_started"]


async def test_a_failure_does_not_wait_for_ever(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "NEIGHBOURS_S", 0.05)
    loader = Waits()
    async with PhaseFlow(database, loader=loader, embedder=Fails()) as flow:
        with fail_soon(20):
            failed = await (await flow.start("kb", "https://pages.test/")).wait()
        assert [phase.status for phase in failed.phase_details][::2] == ["running", "failed"]
        loader.told.set()
