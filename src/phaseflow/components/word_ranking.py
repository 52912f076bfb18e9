"""How well words match: BM25 over passages and over whole documents, with the order of neighbouring words.

The statistics are those of the passages that search sees in one knowledge base. BM25 of a whole document, whose words
are summed up from its passages, is not misled by how short a passage is; neighbouring words of the query that are
neighbours in the text count as words of their own (Metzler and Croft, "A Markov Random Field Model for Term
Dependencies", SIGIR 2005).
"""

import itertools
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from threading import Lock
from typing import TYPE_CHECKING

from phaseflow.components.resident import Passages, numbers, runs
from phaseflow.domain.words import is_unspaced
from phaseflow.store import postings
from phaseflow.store.postings import WordTable
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

K1, B = 1.5, 0.75
"""BM25's saturation and the weight of lengths."""
_NEIGHBOURS = 0.2
"""Weight of two words that follow each other as in the query, beside that of a word."""
_COLUMN_WEIGHTS = (1.0, 0.6, 2.0, 1.5)
"""Of a word in the text, in the headings above it, in its document's title and in its name."""
MOST_PLACES = 15_000
"""Places of words that are looked at, those of the rarest words first: 5 ms. The words that are left out then stand
so often that they tell little. The first word is looked at all the same, up to as many."""
MOST_COUNTED = 20_000
"""Places of a word that are counted: more than are looked at."""
_MOST_COUNTS = 50_000
"""Counts of words that are remembered, of all knowledge bases."""
MOST_WORDS = 512
"""Different words of a query that are looked up."""
_LAST = "\U0010ffff"
_COLUMN_BITS = 20
"""A place in a passage is its column, shifted, plus the number of the word; a passage has at most 10^5 characters."""
_STEP = len(_COLUMN_WEIGHTS) << _COLUMN_BITS
"""Greater than any place in a passage."""


class WordCounts:
    """How often words stand in a table: to count them, FTS5 goes through all their places, 200 ms for a common one in
    a million passages. So those of common words are estimated, by how far the first of them reach, and all are
    remembered until the knowledge base has become a tenth larger or smaller. Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], tuple[int, int]] = {}

    def of(self, tx: Transaction, table: int, word: str, known: Passages) -> int:
        """About how often; exactly where it is less often than ``MOST_COUNTED``."""
        passages = len(known.ids)
        count, then = self._kept.get((table, word), (0, -1))
        if then < 0 or abs(passages - then) * 10 > then:
            count, last = WordTable(tx, table).count(word, MOST_COUNTED)
            if not count:
                return 0  # looked for again next time: a word that came in since is found at once
            if count == MOST_COUNTED:
                count = max(count, count * passages // max(1, int(known.ids.searchsorted(last))))
            if len(self._kept) >= _MOST_COUNTS:
                self._kept.clear()
            self._kept[table, word] = count, passages
        return count


@dataclass(frozen=True, slots=True)
class WordScores:
    """BM25 of all passages and of all documents, and what a text would have that holds each word once."""

    passages: "Numbers"
    documents: "Numbers"
    full: float

    @property
    def has_any(self) -> bool:
        """Whether any word was found."""
        return bool(len(self.passages) and self.passages.max() > 0)


class Tokenizer:
    """Cuts a query into words exactly as the index does, with FTS5 itself. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None

    def words(self, text: str) -> list[str]:
        """The words of a text that went through ``indexed_words``, in order."""
        with self._lock:
            connection = self._connection = self._connection or _opened()
            connection.execute("INSERT INTO query (rowid, text) VALUES (1, ?)", (text,))
            rows = connection.execute("SELECT term FROM places ORDER BY offset").fetchall()
            connection.execute("DELETE FROM query")
        return _without_ends([row[0] for row in rows])


def _without_ends(words: list[str]) -> list[str]:
    """Without the last character of what is written without spaces: where the query ends, the text may go on."""
    return [
        word
        for n, word in enumerate(words)
        if not (n and _may_begin_more(word) and len(words[n - 1]) == 2 and words[n - 1][1] == word)
    ]


