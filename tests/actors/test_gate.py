"""The gate: a closed one with nobody inside is a quiet phase."""

import anyio
import pytest
from anyio import CancelScope, create_task_group, current_time, wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from phaseflow.actors.gate import Gate
from tests.stopwatch import fail_soon


class Reports:
    """Counts what a gate says."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = Gate(self)

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def gate(reports: Reports) -> Gate:
    return reports.gate


async def settle() -> None:
    for _ in range(5):
        await checkpoint()


def test_a_gate_is_closed_and_quiet_at_first(gate: Gate) -> None:
    assert (gate.is_open, gate.is_drained, gate.has_waiters) == (False, True, False)


async def test_an_open_gate_lets_several_in_and_says_nothing(gate: Gate, reports: Reports) -> None:
    gate.open()
    async with gate, gate:
        assert not gate.is_drained
    assert reports.count == 0


async def test_whoever_waits_before_a_closed_gate_is_reported_and_let_in_when_it_opens(
    gate: Gate, reports: Reports
) -> None:
    entered: list[int] = []

    async def enter(n: int) -> None:
        async with gate:
            entered.append(n)

    with fail_soon(5):
        async with create_task_group() as tasks:
            tasks.start_soon(enter, 1)
            tasks.start_soon(enter, 2)
            await settle()
            assert (entered, gate.has_waiters, reports.count) == ([], True, 2)
            gate.open()
    assert entered == [1, 2]
    assert not gate.has_waiters


async def test_closing_lets_those_inside_finish_and_reports_when_the_last_has_left(
    gate: Gate, reports: Reports
) -> None:
    gate.open()
    async with gate:
        async with gate:
            gate.close()
            assert (gate.is_open, gate.is_drained) == (False, False)
        assert (gate.is_drained, reports.count) == (False, 0)
    assert (gate.is_drained, reports.count) == (True, 1)


async def test_a_gate_that_was_closed_again_before_one_got_in_keeps_it_out(gate: Gate) -> None:
    with fail_soon(5):
        async with create_task_group() as tasks:
            tasks.start_soon(gate.__aenter__)
            await settle()
            gate.open()
            gate.close()
            await settle()
            assert gate.has_waiters
            assert gate.is_drained
            tasks.cancel_scope.cancel()


async def test_whoever_is_cancelled_before_the_gate_wants_nothing_any_more(gate: Gate) -> None:
    with CancelScope() as scope:
        async with create_task_group() as tasks:
            tasks.start_soon(gate.__aenter__)
            await settle()
            scope.cancel()
    assert not gate.has_waiters


async def test_whoever_is_cancelled_inside_has_left(gate: Gate, reports: Reports) -> None:
    gate.open()
    with CancelScope() as scope:
        async with gate:
            gate.close()
            scope.cancel()
            await checkpoint()
    assert (gate.is_drained, reports.count) == (True, 1)


async def test_an_error_inside_leaves_the_gate(gate: Gate) -> None:
    gate.open()
    with pytest.raises(ValueError, match="mine"):
        async with gate:
            raise ValueError("mine")
    gate.close()
    assert gate.is_drained


async def test_a_sleep_ends_when_the_gate_is_closed(gate: Gate) -> None:
    gate.open()
    with fail_soon(5):
        async with create_task_group() as tasks:
            tasks.start_soon(gate.sleep, 60)
            await settle()
            gate.close()
        await gate.sleep(60)


async def test_a_sleep_before_an_open_gate_lasts_as_long_as_was_said(gate: Gate) -> None:
    gate.open()
    began = current_time()
    await gate.sleep(0.02)
    assert current_time() - began >= 0.02


async def test_closed_for_counts_from_the_last_time_that_it_closed() -> None:
    gate = Gate(lambda: None)
    gate.open()
    ended_at: list[float] = []

    async def wait() -> None:
        await gate.closed_for(0.2)
        ended_at.append(current_time())

    with fail_soon(5):
        async with create_task_group() as tasks:
            tasks.start_soon(wait)
            gate.close()
            await wait_all_tasks_blocked()
            gate.open()
            gate.close()
            began = current_time()
    assert ended_at[0] - began > 0.19


async def test_who_waits_until_nobody_is_inside_is_woken_by_the_last_to_leave(gate: Gate) -> None:
    leave = [anyio.Event(), anyio.Event()]
    inside, drained = anyio.Event(), anyio.Event()

    async def stay(until: anyio.Event) -> None:
        async with gate:
            inside.set()
            await until.wait()

    async def wait() -> None:
        await gate.until_drained()
        drained.set()

    gate.open()
    with fail_soon(5):
        async with create_task_group() as tasks:
            for event in leave:
                tasks.start_soon(stay, event)
            await inside.wait()
            await wait_all_tasks_blocked()
            gate.close()
            tasks.start_soon(wait)
            leave[0].set()
            await wait_all_tasks_blocked()
            assert not drained.is_set()
            leave[1].set()
            await drained.wait()
