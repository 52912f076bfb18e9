"""Components that end themselves: what they raise is their failure, never a cancellation of the engine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.contained import contained
from phaseflow.components.protocols import Document, Entry, Span
from phaseflow.domain.errors import ComponentError

RAISED = [asyncio.CancelledError, SystemExit, GeneratorExit]


class Vectors:
    """An embedder that raises what it is told."""

    fingerprint = "two numbers"

    def __init__(self, error: type[BaseException] | None) -> None:
        self.error = error

    async def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        if self.error is not None:
            raise self.error
        return [[1.0, 0.0] for _ in texts]


class Listing:
    """A loader that raises while it lists, or while it reads."""

    def __init__(self, error: type[BaseException], *, at_list: bool) -> None:
        self.error, self.at_list = error, at_list

    async def list(self) -> AsyncIterator[list[Entry]]:
        yield [Entry("a"), Entry("b")]
        if self.at_list:
            raise self.error

    async def load(self, entry: Entry, known: Any) -> Document:
        if entry.uri == "b" and not self.at_list:
            raise self.error
        return Document(entry, "words", entry.uri, "text/plain", entry.uri.encode().ljust(16, b"\0"))


class Cutting:
    fingerprint = "none"

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def spans(self, text: str, media_type: str) -> Sequence[Span]:
        raise self.error


async def ended(flow: PhaseFlow, source: FolderSource | None) -> Any:
    with anyio.fail_after(20):
        return await (await flow.start("kb", source)).wait()


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nWords.\n")
    return FolderSource(str(tmp_path / "docs"))


@pytest.mark.parametrize("error", RAISED)
async def test_an_embedder_that_ends_itself_fails_the_job(
    tmp_path: Path, source: FolderSource, error: type[BaseException]
) -> None:
    async with PhaseFlow(tmp_path / "kb.db", embedder=Vectors(error)) as flow:
        final = await ended(flow, source)
    assert final.status == "failed"
    assert error.__name__ in final.error


@pytest.mark.parametrize("error", RAISED)
@pytest.mark.parametrize("at_list", [True, False])
async def test_a_loader_that_ends_itself_fails_what_it_was_at(
    tmp_path: Path, error: type[BaseException], at_list: bool
) -> None:
    loader = Listing(error, at_list=at_list)
    async with PhaseFlow(tmp_path / "kb.db", loader=loader, embedder=Vectors(None)) as flow:
        final = await ended(flow, FolderSource("."))
        failed = await flow.failures("kb")
    if at_list:
        assert final.status == "failed"
        assert error.__name__ in final.error
    else:
        assert (final.status, [one.uri for one in failed.items]) == ("completed", ["b"])


@pytest.mark.parametrize("error", RAISED)
async def test_a_chunker_that_ends_itself_fails_the_document(
    tmp_path: Path, source: FolderSource, error: type[BaseException]
) -> None:
    async with PhaseFlow(tmp_path / "kb.db", chunker=Cutting(error), embedder=Vectors(None)) as flow:
        await ended(flow, source)
        assert [one.uri for one in (await flow.failures("kb")).items] == ["a.md"]


@pytest.mark.parametrize("error", RAISED)
async def test_a_query_that_cannot_be_embedded_is_answered_by_words(
    tmp_path: Path, source: FolderSource, error: type[BaseException]
) -> None:
    embedder = Vectors(None)
    async with PhaseFlow(tmp_path / "kb.db", embedder=embedder) as flow:
        assert (await ended(flow, source)).status == "completed"
        embedder.error = error
        found = await flow.search("kb", "words")
    assert [hit.uri for hit in found] == ["a.md"]
    assert error.__name__ in str(found.degraded)


async def test_a_cancellation_of_the_engine_passes() -> None:
    with anyio.move_on_after(0.01) as scope:
        await contained(anyio.sleep_forever(), "it")
    assert scope.cancelled_caught
    task = asyncio.ensure_future(contained(anyio.sleep_forever(), "it"))
    await anyio.lowlevel.checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_somebody_cancelled_is_a_failure_of_who_waits_for_it() -> None:
    inner = asyncio.ensure_future(anyio.sleep_forever())

    async def component() -> None:
        inner.cancel()
        await inner

    with pytest.raises(ComponentError, match="it raised CancelledError"):
        await contained(component(), "it")
