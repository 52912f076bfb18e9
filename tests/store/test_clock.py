"""The clock when the wall clock steps: what is read meanwhile is read again."""

from datetime import timedelta

import anyio
import pytest

from phaseflow.domain.errors import StoreUnavailable
from phaseflow.store.clock import Clock

STEP = timedelta(hours=6)


async def test_what_was_read_while_a_step_was_followed_is_read_again() -> None:
    clock, reads = Clock(), 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        if reads == 1:
            with clock.following(STEP):
                pass
        return reads

    assert await clock.read_steadily(read) == 2
    assert await clock.read_steadily(read) == 3


async def test_what_is_read_before_a_step_has_been_followed_is_read_again_after_it() -> None:
    clock, followed, seen = Clock(), False, list[bool]()

    async def read() -> bool:
        seen.append(followed)
        return followed

    async def look() -> None:
        assert await clock.read_steadily(read)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            with clock.following(STEP):
                tasks.start_soon(look)
                while not seen:
                    await anyio.lowlevel.checkpoint()
            followed = True
    assert (seen[0], seen[-1]) == (False, True)


async def test_a_step_that_cannot_be_followed_holds_up_no_reader_for_long() -> None:
    clock = Clock()

    async def read() -> str:
        return "found"

    with anyio.fail_after(5), clock.following(STEP):
        assert await clock.read_steadily(read) == "found"


def test_a_step_that_could_not_be_followed_is_still_to_be_followed() -> None:
    clock = Clock()
    with pytest.raises(StoreUnavailable, match="full"), clock.following(-STEP):
        raise StoreUnavailable("full")
    assert clock.step() == timedelta()
    with clock.following(-STEP):
        pass
    assert abs(clock.step() - STEP) < timedelta(seconds=1)
