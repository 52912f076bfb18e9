"""How much of a source's documents is in memory at once."""

import anyio

from phaseflow.actors.byte_budget import ByteBudget


async def test_documents_come_in_as_long_as_there_is_room_and_in_their_order() -> None:
    budget, inside, ends = ByteBudget(10), list[str](), {name: anyio.Event() for name in "abcd"}

    async def hold(name: str, size: int | None) -> None:
        async with budget.room(size):
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
    with anyio.fail_after(5):
        async with budget.room(10), budget.room(None), budget.room(0):
            pass


async def test_who_is_cancelled_in_the_line_takes_no_room_with_it() -> None:
    budget = ByteBudget(10)

    async def hold() -> None:
        async with budget.room(8):
            raise AssertionError("there is no room")

    async with budget.room(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            async with budget.room(5):
                pass
    with anyio.fail_after(5):
        async with budget.room(10):
            pass
