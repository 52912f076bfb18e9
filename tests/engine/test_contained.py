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
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon


class Panic(BaseException):
    """As the panics of libraries in Rust: no Exception."""


RAISED = [asyncio.CancelledError, SystemExit, GeneratorExit, Panic]


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
    with fail_soon(20):
        return await (await flow.start("kb", source)).wait()


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nWords.\n")
    return FolderSource(str(tmp_path / "docs"))


@pytest.mark.parametrize("error", first_of_each(RAISED))
async def test_an_embedder_that_ends_itself_fails_the_job(
    tmp_path: Path, source: FolderSource, error: type[BaseException]
) -> None:
    async with PhaseFlow(tmp_path / "kb.db", embedder=Vectors(error)) as flow:
        final = await ended(flow, source)
    assert final.status == "failed"
    assert error.__name__ in final.error


@pytest.mark.parametrize("error", first_of_each(RAISED))
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


@pytest.mark.parametrize("error", first_of_each(RAISED))
async def test_a_chunker_that_ends_itself_fails_the_document(
    tmp_path: Path, source: FolderSource, error: type[BaseException]
) -> None:
    async with PhaseFlow(tmp_path / "kb.db", chunker=Cutting(error), embedder=Vectors(None)) as flow:
        await ended(flow, source)
        assert [one.uri for one in (await flow.failures("kb")).items] == ["a.md"]


@pytest.mark.parametrize("error", first_of_each(RAISED))
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


class Watchdog:
    """Cancels the task that it is called in: at once, or so many seconds later."""

    def __init__(self, after_s: float | None, times: int = 1) -> None:
        self.after_s, self.left = after_s, times

    async def bite(self) -> None:
        task, self.left = asyncio.current_task(), self.left - 1
        if task is None or self.left < 0:
            return
        if self.after_s is None:
            task.cancel()
            await asyncio.sleep(0)
        else:
            asyncio.get_running_loop().call_later(self.after_s, task.cancel)


class Watched(Vectors):
    """An embedder with a watchdog, once."""

    in_flight = 1
    batch_size = 1

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__(None)
        self.watchdog = watchdog

    async def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        await self.watchdog.bite()
        await anyio.sleep(0.005)
        return await super().embed_documents(texts)


class WatchedListing(Listing):
    """A loader with a watchdog, once."""

    def __init__(self, watchdog: Watchdog, *, at_list: bool) -> None:
        super().__init__(KeyError, at_list=at_list)
        self.watchdog = watchdog

    async def list(self) -> AsyncIterator[list[Entry]]:
        yield [Entry("a")]
        if self.at_list:
            await self.watchdog.bite()
        yield [Entry("b"), Entry("c")]

    async def load(self, entry: Entry, known: Any) -> Document:
        if entry.uri == "b" and not self.at_list:
            await self.watchdog.bite()
            await anyio.sleep(0.005)
        return Document(entry, f"words of {entry.uri}", entry.uri, "text/plain", entry.uri.encode().ljust(16, b"\0"))


AFTER_S = [None, 0, 0.001, 0.003]


@pytest.mark.parametrize(
    ("at", "after_s"),
    first_of_each([(at, after_s) for after_s in AFTER_S for at in ("list", "load", "embed")], lambda case: case[0]),
)
async def test_who_cancels_the_task_that_it_is_called_in_completes_no_job_with_documents_undone(
    tmp_path: Path, at: str, after_s: float | None
) -> None:
    watchdog, calm = Watchdog(after_s), Watchdog(None, times=0)
    loader = WatchedListing(calm if at == "embed" else watchdog, at_list=at == "list")
    async with PhaseFlow(
        tmp_path / "kb.db", loader=loader, embedder=Watched(watchdog if at == "embed" else calm)
    ) as flow:
        final = await ended(flow, None)
        if final.status == "failed":
            assert "cancelled the task that called it" in str(final.error)
            await flow.retry("kb")
            with fail_soon(20):
                final = await (await flow.job("kb")).wait()
        assert final.status == "completed"
        assert watchdog.left <= 0  # it has bitten
        assert [each.status for each in (await flow.documents("kb")).items] == ["indexed"] * 3


async def test_a_page_that_is_none_fails_the_list_and_removes_nothing(tmp_path: Path) -> None:
    listing = WatchedListing(Watchdog(None, times=0), at_list=False)
    async with PhaseFlow(tmp_path / "kb.db", loader=listing, embedder=Vectors(None)) as flow:
        assert (await ended(flow, None)).status == "completed"

        async def broken() -> AsyncIterator[Any]:
            yield [Entry("a")]
            yield None
            yield [Entry("b"), Entry("c")]

        listing.list = broken  # type: ignore[method-assign]  # a mistake of the program
        final = await ended(flow, None)
        assert (final.status, "yielded" in str(final.error)) == ("failed", True)
        assert len((await flow.documents("kb")).items) == 3


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


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, Panic])
async def test_a_plain_embedder_that_ends_itself_rejects_the_text(
    tmp_path: Path, source: FolderSource, error: type[BaseException]
) -> None:
    class Plain(Vectors):
        def embed_documents(self, texts: Sequence[str]) -> Any:
            if any("worse" in text for text in texts):
                raise error
            return [[1.0, 0.0] for _ in texts]

    (Path(source.path) / "b.md").write_text("# B\n\nIt is worse.\n")
    async with PhaseFlow(tmp_path / "kb.db", embedder=Plain(None)) as flow:
        assert (await ended(flow, source)).status == "completed"
        assert [one.uri for one in (await flow.failures("kb")).items] == ["b.md"]


async def test_a_group_that_ends_more_than_itself_is_a_failure_and_one_with_ctrl_c_is_not() -> None:
    async def component(error: type[BaseException]) -> None:
        raise BaseExceptionGroup("of a task group", [ValueError("wrong"), error()])

    with pytest.raises(ComponentError, match="it raised BaseExceptionGroup: of a task group"):
        await contained(component(SystemExit), "it")
    with pytest.raises(BaseExceptionGroup):
        await contained(component(KeyboardInterrupt), "it")


class Unlistable(Listing):
    """A loader that fails before its first page, or after its last."""

    def list(self) -> Any:
        if self.at_list:
            raise self.error
        return self.pages()

    async def pages(self) -> AsyncIterator[Any]:
        try:
            yield [Entry("a")]
            yield [Entry("b")]
        finally:
            raise self.error


@pytest.mark.parametrize("at_list", [True, False])
async def test_a_list_that_ends_itself_as_it_begins_or_is_closed_fails_the_job(tmp_path: Path, at_list: bool) -> None:
    loader = Unlistable(Panic, at_list=at_list)
    async with PhaseFlow(tmp_path / "kb.db", loader=loader, embedder=Vectors(None)) as flow:
        final = await ended(flow, None)
    assert (final.status, "raised Panic" in str(final.error)) == ("failed", True)
