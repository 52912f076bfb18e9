"""Fusion, query words and places: the pure parts of the index inside the database."""

from hypothesis import given
from hypothesis import strategies as st

from phaseflow.components.index import fuse, match_expression, place


def test_a_passage_that_both_rankings_find_comes_before_one_that_leads_in_one() -> None:
    scores = fuse([[1, 2, 3], [4, 2, 5]])
    assert max(scores, key=lambda member: scores[member]) == 2
    assert scores[1] == scores[4] == 1 / 61


@given(st.text())
def test_no_character_of_a_query_is_an_operator(query: str) -> None:
    expression = match_expression(query)
    words = expression.split(" OR ") if expression else []
    assert all(word.startswith('"') and word.endswith('"') and '"' not in word[1:-1] for word in words)


def test_a_place_is_the_part_in_which_a_passage_begins() -> None:
    parts = [(0, "page 1"), (100, "page 2"), (250, "page 3")]
    assert [place(parts, start) for start in (0, 99, 100, 260)] == ["page 1", "page 1", "page 2", "page 3"]
    assert place([], 10) is None
    assert place([(5, "section")], 2) is None
