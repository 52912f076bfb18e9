"""Texts in segments, each with the parts of the document that stand in it."""

import json

import pytest

from phaseflow.store import texts
from phaseflow.store.texts import batches, segmented

TEXT = "abcdefghijklmnopqrstuvwxy"
PARTS = [(0, "one"), (4, "two"), (12, "three"), (20, "four")]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "SEGMENT", 10)


def test_each_segment_has_its_parts_and_the_one_that_it_begins_in() -> None:
    assert [(segment.text, json.loads(segment.parts)) for segment in segmented(TEXT, PARTS)] == [
        ("abcdefghij", [[0, "one"], [4, "two"]]),
        ("klmnopqrst", [[4, "two"], [12, "three"]]),
        ("uvwxy", [[12, "three"], [20, "four"]]),
    ]


def test_a_segment_without_a_beginning_in_it_has_the_part_before() -> None:
    found = segmented(TEXT, [(3, "one")])
    assert [json.loads(segment.parts) for segment in found] == [[[3, "one"]]] * 3
    assert [json.loads(segment.parts) for segment in segmented(TEXT)] == [[]] * 3


@pytest.mark.parametrize("length", [0, 1, 10, 11, 20])
def test_segments_are_the_text_and_an_empty_one_has_one_too(length: int) -> None:
    found = [segment.text for segment in segmented(TEXT[:length])]
    assert ("".join(found), len(found)) == (TEXT[:length], max(1, -(-length // 10)))


@pytest.mark.parametrize(
    ("length", "characters", "sizes"),
    [(25, 1, {0: 1, 1: 1, 2: 1}), (25, 20, {0: 2, 2: 1}), (25, 100, {0: 3}), (20, 20, {0: 2}), (0, 20, {0: 1})],
)
def test_segments_come_so_many_characters_at_a_time_with_the_number_of_the_first(
    length: int, characters: int, sizes: dict[int, int]
) -> None:
    found = list(batches(TEXT[:length], PARTS, characters))
    assert {number: len(batch) for number, batch in found} == sizes
    assert [segment for _, batch in found for segment in batch] == segmented(TEXT[:length], PARTS)
