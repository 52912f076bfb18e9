"""What a search shows of the passages that it ranks: each text once, with the other places where it stands."""

from phaseflow.components.hit_list import HitList
from phaseflow.store.passages import Found, Scope
from tests.matrices import together

LIMIT = 3
ALIKE = "the first four words of both are the same"


def passage(number: int, text: str) -> Found:
    return Found(f"{number}.md", "Title", text, 0, len(text), "[]", "{}")


def shown(*texts: str) -> list[tuple[str, int, int]]:
    """(file, rank, how many other places) of the hits."""
    hits = HitList(Scope("kb~1", 1), LIMIT)
    for number, text in enumerate(texts):
        hits.add(passage(number, text), 1 - number / 100)
    return [(hit.uri, round(100 - hit.score * 100), len(hit.also_in)) for hit in hits.made()]


@together("copy", [ALIKE, ALIKE.replace(" ", "\n"), f"  {ALIKE} \r\n", ALIKE.replace("four", "four ")])
def test_a_text_is_shown_once_however_its_lines_are_broken(copy: str) -> None:
    assert shown(ALIKE, copy, copy) == [("0.md", 0, 2)]


def test_texts_that_begin_alike_are_hits_of_their_own() -> None:
    assert shown(ALIKE, f"{ALIKE} but", f"{ALIKE} for", ALIKE, f"{ALIKE} but") == [
        ("0.md", 0, 1),
        ("1.md", 1, 1),
        ("2.md", 2, 0),
    ]


@together("text", ["", " ", "one", "one two three four"])
def test_short_texts_have_copies_too(text: str) -> None:
    assert shown(text, text, "another") == [("0.md", 0, 1), ("2.md", 2, 0)]


def test_copies_of_what_is_shown_are_named_once_no_more_texts_are() -> None:
    assert shown("a", "b", "c", "d", "b", "d") == [("0.md", 0, 0), ("1.md", 1, 1), ("2.md", 2, 0)]


def test_a_hit_names_a_bounded_number_of_places() -> None:
    assert shown(*[ALIKE] * 30) == [("0.md", 0, 20)]
