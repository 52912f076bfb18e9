"""Two words that follow each other: remembered, and never of other passages than those that are searched."""

from typing import Any, cast

import numpy as np
import pytest

from phaseflow.components import word_places, word_ranking
from phaseflow.components.bm25 import ranked
from phaseflow.components.resident import Passages
from phaseflow.components.word_places import Places, Tokenizer, WordCounts
from phaseflow.components.word_ranking import Terms
from phaseflow.store.word_table import Table, WordTable

TABLE = Table(1)
PAIR = ("first", "second")


def passages(count: int) -> Passages:
    """One passage a document."""
    ids = np.arange(count, dtype=np.int64) << 20
    ones = np.ones(count, np.float32)
    return Passages(1, ids, ones, np.arange(count), ids >> 20, ones, 1.0, 1.0)


def places(count: int, at: int, step: int = 1) -> Places:
    """Of a word that stands there in every ``step``-th passage."""
    return Places((np.arange(0, count, step, dtype=np.int64) << 22) + at)


def as_lists(found: Any) -> list[Any]:
    return [found.weight, *(each.tolist() for each in (found.at, found.passages, found.owners, found.documents))]


@pytest.fixture
def terms(monkeypatch: pytest.MonkeyPatch) -> Terms:
    monkeypatch.setattr(word_ranking, "LEAST_REMEMBERED", 5)
    return Terms(WordCounts(Tokenizer()))


def test_neighbours_are_looked_for_once(terms: Terms, monkeypatch: pytest.MonkeyPatch) -> None:
    known, both = passages(40), (places(40, 3), places(40, 4, 2))
    found = terms.neighbours(known, TABLE, PAIR, both)
    assert as_lists(found) == as_lists(ranked(known, both[0].before(both[1])))
    assert len(found.at) == 20
    monkeypatch.setattr(word_ranking, "ranked", cast("Any", None))
    assert terms.neighbours(known, TABLE, PAIR, both) is found


def test_neighbours_of_other_passages_or_of_more_places_are_looked_for_anew(terms: Terms) -> None:
    known = passages(40)
    terms.neighbours(known, TABLE, PAIR, (places(40, 3), places(40, 4, 2)))
    more = terms.neighbours(known, TABLE, PAIR, (places(40, 3), places(40, 4)))
    assert len(more.at) == 40
    later = passages(50)
    assert len(terms.neighbours(later, TABLE, PAIR, (places(40, 3), places(40, 4, 4))).at) == 10
    assert len(terms.neighbours(later, TABLE, PAIR, (places(50, 3), places(50, 4, 5))).at) == 10
    assert len(terms.neighbours(later, Table(2), PAIR, (places(50, 3), places(50, 4))).at) == 50


def test_what_is_remembered_of_neighbours_is_bounded(terms: Terms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_ranking, "_MOST_REMEMBERED_OF_PAIRS", 100)
    known, both = passages(40), (places(40, 3), places(40, 4))
    found = [terms.neighbours(known, TABLE, ("first", str(n)), both) for n in range(5)]
    assert terms.neighbours(known, TABLE, ("first", "4"), both) is found[4]
    assert terms.neighbours(known, TABLE, ("first", "0"), both) is not found[0]
    assert sum(each.ranked.size for each in terms._pairs.values()) == terms._size_of_pairs <= 100


def test_whether_there_is_room_for_a_word_is_asked_of_the_index_where_what_was_asked_does_not_tell(
    terms: Terms, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def has_places(self: WordTable, word: str, count: int) -> bool:
        asked.append(count)
        return count <= 70

    monkeypatch.setattr(WordTable, "has_places", has_places)
    known, no_tx = passages(50), cast("Any", None)

    def has_room(limit: int, among: Passages = known) -> bool:
        return terms.has_room(no_tx, TABLE, among, "word", 50, limit)

    assert [has_room(limit) for limit in (40, 60, 55, 70, 71, 90, 65, 101)] == [
        False, False, False, False, True, True, False, True,
    ]  # fmt: skip
    assert asked == [60, 70, 71]
    assert not has_room(60, passages(50))
    assert asked == [60, 70, 71, 60]


def test_what_most_likely_has_room_is_read_without_being_counted(terms: Terms, monkeypatch: pytest.MonkeyPatch) -> None:
    known, no_tx = passages(100), cast("Any", None)
    stands = {"few": places(100, 3, 10), "many": places(100, 5)}
    monkeypatch.setattr(word_places, "read", lambda _tx, _table, _known, word, limit: (stands[word], limit > 100))
    asked = list[str]()
    monkeypatch.setattr(WordTable, "has_places", lambda _self, word, _count: asked.append(word))
    assert terms.has_room(no_tx, TABLE, known, "other", 50, 70)
    assert asked == ["other"]  # nothing was read that would tell how often words stand in a passage
    terms.look_up(no_tx, TABLE, known, "few", 200)
    assert terms.has_room(no_tx, TABLE, known, "many", 60, 75)
    assert not terms.look_up(no_tx, TABLE, known, "many", 75).is_whole
    assert not terms.has_room(no_tx, TABLE, known, "many", 60, 75)
    assert asked == ["other"]
    assert terms.has_room(no_tx, TABLE, passages(100), "many", 60, 75)
    assert asked == ["other", "many"]  # among others it may stand more often
