"""Parts that one transaction stores each."""

import pytest

from phaseflow.actors.batching import in_parts


@pytest.mark.parametrize(
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
