"""Texts in segments, each with the parts of the document that stand in it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from phaseflow.store import texts
from phaseflow.store.schema import schema_sql
from phaseflow.store.texts import Texts, batches, segmented
from phaseflow.store.transaction import Transaction
from tests.matrices import together

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


@together("length", [0, 1, 10, 11, 20])
def test_segments_are_the_text_and_an_empty_one_has_one_too(length: int) -> None:
    found = [segment.text for segment in segmented(TEXT[:length])]
    assert ("".join(found), len(found)) == (TEXT[:length], max(1, -(-length // 10)))


@together(
    ("length", "characters", "sizes"),
    [(25, 1, {0: 1, 1: 1, 2: 1}), (25, 20, {0: 2, 2: 1}), (25, 100, {0: 3}), (20, 20, {0: 2}), (0, 20, {0: 1})],
)
def test_segments_come_so_many_characters_at_a_time_with_the_number_of_the_first(
    length: int, characters: int, sizes: dict[int, int]
) -> None:
    found = list(batches(TEXT[:length], PARTS, characters))
    assert {number: len(batch) for number, batch in found} == sizes
    assert [segment for _, batch in found for segment in batch] == segmented(TEXT[:length], PARTS)


@pytest.fixture
def stored() -> Iterator[Texts]:
    """The text of document 3 between those of its neighbours."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema_sql())
        found = Texts(Transaction(connection))
        for document, text in ((2, TEXT.upper()), (3, TEXT), (4, TEXT.upper())):
            found.add((document, n, each) for n, each in enumerate(segmented(text, PARTS)))
        yield found


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (0, 1), (0, 10), (0, 11), (9, 10), (9, 11), (10, 20), (5, 25), (24, 25), (20, 20)]
)
def test_a_slice_is_that_of_the_text_wherever_it_begins_and_ends(stored: Texts, start: int, end: int) -> None:
    found = stored.slices([(3, start, end), (2, start, end)])
    assert [text for text, _ in found] == [TEXT[start:end], TEXT[start:end].upper()]
    assert json.loads(found[0][1]) == json.loads(segmented(TEXT, PARTS)[start // 10].parts)


def test_a_slice_of_what_is_gone_is_empty(stored: Texts) -> None:
    assert stored.remove(3, 2) == 2
    assert stored.slices([(3, 0, 5), (3, 5, 15), (3, 20, 25), (9, 0, 1)]) == [
        ("", "[]"), ("", "[]"), (TEXT[20:25], segmented(TEXT, PARTS)[2].parts), ("", "[]"),
    ]  # fmt: skip


def test_a_text_is_read_and_removed_in_segments(stored: Texts) -> None:
    assert stored.of_documents([3, 9]) == {3: TEXT, 9: ""}
    assert [stored.piece(3, first, 2) for first in range(4)] == [TEXT[:20], TEXT[10:], TEXT[20:], ""]
    assert stored.piece(3, 1, 1) == TEXT[10:20]
    assert [stored.remove(3, 2) for _ in range(3)] == [2, 1, 0]
    assert stored.of_documents([2, 3, 4]) == {2: TEXT.upper(), 3: "", 4: TEXT.upper()}
