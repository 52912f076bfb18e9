"""What one phase hands to the next: rows and hints; nothing lost, nothing twice, nobody held up."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import create_task_group
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseflow.actors.handoff import BUFFER, READ_DOCUMENTS, Handoff
from phaseflow.store.documents import StagedDocument, StagedDocuments
from phaseflow.store.loaded_text import LoadedText
from phaseflow.store.progress import Attempt
from phaseflow.store.session import open_session
from phaseflow.store.states import DocumentState
from tests.stopwatch import fail_soon
from tests.store.stock import NOW, Stock, stock


@pytest.fixture
async def made(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Stock]:
    async with open_session(tmp_path / "kb.db") as database:
        yield await stock(database)


@contextmanager
def channel(made: Stock, run: int = 2) -> Iterator[Handoff]:
    """Both ends, closed at the end of the block at the latest."""
    handoff = Handoff(made.database, Attempt("job", made.seq, "kb", run), DocumentState.LOADED)
    try:
        yield handoff
    finally:
        handoff.receiver.close()
        handoff.sender.close(complete=handoff.sender.is_complete)


async def left_by_an_earlier_run(made: Stock, *uris: str, text: str = "text") -> None:
    with channel(made) as earlier:
        await send(made, earlier, *uris, text=text)


@pytest.fixture
def handoff(made: Stock) -> Iterator[Handoff]:
    with channel(made) as opened:
        yield opened


async def send(made: Stock, handoff: Handoff, *uris: str, text: str = "text") -> list[StagedDocument]:
    """As an actor does it: commit, then offer."""
    loaded = [LoadedText(0, uri, uri, "text/plain", "00", None, text) for uri in uris]
    return await made.database.write(
        lambda tx: StagedDocuments(tx).add(made.target, loaded, NOW), then=handoff.sender.offer
    )


async def rest(handoff: Handoff, idle: int = 0) -> list[str]:
    """All uris that still come, until the end."""
    seen: list[str] = []
    while batch := await handoff.receiver.next():
        seen += [document.uri for document in batch]
        for _ in range(idle):
            await checkpoint()
    return seen


def uris(batch: Sequence[StagedDocument]) -> list[str]:
    return [document.uri for document in batch]


async def taken_while_waiting(made: Stock, handoff: Handoff, uri: str) -> list[str]:
    """What a receiver gets that had read all there was, and was already waiting when ``uri`` was sent."""
    taken: list[str] = []

    async def take() -> None:
        taken.extend(uris(await handoff.receiver.next()))

    async with create_task_group() as tasks:
        tasks.start_soon(take)
        while handoff.receiver.has_more:
            await checkpoint()
        await send(made, handoff, uri)
    return taken


async def test_a_batch_comes_from_memory_when_the_cursor_fits(made: Stock, handoff: Handoff) -> None:
    taken: list[Sequence[StagedDocument]] = []

    async def take() -> None:
        taken.append(await handoff.receiver.next())

    with fail_soon(5):
        async with create_task_group() as tasks:
            tasks.start_soon(take)
            while handoff.receiver.has_more:
                await checkpoint()
            await checkpoint()
            sent = await send(made, handoff, "first")
    assert taken[0] is sent


async def test_a_full_channel_holds_nobody_up_and_the_store_has_the_rest(made: Stock, handoff: Handoff) -> None:
    names = [f"{n:03}" for n in range(3 * BUFFER)]
    with fail_soon(5):
        for name in names:
            await send(made, handoff, name)
    handoff.sender.close(complete=True)
    assert await rest(handoff) == names


async def test_what_an_earlier_run_left_comes_first(made: Stock) -> None:
    await left_by_an_earlier_run(made, "old", "older")
    with channel(made) as handoff:
        await send(made, handoff, "new")
        handoff.sender.close(complete=True)
        assert await rest(handoff) == ["old", "older", "new"]


async def test_a_hint_that_found_the_channel_full_is_not_waited_for(made: Stock, handoff: Handoff) -> None:
    """The receiver is level with the sender, then takes every hint there was, and none will follow."""
    with fail_soon(5):
        assert await taken_while_waiting(made, handoff, "0") == ["0"]
    assert not handoff.receiver.has_more, "from here on it goes by hints, not by the store"
    for n in range(1, BUFFER + 3):
        await send(made, handoff, str(n))
    seen: list[str] = []
    with fail_soon(5):
        while len(seen) < BUFFER + 2:
            seen += uris(await handoff.receiver.next())
    assert seen == [str(n) for n in range(1, BUFFER + 3)]


async def test_a_channel_holds_a_bounded_number_of_characters(
    made: Stock, handoff: Handoff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.actors.handoff.MOST_CHARACTERS", 10)
    with fail_soon(5):
        assert await taken_while_waiting(made, handoff, "first") == ["first"]
        sent = [await send(made, handoff, str(n), text="characters") for n in range(BUFFER)]
        handoff.sender.close(complete=True)
        taken = list[Sequence[StagedDocument]]()
        while batch := await handoff.receiver.next():
            taken.append(batch)
    assert [name for batch in taken for name in uris(batch)] == [str(n) for n in range(BUFFER)]
    assert [batch for batch in taken if any(batch is each for each in sent)] == sent[:1]


async def test_reading_from_the_store_is_bounded(made: Stock) -> None:
    names = [f"{n:03}" for n in range(2 * READ_DOCUMENTS + 5)]
    await left_by_an_earlier_run(made, *names)
    with channel(made) as handoff:
        handoff.sender.close(complete=True)
        sizes, seen = [], []
        while batch := await handoff.receiver.next():
            sizes.append(len(batch))
            seen += uris(batch)
        assert sizes == [READ_DOCUMENTS, READ_DOCUMENTS, 5]
        assert seen == names


async def test_a_large_text_comes_alone(made: Stock) -> None:
    await left_by_an_earlier_run(made, "a", "b", text="x" * 1_200_000)
    with channel(made) as handoff:
        assert uris(await handoff.receiver.next()) == ["a"]
        assert uris(await handoff.receiver.next()) == ["b"]


async def test_a_sender_that_failed_leaves_the_receiver_incomplete(made: Stock, handoff: Handoff) -> None:
    await send(made, handoff, "half")
    handoff.sender.close(complete=False)
    with fail_soon(5):
        assert await rest(handoff) == ["half"]
    assert not handoff.receiver.is_complete


async def test_a_receiver_that_is_gone_holds_up_no_sender(made: Stock, handoff: Handoff) -> None:
    handoff.receiver.close()
    with fail_soon(5):
        await send(made, handoff, "a")
        await send(made, handoff, "b")
    handoff.sender.close(complete=True)


async def test_an_end_without_any_document_is_an_end(made: Stock, handoff: Handoff) -> None:
    async with create_task_group() as tasks:
        with fail_soon(5):
            tasks.start_soon(_close_soon, handoff)
            assert await handoff.receiver.next() == []
    assert handoff.receiver.is_complete


async def _close_soon(handoff: Handoff) -> None:
    for _ in range(10):
        await checkpoint()
    handoff.sender.close(complete=True)


async def test_a_receiver_that_is_cancelled_at_any_moment_loses_nothing(made: Stock, handoff: Handoff) -> None:
    names = [str(n) for n in range(40)]
    seen: list[str] = []

    async def sender() -> None:
        for name in names:
            await send(made, handoff, name)
        handoff.sender.close(complete=True)

    async def cancel(scope: anyio.CancelScope, turns: int) -> None:
        for _ in range(turns):
            await checkpoint()
        scope.cancel()

    turns, cancelled = 0, 0
    with fail_soon(20):
        async with create_task_group() as tasks:
            tasks.start_soon(sender)
            while len(seen) < len(names):
                async with create_task_group() as attempt:
                    attempt.start_soon(cancel, attempt.cancel_scope, turns)
                    turns, cancelled = 2 * turns + 1, cancelled + 1  # on any machine, one attempt is long enough
                    seen += uris(await handoff.receiver.next())
                    turns, cancelled = 0, cancelled - 1
                    attempt.cancel_scope.cancel()
    assert seen == names
    assert cancelled


@given(batches=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), max_size=30), idle=st.integers(0, 40))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_however_fast_either_is_every_document_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[int, int]], idle: int
) -> None:
    async with open_session(tmp_path_factory.mktemp("handoff") / "kb.db") as database:
        made = await stock(database)
        names = [[f"{n}.{m}" for m in range(size)] for n, (size, _) in enumerate(batches)]
        got: list[str] = []
        with channel(made) as handoff, fail_soon(20):
            async with create_task_group() as tasks:
                tasks.start_soon(_receive, handoff, idle, got)
                for batch, (_, pause) in zip(names, batches, strict=True):
                    await send(made, handoff, *batch)
                    for _ in range(pause):
                        await checkpoint()
                handoff.sender.close(complete=True)
        assert got == [name for batch in names for name in batch]


async def _receive(handoff: Handoff, idle: int, got: list[str]) -> None:
    got.extend(await rest(handoff, idle))


async def test_what_is_taken_out_amid_a_read_makes_old_what_is_read_and_nothing_later(
    made: Stock, handoff: Handoff, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left_by_an_earlier_run(made, "a", "b")
    receiver = handoff.receiver
    plain = made.database.read_long

    async def told_amid(read: Any) -> Any:
        receiver.note_taken_out()
        return await plain(read)

    with monkeypatch.context() as patched:
        patched.setattr(made.database, "read_long", told_amid)
        first = await receiver.next()
    assert [receiver.is_old(document) for document in first] == [True, True]
    await send(made, handoff, "c")
    later = await receiver.next()
    assert [receiver.is_old(document) for document in later] == [False]
    await send(made, handoff, "d")
    receiver.note_taken_out()
    assert [receiver.is_old(document) for document in await receiver.next()] == [True]


async def test_a_first_run_that_keeps_up_never_reads_the_store(made: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> Any:
        raise AssertionError("all of it was handed over")

    monkeypatch.setattr(made.database, "read_long", refuse)
    with channel(made, run=1) as handoff, fail_soon(5):
        for name in ("a", "b"):
            await send(made, handoff, name)
            assert uris(await handoff.receiver.next()) == [name]
        handoff.sender.close(complete=True)
        assert await rest(handoff) == []


async def test_what_was_stored_behind_all_that_was_handed_over_is_found_when_it_is_looked_for(made: Stock) -> None:
    with channel(made, run=1) as handoff, fail_soon(5):
        handoff.sender.close(complete=True)
        assert await rest(handoff) == []
        await left_by_an_earlier_run(made, "carried")
        handoff.receiver.look_again()
        assert await rest(handoff) == ["carried"]
