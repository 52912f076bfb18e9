"""Where the words of a query stand in the passages of a knowledge base, as the full-text index says."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, Final

from phaseflow.components.arrays import numbers, runs
from phaseflow.components.resident import Passages
from phaseflow.domain.words import is_unspaced
from phaseflow.store import postings
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import LAST, Table, WordTable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]

MOST_COUNTED: Final = 20_000
"""Passages that have a word, or places of it, that are counted: more than are looked at."""
_MOST_COUNTS: Final = 50_000
"""Counts of words that are remembered, of all knowledge bases."""
_MOST_KNOWN: Final = 20_000
_LONGEST_KNOWN: Final = 64
"""Parts of queries that are remembered, and their characters."""
_STEM: Final = 0.7
"""Other forms of a word begin with this share of it, …"""
_SHORTEST_STEM: Final = 4
"""… and with so many characters at least; …"""
_MOST_OF_ENDING: Final = 4
"""… they are longer or shorter by so many at most, …"""
_MOST_OF_FORMS: Final = 500
"""… and all words that begin so stand in fewer places: 0.1 ms. The beginning of more is that of many words."""
_COLUMN_BITS: Final = 20
"""A place in a passage is its column, shifted, plus the number of the word; a passage has at most 10^5 characters."""
_PASSAGE_BITS: Final = 22
"""There are four columns."""
_FIRST_NAME: Final = 2
"""Columns from this one on are what a document is called."""


class Tokenizer:
    """Cuts a query into words exactly as the index does, with FTS5 itself, and remembers what stood between two blanks:
    most of it comes again, and FTS5 takes a quarter of a millisecond. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._known: dict[str, list[str]] = {}

    def words(self, text: str) -> list[str]:
        """The words of a text that went through ``indexed_words``, in order."""
        parts = text.split(" ")  # a blank ends a word in FTS5, too, and no word depends on others
        found = {part: known for part in parts if (known := self._known.get(part)) is not None}
        if new := [part for part in dict.fromkeys(parts) if part not in found]:
            found |= self._cut(new)
        return _without_ends([word for part in parts for word in found[part]])

    def _cut(self, parts: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {part: [] for part in parts}
        with self._lock:
            connection = self._connection = self._connection or _opened()
            connection.execute("BEGIN")
            try:
                connection.executemany("INSERT INTO query (rowid, text) VALUES (?, ?)", list(enumerate(parts)))
                rows = connection.execute("SELECT doc, term FROM places ORDER BY doc, offset").fetchall()
            finally:
                connection.execute("ROLLBACK")
            for number, word in rows:
                # One without letters is NULL: diacritics behind a letter that Unicode has and this SQLite does not.
                if word:
                    found[parts[number]].append(word)
            if len(self._known) + len(found) > _MOST_KNOWN:
                self._known.clear()
            self._known |= {part: words for part, words in found.items() if len(part) <= _LONGEST_KNOWN}
        return found

    def kept(self, words: Sequence[str]) -> set[str]:
        """Those words of the index that an expression finds, in which they are stemmed once more."""
        again = self.words(" ".join(words))
        if len(again) == len(words):  # at once: one by one, they take as long as it takes to count them
            return {word for word, stemmed in zip(words, again, strict=True) if stemmed == word}
        return {word for word in words if self.words(word) == [word]}


def _without_ends(words: list[str]) -> list[str]:
    """Without the last character of what is written without spaces: where the query ends, the text may go on."""
    return [
        word
        for n, word in enumerate(words)
        if not (n and may_begin_more(word) and len(words[n - 1]) == 2 and words[n - 1][1] == word)
    ]


def _opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute(
        f"CREATE VIRTUAL TABLE query USING fts5 (text, content = '', columnsize = 0, {postings.TOKENIZE})"
    )
    connection.execute("CREATE VIRTUAL TABLE places USING fts5vocab (query, instance)")
    return connection


class WordCounts:
    """How many passages of a table have a word. To count them, FTS5 goes through all of them, 40 ms for a common word
    in a million. So those of common words are estimated, by how far the first of them reach, and all are remembered
    until the knowledge base has become a tenth larger or smaller. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._kept: dict[tuple[Table, str], tuple[int, int]] = {}

    def of(self, tx: Transaction, table: Table, words: Iterable[str], known: Passages) -> dict[str, int]:
        """About how many have each word; where a word is not that of an expression, how often it stands there. Exactly
        below ``MOST_COUNTED``."""
        passages = len(known.ids)
        counts: dict[str, int] = {}
        missing = list[str]()
        for word in dict.fromkeys(words):
            counts[word], then = self._kept.get((table, word), (0, -1))
            if then < 0 or abs(passages - then) * 10 > then:
                missing.append(word)
        kept = self._tokenizer.kept(missing) if missing else set[str]()
        for word in missing:
            count, last = self._counted(WordTable(tx, table), word, passages, is_kept=word in kept)
            if count == MOST_COUNTED and last:
                count = max(count, count * passages // max(1, int(known.ids.searchsorted(last))))
            counts[word] = count
            if not count:
                continue  # looked for again next time: a word that came in since is found at once
            if len(self._kept) >= _MOST_COUNTS:
                self._kept.clear()
            self._kept[table, word] = count, passages
        return counts

    @staticmethod
    def _counted(table: WordTable, word: str, passages: int, *, is_kept: bool) -> tuple[int, int]:
        """How many, and the last that was looked at if these may not be all."""
        if not is_kept:
            return table.count(word, MOST_COUNTED)
        if passages <= MOST_COUNTED:
            return table.count_holding(f'"{word}"', MOST_COUNTED), 0
        return table.reach(f'"{word}"', MOST_COUNTED)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a word stands, ascending: the place of the passage, shifted, plus the place in it."""

    keys: "Ids"

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def passages(self) -> "Ids":
        """The places of the passages, one for each."""
        return self.keys >> _PASSAGE_BITS

    @property
    def columns(self) -> "Ids":
        """The columns, one for each."""
        return self.keys >> _COLUMN_BITS & 3

    def in_names(self) -> "Ids":
        """The places of passages that have it in the title or the name of their document, each once."""
        named = self.passages[self.columns >= _FIRST_NAME]
        return named[runs(named)]

    def before(self, next_one: "Places") -> "Places":
        """Those that another word follows."""
        if len(next_one) < len(self):
            return Places(_in_both(next_one.keys - 1, self.keys))
        return Places(_in_both(self.keys, next_one.keys - 1))


def read(tx: Transaction, table: Table, known: Passages, word: str, limit: int) -> tuple[Places, bool]:
    """Up to ``limit`` places of a word, and whether these are all."""
    last = word + LAST if may_begin_more(word) else word
    ids, positions = map(numbers, WordTable(tx, table).places(word, last, limit))
    at, is_seen = known.places(ids)
    keys = (at[is_seen] << _PASSAGE_BITS) + positions[is_seen]
    if last != word:
        keys.sort()
    return Places(keys), len(ids) < limit


def has_other_forms(word: str) -> bool:
    """Whether a word is long enough to have some, and no code."""
    return len(word) > _SHORTEST_STEM and not any(map(str.isnumeric, word))


def read_other_forms(tx: Transaction, table: Table, known: Passages, word: str) -> Places:
    """The places of other forms of a word, by what they begin with: in languages that bend a word in many ways, a text
    mostly has another one than a question. None where too much begins like the word."""
    stem = word[: max(_SHORTEST_STEM, ceil(len(word) * _STEM))]
    sizes = len(word) - _MOST_OF_ENDING, len(word) + _MOST_OF_ENDING
    found = WordTable(tx, table).places_of_forms(stem, *sizes, _MOST_OF_FORMS)
    ids, positions = map(numbers, found or ("", ""))
    at, is_seen = known.places(ids)
    keys = (at[is_seen] << _PASSAGE_BITS) + positions[is_seen]
    keys.sort()
    return Places(keys)


def may_begin_more(word: str) -> bool:
    """A single character of a script without spaces stands in the index as the first of two."""
    return len(word) == 1 and is_unspaced(word)


def in_both(first: "Ids", second: "Ids") -> "Ids":
    """What two ascending arrays without repetitions have in common."""
    return _in_both(*sorted((first, second), key=len))


def _in_both(few: "Ids", many: "Ids") -> "Ids":
    at = many.searchsorted(few)
    at[at == len(many)] = 0
    return few[many[at] == few] if len(many) else few[:0]
