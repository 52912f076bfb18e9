"""Parts that one transaction stores each."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from phaseflow.actors import batching
from phaseflow.actors.batching import Batcher, in_parts
from tests.matrices import together
from tests.stopwatch import NEVER_S


@together(
    ("sizes", "parts"),
    [
        ([], []),
        ([3, 3, 3], [[3, 3, 3]]),
        ([3, 3, 4], [[3, 3], [4]]),
        ([10, 1], [[10], [1]]),
        ([9, 0], [[9, 0]]),
        ([1, 8, 1], [[1, 8], [1]]),
    ],
)
def test_a_part_holds_what_has_room_and_what_is_larger_is_one_of_its_own(
    sizes: list[int], parts: list[list[int]]
) -> None:
    assert in_parts(sizes, lambda size: (size,), (9,)) == parts


def test_no_measure_is_exceeded() -> None:
    items = [(1, 5), (1, 5), (1, 1), (2, 1), (1, 9)]
    assert in_parts(items, lambda item: item, (3, 10)) == [items[:2], items[2:4], items[4:]]


class Noting(Batcher):
    """Takes in numbers, in groups that are there at once; ``None`` is a wait that ends without any. ``waits`` says how
    long it would have waited for each."""

    def __init__(self, groups: Sequence[Sequence[int] | None], size: int, *, is_awaited: bool = False) -> None:
        async def take_in(group: Any) -> Any:
            return group

        receiver: Any = None
        super().__init__(receiver, take_in, size, is_awaited=is_awaited)
        self._groups: list[Any] = [*groups, []]
        self.waits: list[float | None] = []

    async def _next(self, wait_s: float | None) -> Any:
        self.waits.append(wait_s)
        return self._groups.pop(0)

    async def batches(self) -> list[Any]:
        send, receive = anyio.create_memory_object_stream[Any](100)
        with receive:
            with send:
                await self.feed(send)
            return [batch async for batch in receive]


@pytest.mark.parametrize(
    ("groups", "batches"),
    [
        ([], []),
        ([[1]], [[1]]),
        ([[1], [2], [3]], [[1, 2], [3]]),
        ([[1, 2]], [[1, 2]]),
        ([[1, 2, 3, 4, 5]], [[1, 2], [3, 4], [5]]),
        ([[1], None, [2]], [[1], [2]]),
    ],
)
async def test_batches_are_full_but_where_no_more_comes_in_time(
    groups: list[list[int] | None], batches: list[list[int]]
) -> None:
    assert await Noting(groups, 2).batches() == batches


async def test_what_is_not_full_waits_for_more_and_nothing_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < batching._LONE_WAIT_S < batching.BATCH_WAIT_S < batching.ALONE_S
    monkeypatch.setattr(batching, "ALONE_S", NEVER_S)
    formed = Noting([[1], [2, 3], [4], None, [5]], 3)
    await formed.batches()
    assert formed.waits == [None, 0.05, None, 0.05, None, 0.05]


async def test_who_comes_alone_and_is_awaited_is_kept_waiting_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "ALONE_S", NEVER_S)
    formed = Noting([[1], None, [2], [3]], 9, is_awaited=True)
    assert await formed.batches() == [[1], [2, 3]]
    assert formed.waits == [None, 0.005, None, 0.05, 0.05], "those after it have followed one another"
