"""What a query asks for, before anything is looked up."""

import pytest

from phaseflow.domain.search_query import (
    is_name_of,
    loose_phrase,
    other_spellings,
    parsed,
    phrase,
)
from tests.matrices import together

EIGHT = "one two three four five six seven"


@together(
    ("part", "expression"),
    [
        ("user guide", '"user guide"'),
        ('a "b" c\0d', '"a b c d"'),
        ("", '""'),
        ("東京", '"東京"'),
        ("京", '"京" *'),
        ("東東", '"東東"'),
        ("大東東", '"大東 東東"'),
        ("東京 大", '"東京 京 大" *'),
        ("東京 guide", '"東京 京 guide"'),
        ("aa a", '"aa a"'),
    ],
)
def test_a_phrase_has_the_words_of_a_thing_and_goes_on_where_a_text_without_spaces_may(
    part: str, expression: str
) -> None:
    assert phrase(part) == expression


@together(
    ("part", "expression"),
    [
        ("4年2月2", '"年 2 月 2" *'),
        ("4年", '"年" *'),
        ("年2", '"年 2" *'),
        ("東京", None),
        ("user guide", None),
        ("年", None),
    ],
)
def test_a_quotation_that_begins_or_ends_inside_a_number_is_looked_for_without_that_edge(
    part: str, expression: str | None
) -> None:
    assert loose_phrase(part) == expression


@together(
    ("name", "spellings"),
    [
        ("User guide", ["Userguide"]),
        ("UserGuide", ["User Guide"]),
        ("UserGuide old", ["UserGuideold", "User Guide old"]),
        ("guide", []),
        ("a b c d e f", ["abcdef"]),
        ("a b c d e f g", []),
        ("", []),
        ("東京 Guide", []),
    ],
)
def test_a_name_is_written_in_one_and_by_its_capitals_too(name: str, spellings: list[str]) -> None:
    assert other_spellings(name) == spellings


@together(
    ("query", "is_one"),
    [
        ("User guide", True),
        ("user  GUIDE.md", True),
        ("docs/User guide.md", True),
        ("UserGuide", True),
        ("The manual", True),
        ("guide", False),
        ("ocs/User guide.md", False),
        ("", False),
        ("...", False),
    ],
)
def test_a_query_is_a_name_of_a_document_only_as_a_whole(query: str, is_one: bool) -> None:
    assert is_name_of(query, "The manual", "team/docs/User guide.md") is is_one


@pytest.mark.parametrize(("query", "is_short"), [(f"{EIGHT} v1.2", True), (f"{EIGHT} eight v1.2", False)])
def test_in_a_longer_question_what_is_written_as_one_counts_only_where_few_hold_it(query: str, is_short: bool) -> None:
    found = parsed(query)
    assert found.is_short is is_short
    assert (found.exact, found.rare) == ((("v1.2",), ()) if is_short else ((), ("v1.2",)))
