"""The full-text index: which words stand where in the passages.

Knowledge bases are apart: each index version of each has a table of FTS5 to itself, so that neither its statistics nor
the time it takes depend on its neighbours. Beyond ``_MOST_TABLES`` they share those that hold little: every
connection reads the names of all tables, which takes 40 ms at some thousands. The tables have no content of their own;
to take a passage out, FTS5 needs the same words again. A table that nobody uses any more is emptied in steps, and used
again.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from phaseflow.domain.words import indexed_words
from phaseflow.store.pieces import MOST_PIECES
from phaseflow.store.transaction import Transaction, json_array
from phaseflow.store.word_table import COLUMNS, Table

_MOST_TABLES: Final = 200
_MOST_SHARED: Final = 20_000
"""Passages of a table that another knowledge base may share; beyond, it gets one to itself all the same."""
_LONGEST_NAME: Final = 300

TOKENIZE: Final = "tokenize = \"porter unicode61 remove_diacritics 2 categories 'L* M* N* Co'\""
_TABLE: Final = f"CREATE VIRTUAL TABLE passages_{{n}} USING fts5 ({', '.join(COLUMNS)}, content = '', {TOKENIZE})"
_TABLE_PARTS: Final = (
    _TABLE,
    # Merge segments in larger steps: a bulk load spends a quarter less time on them, and search is as fast.
    "INSERT INTO passages_{n} (passages_{n}, rank) VALUES ('automerge', 16)",
    # Far above automerge: at the same number, its default, a whole level would be merged in one transaction.
    "INSERT INTO passages_{n} (passages_{n}, rank) VALUES ('crisismerge', 64)",
    "CREATE VIRTUAL TABLE word_places_{n} USING fts5vocab (passages_{n}, instance)",
)


_UNUSED: Final = (
    "SELECT shard FROM index_tables AS t WHERE is_empty = 0 AND NOT EXISTS"
    " (SELECT 1 FROM index_shards AS s WHERE s.shard = t.shard) LIMIT 1"
)
_CUT: Final = "value ->> 0, " + ", ".join(
    f"CAST(substr(?2, value ->> {2 * column + 1}, value ->> {2 * column + 2}) AS TEXT)"
    for column in range(len(COLUMNS))
)
"""SQL for a passage of ``Packed``. A column that it does not have is null, which has no words."""
_FIRST_PAGE: Final = 1 << 10
"""Below are the records of the whole table: its averages and the list of its segments."""
_STEP: Final = 200
"""Pages of some 4 kB."""


class Passage(NamedTuple):
    """A passage and what it is found by. Title and uri stand with the first passage of a document."""

    id: int
    text: str
    headings: str
    title: str
    uri: str


class Packed(NamedTuple):
    """Words of passages, as ``put`` and ``take_out`` take them: one behind the other, and where each begins.

    SQLite cuts them out of one blob. As JSON, each text would be parsed twice, which takes a third longer.
    """

    places: str
    words: bytes
    size: int


def packed(passages: Iterable[Passage]) -> Packed:
    """The words of passages. Made outside the writer's thread where it can be."""
    places: list[list[object]] = []
    words: list[bytes] = []
    at = 1
    for passage in passages:
        place: list[object] = [passage.id]
        for text in _columns(passage):
            found = text.encode()
            words.append(found)
            place += (at, len(found))
            at += len(found)
        places.append(place)
    return Packed(json_array(places), b"".join(words), len(places))


def _columns(passage: Passage) -> list[str]:
    """What is missing at the end is empty; most passages have only a text, and the headings of the one before."""
    columns = [indexed_words(passage.text)]
    if not passage.id % MOST_PIECES:
        columns += (_words_above(passage.headings), indexed_words(passage.title), indexed_words(_path(passage.uri)))
    elif passage.headings:
        columns.append(_words_above(passage.headings))
    return columns


_words_above: Final[Callable[[str], str]] = lru_cache(maxsize=64)(indexed_words)
"""Passages that follow one another mostly stand under the same headings."""


def _path(uri: str) -> str:
    """What of a uri names the document: without scheme and host."""
    return (uri.partition("://")[2].partition("/")[2] if "://" in uri else uri)[-_LONGEST_NAME:]


