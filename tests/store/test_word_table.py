"""What a search is told of the full-text index: places, counts and how far they reach, its own passages alone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from phaseflow.store import postings, word_table
from phaseflow.store.pieces import MOST_PIECES
from phaseflow.store.postings import Passage, WordIndex, packed
from phaseflow.store.schema import schema_sql
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import Table, WordTable

OTHERS = "kb~1"
OURS = "kb~2"
FIRST, SECOND = 2 * MOST_PIECES, 4 * MOST_PIECES
"""Our documents; those between are of the other knowledge base."""


@pytest.fixture
def tx(monkeypatch: pytest.MonkeyPatch) -> Iterator[Transaction]:
    """Two knowledge bases that share a table, in which every other document is of the other one."""
    monkeypatch.setattr(postings, "_MOST_TABLES", 1)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema_sql())
        tx = Transaction(connection)
        for document, kb_key in ((1, OTHERS), (2, OURS), (3, OTHERS), (4, OURS)):
            tx.run(
                "INSERT INTO documents (id, kb_id, job_seq, index_version, uri, title, media_type, content_hash,"
                " recipe) VALUES (?, ?, 1, 1, 'a.md', '', '', '', '')",
                document, kb_key,
            )  # fmt: skip
            at = document * MOST_PIECES
            passages = [
                Passage(at, "river bank", "a heading", "the river", f"{document}.md"),
                Passage(at + 1, "bank bank river bank", "", "the river", f"{document}.md"),
            ]
            WordIndex(tx, kb_key, 1).put(packed(passages))
        yield tx


@pytest.fixture
def ours(tx: Transaction) -> WordTable:
    table = WordIndex(tx, OURS, 1).table()
    assert table is not None
    assert table.owner == (OURS, 1)
    return WordTable(tx, table)


def test_a_word_is_counted_by_its_places_up_to_the_limit_with_the_last_passage_looked_at(ours: WordTable) -> None:
    assert ours.count("bank", 100) == (8, SECOND + 1)
    assert ours.count("bank", 8) == (8, SECOND + 1)
    assert ours.count("bank", 4) == (4, FIRST + 1)
    assert ours.count("bank", 1) == (1, FIRST)
    assert ours.count("sea", 100) == (0, 0)


def test_a_word_stands_in_as_many_places_or_not(ours: WordTable) -> None:
    of_all = WordTable(ours.tx, Table(ours.table.number))
    assert [ours.has_places("bank", count) for count in (1, 8, 9)] == [True, True, False]
    assert [of_all.has_places("bank", count) for count in (1, 16, 17)] == [True, True, False]
    assert not ours.has_places("sea", 1)
    assert not of_all.has_places("sea", 1)


def test_passages_are_counted_once_each_with_the_last_where_there_are_as_many_as_asked_for(ours: WordTable) -> None:
    assert ours.reach('"bank"', 100) == (4, 0)
    assert ours.reach('"bank"', 4) == (4, SECOND + 1)
    assert ours.reach('"bank"', 3) == (3, SECOND)
    assert ours.reach('"sea"', 100) == (0, 0)
    of_all = WordTable(ours.tx, Table(ours.table.number))
    assert [of_all.reach('"bank"', limit) for limit in (3, 8, 9)] == [(3, FIRST), (8, SECOND + 1), (8, 0)]
    assert of_all.reach('"sea"', 100) == (0, 0)
    assert [ours.count_holding('"bank"', limit) for limit in (1, 4, 100)] == [1, 4, 4]
    assert ours.count_holding('"sea"', 100) == 0


def test_a_place_is_a_passage_with_the_column_and_the_number_of_the_word(ours: WordTable) -> None:
    assert _places(ours, "river", "river") == [
        (FIRST, "text", 0), (FIRST, "title", 1), (FIRST + 1, "text", 2),
        (SECOND, "text", 0), (SECOND, "title", 1), (SECOND + 1, "text", 2),
    ]  # fmt: skip
    assert _places(ours, "head", "head") == [(FIRST, "headings", 1), (SECOND, "headings", 1)]
    assert _places(ours, "md", "md") == [(FIRST, "name", 1), (SECOND, "name", 1)]
    assert _places(ours, "river", "river", 2) == _places(ours, "river", "river")[:2]
    assert ours.places("sea", "sea", 100) == ("", "")


def test_a_range_has_the_places_of_all_words_from_its_first_to_its_last(ours: WordTable) -> None:
    banks, rivers = _places(ours, "bank", "bank"), _places(ours, "river", "river")
    assert sorted(_places(ours, "bank", "river")) == sorted(
        [*banks, *_places(ours, "head", "head"), *_places(ours, "md", "md"), *rivers]
    )
    assert _places(ours, "banka", "rive") == [*_places(ours, "head", "head"), *_places(ours, "md", "md")]


def test_other_forms_are_words_that_begin_alike_by_their_lengths_and_all_or_none(tx: Transaction) -> None:
    words = "standard standards2 standarten standardo standardisierung stand"
    WordIndex(tx, OURS, 3).put(packed([Passage(5 * MOST_PIECES, words, "", "standardo", "")]))
    table = WordIndex(tx, OURS, 3).table()
    assert table is not None
    tx.run(
        "INSERT INTO documents (id, kb_id, job_seq, index_version, uri, title, media_type, content_hash, recipe)"
        " VALUES (5, ?, 1, 3, 'b.md', '', '', '', '')",
        OURS,
    )
    own = WordTable(tx, table)
    places = {"standard": 0, "standarten": 2, "standardo": 3, "title": 2 << 20}

    def found(*asked: Any) -> list[int] | None:
        made = own.places_of_forms(*asked)
        return None if made is None else sorted(map(int, made[1].split(",")))

    assert found("standar", 8, 10, 100) == sorted(places.values())
    assert found("standar", 9, 9, 100) == [places["standardo"], places["title"]]
    assert found("standar", 8, 10, 7) == sorted(places.values())
    assert found("standar", 8, 10, 6) is None
    assert own.places_of_forms("river", 4, 8, 100) == ("", "")


def test_passages_that_hold_a_phrase_are_found_between_two_of_them_both_included(ours: WordTable) -> None:
    assert ours.holding('"river bank"', 100) == [FIRST, FIRST + 1, SECOND, SECOND + 1]
    assert ours.holding('"river bank"', 3) == [FIRST, FIRST + 1, SECOND]
    assert ours.holding('"river bank"', 100, FIRST + 1, SECOND) == [FIRST + 1, SECOND]
    assert ours.holding('"bank river"', 100) == [FIRST + 1, SECOND + 1]
    assert ours.holding('"sea"', 100) == []


def test_the_first_passages_of_documents_are_found_apart(ours: WordTable) -> None:
    assert ours.first_holding('"bank"', 100) == [FIRST, SECOND]
    assert ours.first_holding('"bank"', 1) == [FIRST]
    assert ours.first_holding('"sea"', 100) == []


def test_the_first_passage_is_told_from_all_others_whatever_the_numbers_of_both(tx: Transaction) -> None:
    for document in (5, 6, 7):
        at = document * MOST_PIECES
        WordIndex(tx, OURS, 2).put(packed(Passage(at + n, "delta", "", "", "") for n in range(5)))
    table = WordIndex(tx, OURS, 2).table()
    assert table is not None
    alone = WordTable(tx, Table(table.number))
    assert alone.first_holding('"delta"', 100) == [5 * MOST_PIECES, 6 * MOST_PIECES, 7 * MOST_PIECES]


def test_of_what_others_have_in_a_table_no_more_is_looked_at_than_a_bound(
    ours: WordTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_table, "_MOST_OF_OTHERS", 6)  # the others' first four, and two of ours
    assert ours.count("bank", 100) == (2, FIRST + 1)


def test_a_table_that_nobody_shares_is_told_whole(tx: Transaction, ours: WordTable) -> None:
    tx.run("DELETE FROM index_shards WHERE kb_id = ?", OTHERS)
    table = WordIndex(tx, OURS, 1).table()
    assert table is not None
    assert (table.number, table.owner) == (ours.table.number, None)
    assert WordTable(tx, table).count("bank", 100) == (16, SECOND + 1)


def _places(table: WordTable, first: str, last: str, limit: int = 100) -> list[tuple[int, str, int]]:
    passages, places = table.places(first, last, limit)
    pairs = zip(map(int, passages.split(",")), map(int, places.split(",")), strict=True)
    return [(at, ("text", "headings", "title", "name")[place >> 20], place & ((1 << 20) - 1)) for at, place in pairs]
