"""How much of a source's documents is in memory at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from phaseflow.actors.byte_budget import ByteBudget
from tests.stopwatch import fail_soon


@asynccontextmanager
async def room(budget: ByteBudget, size: int | None) -> AsyncIterator[None]:
    await budget.take(size)
    try:
        yield
    finally:
        budget.give_back(size)


async def test_documents_come_in_as_long_as_there_is_room_and_in_their_order() -> None:
    budget, inside, ends = ByteBudget(10), list[str](), {name: anyio.Event() for name in "abcd"}

    async def hold(name: str, size: int | None) -> None:
        async with room(budget, size):
            inside.append(name)
            await ends[name].wait()
        inside.remove(name)

    async with anyio.create_task_group() as tasks:
        for name, size in (("a", 6), ("b", 5), ("c", 1), ("d", 1000)):
            tasks.start_soon(hold, name, size)
            await anyio.wait_all_tasks_blocked()
        assert inside == ["a"], "the small one does not overtake, or the large one would never come"
        ends["a"].set()
        await anyio.wait_all_tasks_blocked()
        assert inside == ["b", "c"]
        ends["b"].set()
        ends["c"].set()
        await anyio.wait_all_tasks_blocked()
        assert inside == ["d"], "larger than all there is: alone"
        ends["d"].set()
    assert budget._used == 0


async def test_an_unknown_size_is_not_held_up() -> None:
    budget = ByteBudget(10)
    with fail_soon(5):
        async with room(budget, 10), room(budget, None), room(budget, 0):
            pass


async def test_who_is_cancelled_in_the_line_takes_no_room_with_it() -> None:
    budget = ByteBudget(10)

    async def hold() -> None:
        async with room(budget, 8):
            raise AssertionError("there is no room")

    async with room(budget, 5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        with fail_soon(5):
            async with room(budget, 5):
                pass
    with fail_soon(5):
        async with room(budget, 10):
            pass


async def test_who_is_cancelled_in_the_line_is_in_nobody_s_way() -> None:
    budget, inside = ByteBudget(10), list[str]()

    async def hold(name: str, size: int) -> None:
        async with room(budget, size):
            inside.append(name)

    async with room(budget, 5):
        async with anyio.create_task_group() as tasks, anyio.create_task_group() as large:
            large.start_soon(hold, "large", 8)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(hold, "small", 5)
            await anyio.wait_all_tasks_blocked()
            assert (inside, budget.has_line) == ([], True)
            large.cancel_scope.cancel()
        assert (inside, budget.has_line) == (["small"], False)


async def test_who_is_let_in_and_cancelled_before_he_comes_gives_his_room_back() -> None:
    budget = ByteBudget(10)

    async def hold() -> None:
        async with room(budget, 8):
            raise AssertionError("cancelled before")

    async with room(budget, 5):
        waiting = asyncio.ensure_future(hold())  # anyio cancels nobody who has what he waits for; asyncio does
        await anyio.wait_all_tasks_blocked()
    assert not budget.has_line, "let in"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with fail_soon(5):
        async with room(budget, 10):
            pass
