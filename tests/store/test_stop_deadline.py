"""When whatever waits for the file at the end of an engine gives up: counted from the stop, by a clock of the test."""

import math

import anyio
import pytest

from phaseflow.store import stop_deadline
from phaseflow.store.stop_deadline import AGAIN_S, WRITES_S, StopDeadline
from tests.stopwatch import fail_soon


class Clock:
    """The time of the event loop, as `stop_deadline` sees it; and how long it has slept."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def current_time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(anyio, "current_time", made.current_time)
    return made


async def test_a_write_is_tried_for_as_long_as_no_stop_has_begun(clock: Clock) -> None:
    ending = StopDeadline()
    clock.now += 1e9
    assert not ending.is_asked
    assert not ending.is_over(1000.0)


@pytest.mark.parametrize(
    ("since", "over"),
    [(900.0, 1000.0 + stop_deadline._OWED_S), (1000.5, 1000.5 + stop_deadline._OWED_S), (1001.0, 1000.0 + WRITES_S)],
)
async def test_a_write_is_tried_for_a_moment_after_the_stop_or_its_first_failure_but_not_beyond_the_last_moment(
    clock: Clock, since: float, over: float
) -> None:
    ending = StopDeadline()
    ending.begin()
    assert ending.is_asked
    clock.now = math.nextafter(over, 0)
    assert not ending.is_over(since)
    clock.now = over
    assert ending.is_over(since)


async def test_a_second_stop_moves_no_deadline(clock: Clock) -> None:
    ending = StopDeadline()
    with ending.limit(2.0) as scope:
        assert scope.deadline == math.inf
        ending.begin()
        assert scope.deadline == 1002.0
        clock.now += 1
        ending.begin()
        assert scope.deadline == 1002.0
        with ending.limit(0.5) as later:
            assert later.deadline == 1000.5
            assert later.shield
    with ending.limit(9.0, shield=False) as open_scope:
        assert not open_scope.shield


async def test_a_wait_ends_when_the_stop_begins_and_is_a_moment_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = StopDeadline()
    with fail_soon(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ending.sleep, 3600)
            await anyio.lowlevel.checkpoint()
            ending.begin()
        await ending.sleep(0.0)
    clock = Clock()
    monkeypatch.setattr(anyio, "sleep", clock.sleep)
    await ending.sleep(3600)
    await ending.sleep(AGAIN_S / 2)
    assert clock.slept == [AGAIN_S, AGAIN_S / 2]
