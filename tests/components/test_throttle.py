"""The pace an embedding server asks for: one wait for everybody, then one call, then the rest."""

import anyio
import pytest

from phaseflow.components.embedders import as_embedder
from phaseflow.components.embedders.throttle import FIRST_S, MOST_S, Throttle
from phaseflow.domain.errors import RateLimited
from tests.stopwatch import fail_soon


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def test_nobody_waits_before_the_first_rate_limit(throttle: Throttle) -> None:
    with throttle.turn() as first, throttle.turn() as second:
        assert first
        assert second
    assert throttle.wait_s() == 0


def test_the_longest_wait_that_was_asked_for_holds_for_all(throttle: Throttle, clock: Clock) -> None:
    for asked_s in (5.0, 120.0, 7.0):
        throttle.limited(100.0, asked_s)
    assert throttle.wait_s() == throttle.asked_wait_s() == 120
    clock.now += 119.5
    throttle.passed()
    with throttle.turn() as may_call:
        assert not may_call
    clock.now += 0.5
    with throttle.turn() as may_call:
        assert may_call


def test_calls_that_were_under_way_together_are_one_rate_limit(throttle: Throttle, clock: Clock) -> None:
    for _ in range(20):
        throttle.limited(99.0, None)
    assert throttle.wait_s() == FIRST_S
    clock.now += 1
    throttle.limited(100.5, None)
    assert throttle.wait_s() == 2 * FIRST_S
    assert throttle.asked_wait_s() == 0


def test_waits_that_were_not_asked_for_grow_up_to_a_bound(throttle: Throttle, clock: Clock) -> None:
    for _ in range(2000):
        clock.now += 60
        throttle.limited(clock.now, 0)
    assert throttle.wait_s() == MOST_S


async def test_after_the_wait_one_call_goes_alone_until_it_has_passed(throttle: Throttle, clock: Clock) -> None:
    throttle.limited(100.0, None)
    clock.now += FIRST_S
    with throttle.turn() as first, throttle.turn() as second:
        assert first
        assert not second
        with anyio.move_on_after(0.01) as waiting:
            await throttle.until_free()
        assert waiting.cancelled_caught
        throttle.passed()
        with throttle.turn() as third:
            assert third
    with fail_soon(1):
        await throttle.until_free()


async def test_a_query_asks_nothing_while_the_server_wants_no_calls() -> None:
    class Limited:
        calls = 0

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.calls += 1
            raise RateLimited("slow down", retry_after_s=60)

    limited = Limited()
    port = as_embedder(limited)
    for _ in range(3):
        with pytest.raises(RateLimited):
            await port.embed_query("a")
    assert limited.calls == 1


def test_a_resume_waits_no_longer_than_the_server_has_asked_for(throttle: Throttle, clock: Clock) -> None:
    throttle.limited(100.0, 3)
    clock.now += 2
    for _ in range(20):
        clock.now += 0.01
        throttle.limited(clock.now, None)
    assert throttle.wait_s() == MOST_S
    throttle.forget_backoff()
    assert throttle.wait_s() == pytest.approx(0.8)
