"""The tables of the full-text index: whose they are, what a passage is found by, and how they are emptied."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from phaseflow.store import postings
from phaseflow.store.pieces import MOST_PIECES
from phaseflow.store.postings import IndexTables, Passage, WordIndex, packed
from phaseflow.store.schema import schema_sql
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import Table, WordTable

FIRST = 5 * MOST_PIECES


@pytest.fixture
def tx() -> Iterator[Transaction]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema_sql())
        yield Transaction(connection)


def put(tx: Transaction, kb_key: str, version: int = 1, count: int = 1, first: int = FIRST) -> int:
    """Passages of a document of the word "delta"; the number of the table that has them."""
    WordIndex(tx, kb_key, version).put(packed(Passage(first + n, "delta", "", "", "") for n in range(count)))
    table = WordIndex(tx, kb_key, version).table()
    assert table is not None
    return table.number


def passages(tx: Transaction, kb_key: str, version: int = 1) -> int | None:
    """How many are counted."""
    found: int | None = tx.value(
        "SELECT passages FROM index_shards WHERE kb_id = ? AND index_version = ?", kb_key, version
    )
    return found


def holding(tx: Transaction, number: int, word: str) -> list[int]:
    return WordTable(tx, Table(number)).holding(f'"{word}"', 100)


def test_only_the_first_passage_is_found_by_title_and_name_and_each_by_its_headings(tx: Transaction) -> None:
    texts = ("zwölf", "naïve", "x", "")
    WordIndex(tx, "kb~1", 1).put(
        packed(
            Passage(FIRST + n, text, f"head{n}" if n != 2 else "", "title", "name.md") for n, text in enumerate(texts)
        )
    )
    assert [holding(tx, 1, f"head{n}") for n in range(4)] == [[FIRST], [FIRST + 1], [], [FIRST + 3]]
    assert [holding(tx, 1, text) for text in texts[:3]] == [[FIRST], [FIRST + 1], [FIRST + 2]]
    assert [holding(tx, 1, word) for word in ("title", "name")] == [[FIRST], [FIRST]]
    assert passages(tx, "kb~1") == 4


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("https://alpha.org/beta/gamma.html", "beta gamma html"),
        ("https://alpha.org", ""),
        ("s3://alpha/beta", "beta"),
        ("alpha/beta.md", "alpha beta md"),
        ("alpha " + "b" * 294 + " end", "b end"),
    ],
)
def test_a_document_is_found_by_its_path_without_scheme_and_host(tx: Transaction, uri: str, words: str) -> None:
    WordIndex(tx, "kb~1", 1).put(packed([Passage(FIRST, "", "", "", uri)]))
    every = ("alpha", "beta", "gamma", "html", "md", "org", "https", "s3", "end")
    found = [word for word in every if holding(tx, 1, word)]
    assert found == [word for word in every if word in words.split()]


def test_what_is_taken_out_is_counted_and_leaves_no_word(tx: Transaction) -> None:
    tx.run("INSERT INTO knowledge_bases (id, name, settings, index_version, created_at, updated_at) VALUES"
           " ('kb~1', 'kb', '{}', 1, '', '')")  # fmt: skip
    number = put(tx, "kb~1", count=3)
    WordIndex(tx, "kb~1", 1).take_out(packed(Passage(FIRST + n, "delta", "", "", "") for n in (0, 2)))
    assert (holding(tx, number, "delta"), passages(tx, "kb~1")) == ([FIRST + 1], 1)
    assert tx.value("SELECT removed FROM index_tables") == 2
    WordIndex(tx, "kb~1", 1).take_out(packed([Passage(FIRST + 1, "delta", "", "", "")]))
    assert passages(tx, "kb~1") == 0  # it is merely empty: it keeps its table


def test_a_version_that_nobody_will_write_to_again_gives_its_table_back_with_its_last_passage(tx: Transaction) -> None:
    put(tx, "kb~1", count=2)
    for n, left in ((1, 1), (0, None)):
        WordIndex(tx, "kb~1", 1).take_out(packed([Passage(FIRST + n, "delta", "", "", "")]))
        assert passages(tx, "kb~1") == left
    assert IndexTables(tx).is_emptying()


def test_each_version_of_each_has_a_table_until_there_are_so_many(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "_MOST_TABLES", 3)
    monkeypatch.setattr(postings, "_MOST_SHARED", 5)
    owners = [
        ("kb~1", 1, 5),
        ("kb~1", 2, 6),
        ("kb~2", 1, 4),
        ("kb~3", 1, 1),
        ("kb~4", 1, 1),
        ("kb~5", 1, 9),
        ("kb~6", 1, 1),
    ]
    numbers = [put(tx, key, version, count, n * MOST_PIECES) for n, (key, version, count) in enumerate(owners, start=1)]
    # The third is shared by the fourth (4 are the least); then 5 and 5, of which the first has fewer owners; and so on.
    assert numbers == [1, 2, 3, 3, 1, 3, 4]
    assert [WordIndex(tx, key, version).table() for key, version, _ in owners] == [
        Table(1, ("kb~1", 1)), Table(2), Table(3, ("kb~2", 1)), Table(3, ("kb~3", 1)), Table(1, ("kb~4", 1)),
        Table(3, ("kb~5", 1)), Table(4),
    ]  # fmt: skip
    assert [IndexTables(tx).has_table_alone(f"kb~{n}") for n in (1, 2, 6)] == [False, False, True]
    assert WordIndex(tx, "kb~7", 1).table() is None


def test_a_table_of_nobody_is_emptied_in_steps_and_used_again(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postings, "_STEP", 2)
    number, other = put(tx, "kb~1", count=70), put(tx, "kb~2", count=70)
    assert not IndexTables(tx).is_emptying()
    assert not IndexTables(tx).empty_some()
    tx.run("DELETE FROM index_shards WHERE kb_id = 'kb~1'")
    sizes = []
    while IndexTables(tx).empty_some():
        sizes.append(
            [tx.value(f"SELECT count(*) FROM passages_{number}_{part}") for part in ("data WHERE id > 1024", "docsize")]
        )
        assert IndexTables(tx).is_emptying() or sizes[-1] == [0, 0]
        assert len(sizes) < 100
    assert [rows for _, rows in sizes if rows < 70] == [50, 30, 10, 0, 0]
    assert tx.row("SELECT is_empty, removed FROM index_tables WHERE shard = ?", number) == (1, 0)
    assert put(tx, "kb~3", first=8 * MOST_PIECES) == number
    assert holding(tx, number, "delta") == [8 * MOST_PIECES]
    assert len(holding(tx, other, "delta")) == 70
    tx.run(f"INSERT INTO passages_{number} (passages_{number}) VALUES ('integrity-check')")