class WordIndex(NamedTuple):
    """The full-text index of one index version, in a table to itself while there are not too many."""

    tx: Transaction
    kb_key: str
    index_version: int

    def table(self) -> Table | None:
        """The table that holds an index version; None while nothing of it is indexed."""
        found = self.tx.row(
            "SELECT shard, EXISTS (SELECT 1 FROM index_shards AS o WHERE o.shard = s.shard LIMIT 1 OFFSET 1)"
            " FROM index_shards AS s WHERE kb_id = ? AND index_version = ?",
            self.kb_key, self.index_version,
        )  # fmt: skip
        if found is None:
            return None
        number, is_shared = found
        return Table(int(number), (self.kb_key, self.index_version) if is_shared else None)

    def passages(self) -> int:
        """How many are indexed, those included that search does not see yet."""
        found = self.tx.value(
            "SELECT passages FROM index_shards WHERE kb_id = ? AND index_version = ?", self.kb_key, self.index_version
        )
        return int(found or 0)

    def _number(self) -> int | None:
        found = self.tx.value(
            "SELECT shard FROM index_shards WHERE kb_id = ? AND index_version = ?", self.kb_key, self.index_version
        )
        return None if found is None else int(found)

    def put(self, passages: Packed) -> None:
        """Index passages."""
        number = self._number()
        if number is None:
            number = _table_for(self.tx, self.kb_key, self.index_version)
        self.tx.run(
            f"INSERT INTO passages_{number} (rowid, text, headings, title, name) SELECT {_CUT} FROM json_each(?1)",
            passages.places, passages.words,
        )  # fmt: skip
        self.tx.run(
            "UPDATE index_shards SET passages = passages + ?3 WHERE kb_id = ?1 AND index_version = ?2",
            self.kb_key, self.index_version, passages.size,
        )  # fmt: skip

    def take_out(self, passages: Packed) -> None:
        """Take passages out, with the same words that were put in."""
        number = self._number()
        self.tx.run(
            f"INSERT INTO passages_{number} (passages_{number}, rowid, text, headings, title, name)"
            f" SELECT 'delete', {_CUT} FROM json_each(?1)",
            passages.places, passages.words,
        )  # fmt: skip
        self.tx.run(
            "UPDATE index_shards SET passages = passages - ?3 WHERE kb_id = ?1 AND index_version = ?2",
            self.kb_key, self.index_version, passages.size,
        )  # fmt: skip
        self.tx.run("UPDATE index_tables SET removed = removed + ? WHERE shard = ?", passages.size, number)
        # Only of a version that nobody will write to again: a knowledge base that is merely empty keeps its table.
        self.tx.run(
            "DELETE FROM index_shards WHERE kb_id = ?1 AND index_version = ?2 AND passages <= 0 AND NOT EXISTS"
            " (SELECT 1 FROM knowledge_bases WHERE id = ?1 AND index_version <= ?2 AND name IS NOT NULL)",
            self.kb_key, self.index_version,
        )  # fmt: skip


class IndexTables(NamedTuple):
    """The tables in which the words of all index versions are."""

    tx: Transaction

    def has_table_alone(self, kb_key: str) -> bool:
        """Whether no other knowledge base has passages in the tables of this one: then they are emptied as a whole."""
        return not self.tx.row(
            "SELECT 1 FROM index_shards AS s JOIN index_shards AS o ON o.shard = s.shard AND o.kb_id <> s.kb_id"
            " WHERE s.kb_id = ? LIMIT 1",
            kb_key,
        )

    def empty_some(self) -> bool:
        """Delete a bounded part of a table that nobody uses; False when there is none."""
        number = self.tx.value(_UNUSED)
        if number is None:
            return False
        # Row by row of what FTS5 keeps a table in, since its own ``delete-all`` takes as long as the table is large.
        # That comes last, for the records of the whole table. Nobody reads it meanwhile.
        if not self.tx.rows(
            f"DELETE FROM passages_{number}_data WHERE id IN"
            f" (SELECT id FROM passages_{number}_data WHERE id > {_FIRST_PAGE} LIMIT {_STEP}) RETURNING 1"
        ) and not self.tx.rows(
            f"DELETE FROM passages_{number}_docsize WHERE id IN"
            f" (SELECT id FROM passages_{number}_docsize LIMIT {10 * _STEP}) RETURNING 1"
        ):
            self.tx.run(f"INSERT INTO passages_{number} (passages_{number}) VALUES ('delete-all')")
            self.tx.run("UPDATE index_tables SET is_empty = 1, removed = 0 WHERE shard = ?", number)
        return True

    def is_emptying(self) -> bool:
        """Whether ``empty_some`` would find anything."""
        return self.tx.value(_UNUSED) is not None


def _table_for(tx: Transaction, kb_key: str, index_version: int) -> int:
    number = (
        tx.value(
            "SELECT shard FROM index_tables AS t WHERE is_empty = 1 AND NOT EXISTS"
            " (SELECT 1 FROM index_shards AS s WHERE s.shard = t.shard) LIMIT 1"
        )
        or _shared_table(tx)
        or _new_table(tx)
    )
    tx.run("UPDATE index_tables SET is_empty = 0 WHERE shard = ?", number)
    tx.run("INSERT INTO index_shards (kb_id, index_version, shard) VALUES (?, ?, ?)", kb_key, index_version, number)
    return int(number)


def _shared_table(tx: Transaction) -> int | None:
    """The table that holds least, once there are enough; None where that is not little."""
    if int(tx.value("SELECT count(*) FROM index_tables")) < _MOST_TABLES:
        return None
    least = tx.row(
        "SELECT shard FROM index_shards GROUP BY shard HAVING sum(passages) <= ?"
        " ORDER BY sum(passages), count(*) LIMIT 1",
        _MOST_SHARED,
    )
    return None if least is None else int(least[0])


def _new_table(tx: Transaction) -> int:
    number = int(tx.value("SELECT coalesce(max(shard), 0) + 1 FROM index_tables"))
    tx.run("INSERT INTO index_tables (shard) VALUES (?)", number)
    for statement in _TABLE_PARTS:
        tx.run(statement.format(n=number))
    return number
