"""While nothing moves because a component does not answer, the status says so; and no longer once it does."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest

from phaseflow import PhaseFlow, Reader
from phaseflow.actors import calls_in_hand
from phaseflow.actors.calls_in_hand import CallsInHand
from phaseflow.components.indexes import IndexDocument, Space
from phaseflow.components.protocols import Document, Entry, Known, Span
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import WaitingOn
from phaseflow.flow.job import Job
from tests.engine.components import CountingEmbedder
from tests.indexes.file_index import FileIndex
from tests.stopwatch import fail_soon


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_in_hand, "SHOWN_AFTER_S", 0.05)
    monkeypatch.setattr(calls_in_hand, "_LOOK_S", 0.01)


class Until:
    """Where a component hangs until it is let go, in a thread or in the loop."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._of_threads, self._of_loop = Event(), anyio.Event()

    def let_go(self) -> None:
        self._of_threads.set()
        self._of_loop.set()

    async def at(self, where: str) -> None:
        if where == self._where:
            await self._of_loop.wait()

    def in_thread_at(self, where: str) -> None:
        if where == self._where:
            self._of_threads.wait()


class Loader:
    def __init__(self, until: Until) -> None:
        self._until = until

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        await self._until.at("list")
        yield [Entry("a")]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        await self._until.at("load")
        return Document(entry, "all about a", "A", "text/plain", b"1")


class Chunker:
    fingerprint = "until"

    def __init__(self, until: Until) -> None:
        self._until = until

    def spans(self, text: str, media_type: str) -> list[Span]:
        self._until.in_thread_at("chunk")
        return [Span(0, len(text))]


class Embedder(CountingEmbedder):
    def __init__(self, until: Until) -> None:
        super().__init__()
        self._until = until

    async def embed_documents(self, texts: list[str]) -> Any:
        await self._until.at("embed")
        return await super().embed_documents(texts)


class Index(FileIndex):
    def __init__(self, path: Path, until: Until) -> None:
        super().__init__(path)
        self._until = until

    async def create(self, space: Space) -> None:
        await self._until.at("create")
        await super().create(space)

    async def put(self, space: Space, documents: Sequence[IndexDocument]) -> None:
        await self._until.at("put")
        await super().put(space, documents)

    async def remove(self, space: Space, document_ids: Sequence[int]) -> None:
        await self._until.at("remove")
        await super().remove(space, document_ids)

    async def ready(self, space: Space) -> None:
        await self._until.at("ready")
        await super().ready(space)


async def _shown(job: Job, found: Callable[[JobStatusResponse], bool]) -> JobStatusResponse:
    with fail_soon(5):
        async for status in job.watch():
            if found(status):
                return status
    raise AssertionError("the engine has stopped")


def _waits_in(status: JobStatusResponse, place: int) -> bool:
    return status.waiting_on is status.phase_details[place].waiting_on is WaitingOn.COMPONENT


CALLS = {"list": 0, "load": 0, "chunk": 1, "embed": 2, "create": 3, "put": 3}


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_hangs_is_what_the_job_waits_on(tmp_path: Path, call: str) -> None:
    until = Until(call)
    parts: dict[str, Any] = {"loader": Loader(until), "chunker": Chunker(until), "embedder": Embedder(until)}
    async with PhaseFlow(tmp_path / "kb.db", index=Index(tmp_path / "index.db", until), **parts) as flow:
        job = await flow.start("kb")
        # Of this phase: on a busy machine a call of an earlier one may have taken long, too, and was waited for.
        status = await _shown(job, lambda status: _waits_in(status, CALLS[call]))
        assert (status.status, status.phase_details[CALLS[call]].status) == ("running", "running")
        assert ": still reading a" in status.message or "waiting for a component to answer" in status.message
        async with Reader(tmp_path / "kb.db") as reader:  # whoever looks from beside sees the same
            assert (await reader.status("kb")).waiting_on is WaitingOn.COMPONENT
        until.let_go()
        with fail_soon(10):
            final = await job.wait()
        assert (final.status, final.waiting_on) == ("completed", None)


async def test_a_pause_of_what_hangs_is_no_wait_for_a_component_any_more(tmp_path: Path) -> None:
    until = Until("embed")
    async with PhaseFlow(tmp_path / "kb.db", loader=Loader(until), embedder=Embedder(until)) as flow:
        job = await flow.start("kb")
        await _shown(job, lambda status: status.waiting_on is WaitingOn.COMPONENT)
        await flow.pause("kb")
        until.let_go()
        status = await _shown(job, lambda status: status.status == "paused")
        assert status.waiting_on is WaitingOn.PAUSE
        assert {phase.waiting_on for phase in status.phase_details} <= {WaitingOn.PAUSE, WaitingOn.UPSTREAM, None}


async def test_a_cancel_of_what_hangs_leaves_nothing_behind(tmp_path: Path) -> None:
    until = Until("load")
    async with PhaseFlow(tmp_path / "kb.db", loader=Loader(until), embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb")
        await _shown(job, lambda status: status.waiting_on is WaitingOn.COMPONENT)
        assert (await flow.cancel("kb")).status == "cancelled"
        assert (await job.status()).waiting_on is None


async def test_calls_are_still_when_none_has_begun_or_ended_for_long() -> None:
    calls = CallsInHand()
    assert not calls.are_still()
    with calls.on():
        assert not calls.are_still()
        with fail_soon(5):
            await calls.until_still()
        with calls.on():
            assert not calls.are_still()
        with fail_soon(5):
            await calls.until_still()
    assert not calls.are_still()


async def test_whoever_waits_for_a_change_hears_of_the_next() -> None:
    calls = CallsInHand()
    async with anyio.create_task_group() as tasks:
        with calls.on():
            with fail_soon(5):
                await calls.until_still()
            tasks.start_soon(calls.until_changed)
            await anyio.wait_all_tasks_blocked()
