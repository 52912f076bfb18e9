"""Places: the pure part of the index inside the database."""

from phaseflow.components.hit_list import place


def test_a_place_is_the_part_in_which_a_passage_begins() -> None:
    parts = [(0, "page 1"), (100, "page 2"), (250, "page 3")]
    assert [place(parts, start) for start in (0, 99, 100, 260)] == ["page 1", "page 1", "page 2", "page 3"]
    assert place([], 10) is None
    assert place([(5, "section")], 2) is None