def _opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute(f"CREATE VIRTUAL TABLE query USING fts5 (text, {postings.TOKENIZE})")
    connection.execute("CREATE VIRTUAL TABLE places USING fts5vocab (query, instance)")
    return connection


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a word stands: places of passages, and places in them; both ascending."""

    passages: "npt.NDArray[np.int64]"
    positions: "npt.NDArray[np.int64]"


def scored(
    tx: Transaction, table: int | None, known: Passages, words: Sequence[str], remembered: WordCounts
) -> WordScores:
    """Score all passages by the words of a query, which came from ``Tokenizer``.

    A word counts as often as the query has it: long questions repeat what they are about.
    """
    import numpy as np

    sheet = _Sheet(known)
    times = Counter(words)
    distinct = list(times)[:MOST_WORDS]
    counts = {word: 0 if table is None else remembered.of(tx, table, word, known) for word in distinct}
    room, found = MOST_PLACES, dict[str, _Places]()
    # Rarest first, until the room for places is used up: rare words decide the order, and a word that half of all
    # passages have moves every score by about the same. Leaving out all words above some frequency would drop the only
    # word of a short question. What is left out still counts in ``full``, so that scores stay comparable.
    for word in sorted(distinct, key=lambda each: counts[each]):
        if table is None or (not counts[word] and not _may_begin_more(word)):
            sheet.expect(0, times[word])
            continue
        if counts[word] > room and found:
            sheet.expect(min(len(known.ids), counts[word]), times[word])
            continue
        found[word] = _places(tx, table, known, word, max(1, room))
        room -= len(found[word].passages)
        sheet.add_word(found[word], times[word])
    for first, second in dict.fromkeys(itertools.pairwise(words)):
        if first in found and second in found:
            sheet.add_pair(found[first], found[second])
    return WordScores(
        np.asarray(sheet.passages, np.float32), np.asarray(sheet.documents, np.float32), max(sheet.full, 1e-9)
    )


def _may_begin_more(word: str) -> bool:
    """A single character of a script without spaces stands in the index as the first of two."""
    return len(word) == 1 and is_unspaced(word)


def _places(tx: Transaction, table: int, known: Passages, word: str, limit: int) -> _Places:
    last = word + _LAST if _may_begin_more(word) else word
    ids, positions = map(numbers, WordTable(tx, table).places(word, last, limit))
    at, is_seen = known.places(ids)
    found = _Places(at[is_seen], positions[is_seen])
    if last == word:
        return found
    order = (found.passages * _STEP + found.positions).argsort(kind="stable")
    return _Places(found.passages[order], found.positions[order])


class _Sheet:
    """Adds up the scores of a query."""

    def __init__(self, known: Passages) -> None:
        import numpy as np

        self._known = known
        self._weights = np.array(_COLUMN_WEIGHTS)
        self.passages = np.zeros(len(known.ids))
        self.documents = np.zeros(len(known.documents))
        self.full = 0.0

    def expect(self, passages: int, times: int) -> None:
        """A word that no passage has, or that so many have and that is left out."""
        self.full += times * _weight(len(self._known.ids), passages)

    def add_word(self, places: _Places, times: int) -> None:
        """Count a word that the query has so many times."""
        self.full += self._add(places.passages, self._weights[places.positions >> _COLUMN_BITS], times)

    def add_pair(self, first: _Places, second: _Places) -> None:
        """Count the places where the second word follows the first."""
        import numpy as np

        wanted = first.passages * _STEP + first.positions + 1
        there = second.passages * _STEP + second.positions
        if len(wanted) and len(there):
            at = np.searchsorted(there, wanted)
            at[at == len(there)] = 0
            both = there[at] == wanted
            self._add(first.passages[both], self._weights[first.positions[both] >> _COLUMN_BITS], _NEIGHBOURS)

    def _add(self, at: "npt.NDArray[np.int64]", weights: "npt.NDArray[np.float64]", share: float) -> float:
        """Add BM25 of something that stands at these passages (ascending), with these weights; its weight."""
        import numpy as np

        if not len(at):
            return _weight(len(self._known.ids), 0) * share
        known, firsts = self._known, runs(at)
        often, at = np.add.reduceat(weights, firsts), at[firsts]
        rarity = _weight(len(known.ids), len(at)) * share
        self.passages[at] += rarity * _saturated(often, known.lengths[at] / known.mean_length)
        owners = known.document_of[at]
        firsts = runs(owners)
        often, owners = np.add.reduceat(often, firsts), owners[firsts]
        self.documents[owners] += (
            _weight(len(known.documents), len(owners))
            * share
            * _saturated(often, known.document_lengths[owners] / known.mean_document_length)
        )
        return rarity


def _weight(total: int, having: int) -> float:
    """How much a word tells that so many of all have."""
    return log(1 + (max(total, having) - having + 0.5) / (having + 0.5))


def _saturated(often: "npt.NDArray[np.float64]", length: "Numbers") -> "npt.NDArray[np.float64]":
    factors: npt.NDArray[np.float64] = often * (K1 + 1) / (often + K1 * (1 - B + B * length))
    return factors
