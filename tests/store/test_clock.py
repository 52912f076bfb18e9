"""The clock when the wall clock steps, and when a running stretch ends: what is read meanwhile is read again."""

import sqlite3
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace

import anyio
import pytest

from phaseflow.store import clock as clocks
from phaseflow.store.clock import Clock
from phaseflow.store.transaction import Transaction
from tests.stopwatch import fail_soon

STEP = timedelta(hours=6)
MOMENT = timedelta(seconds=1)


def transaction() -> Transaction:
    return Transaction(sqlite3.connect(":memory:"))


def follow(clock: Clock, step: timedelta) -> None:
    tx = transaction()
    clock.follow(tx, step)
    tx.tell_end()


async def test_what_was_read_while_a_step_was_followed_is_read_again() -> None:
    clock, reads = Clock(), 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        if reads == 1:
            follow(clock, STEP)
        return reads

    assert await clock.read_steadily(read) == 2
    assert await clock.read_steadily(read) == 3


async def test_what_was_read_before_the_end_of_a_stretch_is_read_again() -> None:
    clock, reads = Clock(), 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        if reads == 1:
            tx = transaction()
            clock.end_of_stretches(tx)
            tx.tell_end()
        return reads

    assert await clock.read_steadily(read) == 2


async def test_what_was_read_before_the_end_of_a_stretch_is_read_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reads = Clock(), 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        if reads == 1:
            tx = transaction()
            clock.end_of_stretches(tx)
            tx.tell_end()
        return reads

    async def sleep(seconds: float) -> None:
        raise AssertionError("a status that nothing is in the way of waits")

    monkeypatch.setattr(anyio, "sleep", sleep)
    assert await clock.read_steadily(read) == 2


async def test_what_is_read_before_a_step_has_been_followed_is_read_again_after_it() -> None:
    clock, followed, seen = Clock(), False, list[bool]()

    async def read() -> bool:
        seen.append(followed)
        return followed

    async def look() -> None:
        assert await clock.read_steadily(read)

    with fail_soon(5):
        async with anyio.create_task_group() as tasks:
            tx = transaction()
            clock.follow(tx, STEP)
            tasks.start_soon(look)
            while not seen:
                await anyio.lowlevel.checkpoint()
            followed = True
            tx.tell_end()
    assert (seen[0], seen[-1]) == (False, True)


async def test_a_step_that_cannot_be_followed_holds_up_no_reader_for_long() -> None:
    clock = Clock()

    async def read() -> str:
        return "found"

    clock.follow(transaction(), STEP)
    with fail_soon(5):
        assert await clock.read_steadily(read) == "found"


def test_a_step_that_could_not_be_followed_is_still_to_be_followed() -> None:
    clock, tx = Clock(), transaction()
    clock.follow(tx, -STEP)
    assert abs(clock.step() - STEP) < MOMENT
    tx.roll_back_effects()
    tx.tell_end()
    assert clock.step() == timedelta()
    follow(clock, -STEP)
    assert abs(clock.step() - STEP) < MOMENT


def test_nobody_is_shown_a_later_moment_than_the_end_that_is_being_stored() -> None:
    clock, first, second = Clock(), transaction(), transaction()
    end = clock.end_of_stretches(first)
    later = clock.end_of_stretches(second)
    assert later > end
    assert clock.running_now() == end
    clock.follow(third := transaction(), STEP)
    assert clock.running_now() == end + STEP
    third.tell_end()
    first.tell_end()
    assert clock.running_now() == later + STEP
    second.tell_end()
    assert clock.running_now() > later + STEP


class Clocks:
    """The clock on the wall, and the one that never steps, which stand still until they are moved."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 1, 1, tzinfo=UTC)
        self.steady_s = 5000.0

    def now(self, zone: tzinfo) -> datetime:
        return self.wall.astimezone(zone)

    def monotonic(self) -> float:
        return self.steady_s


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    found = Clocks()
    monkeypatch.setattr(clocks, "time", SimpleNamespace(monotonic=found.monotonic))
    monkeypatch.setattr(clocks, "datetime", SimpleNamespace(now=found.now, fromtimestamp=datetime.fromtimestamp))
    return found


@pytest.mark.parametrize(
    ("moved_s", "step_ms"),
    [(0.0, 0), (0.5, 500), (0.499, 0), (-0.5, -500), (-0.499, 0), (1.2344, 1234), (-7200, -7_200_000)],
)
def test_a_step_is_how_far_the_wall_clock_has_moved_away_in_milliseconds(
    shown: Clocks, moved_s: float, step_ms: int
) -> None:
    clock = Clock()
    shown.steady_s += 100
    shown.wall += timedelta(seconds=100 + moved_s)
    assert clock.step() == timedelta(milliseconds=step_ms)


def test_durations_go_on_with_the_one_clock_and_moments_with_the_other_and_never_back(shown: Clocks) -> None:
    began = shown.wall
    clock = Clock()
    shown.steady_s += 3
    assert (clock.running_now(), clock.now()) == (began + timedelta(seconds=3), began)
    shown.wall += timedelta(hours=1)
    assert (clock.running_now(), clock.now()) == (began + timedelta(seconds=3), shown.wall)
    shown.wall -= timedelta(minutes=1)
    assert clock.now() == began + timedelta(hours=1)
    clock.follow(tx := transaction(), timedelta(hours=1))
    assert clock.running_now() == began + timedelta(hours=1, seconds=3)
    tx.roll_back_effects()
    assert clock.running_now() == began + timedelta(seconds=3)
