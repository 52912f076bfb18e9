"""How well words match: BM25 over passages and over whole documents, with the order of neighbouring words.

The statistics are those of the passages that search sees in one knowledge base. BM25 of a whole document, whose words
are summed up from its passages, is not misled by how short a passage is; neighbouring words of the query that are
neighbours in the text count as words of their own (Metzler and Croft, "A Markov Random Field Model for Term
Dependencies", SIGIR 2005).
"""

import itertools
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from weakref import ReferenceType, ref

from phaseflow.components import word_places
from phaseflow.components.bm25 import Ranked, ranked, weight
from phaseflow.components.resident import Passages
from phaseflow.components.word_places import (
    Places,
    WordCounts,
    has_other_forms,
    in_both,
    may_begin_more,
    read_other_forms,
)
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import Table, WordTable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

_NEIGHBOURS = 0.2
"""Weight of two words that follow each other as in the query, beside that of a word."""
_JOINED = 0.4
"""The same where the query joins them by a hyphen or a slash."""
MOST_PLACES = 15_000
"""Places of words that are looked at, those of the rarest words first: 3 ms. The words that are left out then stand
so often that they tell little. The first word is looked at all the same, up to as many."""
MOST_WORDS = 512
"""Different words of a query that are looked up."""
_OTHER_FORM = 0.5
"""What another form of a word counts that stands nowhere itself. With those of words that stand in a few passages most
collections ranked better still, and some in English worse: of English words the index takes off the endings."""
_MOST_IN_OTHER_FORMS = 4
"""Words of a query that are looked for in other forms, its first: 0.3 ms each. More found nothing more."""
LEAST_REMEMBERED = 200
"""Places of a word that is remembered: those of a rare one are read as quickly."""
_MOST_REMEMBERED = 500_000
"""Places of remembered words, of all knowledge bases: 20 MB at most."""
_MOST_REMEMBERED_OF_PAIRS = 200_000
"""Passages of remembered pairs of words: 6 MB at most."""
_MOST_TIMES = 2
"""How often most words stand in the passages that have them, on average, at most."""
_OFTENER = 1.15
"""How much more often than the last one another word may."""
_MOST_WORDS_COUNTED = 10_000
"""Words whose places are counted and remembered."""


@dataclass(frozen=True)
class WordScores:
    """BM25 of all passages and of all documents, and what a text would have that holds each word once.

    ``in_names``: the places of passages whose document has all words that were looked at in its title or its name, of
    which a document that is called like the query is one. None where that is not known: even the rarest word stands so
    often that only a part of its places was looked at. ``weights``: what the words that were looked at add
    to ``full``. ``highest``: what a word would that one passage has.
    """

    passages: "Numbers"
    documents: "Numbers"
    full: float
    in_names: "npt.NDArray[np.int64] | None" = None
    weights: Mapping[str, float] = field(default_factory=dict)
    highest: float = 0.0

    @property
    def has_any(self) -> bool:
        """Whether any word was found."""
        return bool(len(self._found[0]))

    def best_passages(self, most: int) -> "Ids":
        """The places of those with the highest scores, of those that have any."""
        return _highest(*self._found, most)

    @cached_property
    def _found(self) -> "tuple[Ids, Numbers]":
        return _above_zero(self.passages)


class _Term(NamedTuple):
    """A word among the passages as they were then, by at most ``limit`` of its places. ``is_whole``: these are all."""

    known: "ReferenceType[Passages]"
    limit: int
    places: Places
    is_whole: bool
    ranked: Ranked
    in_names: "Ids"

    def fits(self, limit: int) -> bool:
        """Whether it is the same by at most so many."""
        return self.is_whole and len(self.places) < limit


class _Pair(NamedTuple):
    """Two words as neighbours among the passages as they were then, by the first so many places of each."""

    known: "ReferenceType[Passages]"
    of: tuple[int, ...]
    ranked: Ranked


@dataclass(frozen=True, slots=True)
class _Bounds:
    """In how many places a word stands among the passages as they were then."""

    known: "ReferenceType[Passages]"
    least: int = 0
    most: int = 1 << 62


class Terms:
    """The words that were searched for, with their places and scores: common words come again in the next query, and
    to read 15,000 places takes 3 ms. Remembered while what search sees does not change. Thread-safe."""

    def __init__(self, counts: WordCounts) -> None:
        self.counts = counts
        self._kept: OrderedDict[tuple[Table, str], _Term] = OrderedDict()
        self._size = 0
        self._pairs: dict[tuple[Table, str, str], _Pair] = {}
        self._size_of_pairs = 0
        self._counted: dict[tuple[Table, str], _Bounds] = {}
        self._often: tuple[ReferenceType[Passages], float] | None = None
        """Among the passages that were searched last, how often a word may stand in each that has it."""
        self._lock = Lock()

    def look_up(self, tx: Transaction, table: Table, known: Passages, word: str, limit: int) -> _Term:
        """A word, by at most ``limit`` of its places."""
        with self._lock:
            kept = self._kept.get((table, word))
            if kept is not None and kept.known() is known and (kept.limit == limit or kept.fits(limit)):
                self._kept.move_to_end((table, word))
                return kept
        places, is_whole = word_places.read(tx, table, known, word, limit)
        term = _Term(ref(known), limit, places, is_whole, ranked(known, places), places.in_names())
        if not is_whole:
            self._note(table, word, known, limit)
        elif len(places) >= LEAST_REMEMBERED:
            self._often = ref(known), len(places) / len(term.ranked.at) * _OFTENER
        if len(places) >= LEAST_REMEMBERED and (is_whole or limit == MOST_PLACES):
            self._remember((table, word), term)
        return term

    def has_room(self, tx: Transaction, table: Table, known: Passages, word: str, having: int, limit: int) -> bool:
        """Whether a word that so many passages have stands in fewer places than ``limit``, or most likely does. Where
        that cannot be told, they are counted, in a fourth of the time of reading them to find that they are too many.
        """
        if having > limit or having * _MOST_TIMES < limit or may_begin_more(word):
            return having <= limit
        kept = self._kept.get((table, word))
        if kept is not None and kept.known() is known and kept.is_whole:
            return kept.fits(limit)
        bounds = self._bounds(table, word, known)
        if not bounds.least < limit <= bounds.most:
            return limit > bounds.most
        if (often := self._often) is not None and often[0]() is known and having * often[1] < limit:
            return True  # who reads it sees whether it is so
        has_more = WordTable(tx, table).has_places(word, limit)
        self._note(table, word, known, limit if has_more else 0, 0 if has_more else limit - 1)
        return not has_more

    def _bounds(self, table: Table, word: str, known: Passages) -> _Bounds:
        bounds = self._counted.get((table, word))
        return _Bounds(ref(known)) if bounds is None or bounds.known() is not known else bounds

    def _note(self, table: Table, word: str, known: Passages, least: int, most: int = 0) -> None:
        """In how many places a word stands at least, or at most; 0 where that is not known."""
        noted = self._bounds(table, word, known)
        if len(self._counted) >= _MOST_WORDS_COUNTED:
            self._counted.clear()
        self._counted[table, word] = _Bounds(noted.known, max(least, noted.least), most or noted.most)

    def neighbours(self, known: Passages, table: Table, pair: tuple[str, str], places: Sequence[Places]) -> Ranked:
        """Two words of which the second follows the first, by the places of each among these passages."""
        if min(map(len, places)) < LEAST_REMEMBERED:
            return ranked(known, places[0].before(places[1]))
        key = table, *pair
        with self._lock:
            kept = self._pairs.get(key)
        if kept is not None and kept.known() is known and kept.of == tuple(map(len, places)):
            return kept.ranked
        both = ranked(known, places[0].before(places[1]))
        with self._lock:
            old = self._pairs.pop(key, None)
            self._pairs[key] = _Pair(ref(known), tuple(map(len, places)), both)
            self._size_of_pairs += both.size - (old.ranked.size if old else 0)
            while self._size_of_pairs > _MOST_REMEMBERED_OF_PAIRS:
                self._size_of_pairs -= self._pairs.pop(next(iter(self._pairs))).ranked.size
        return both

    def _remember(self, key: tuple[Table, str], term: _Term) -> None:
        with self._lock:
            self._size += len(term.places) - (len(old.places) if (old := self._kept.pop(key, None)) else 0)
            self._kept[key] = term
            while self._size > _MOST_REMEMBERED:
                self._size -= len(self._kept.popitem(last=False)[1].places)


def scored(
    tx: Transaction,
    table: Table | None,
    known: Passages,
    words: Sequence[str],
    terms: Terms,
    joined: Set[tuple[str, str]] = frozenset(),
) -> WordScores:
    """Score all passages by the words of a query, which came from ``Tokenizer``. ``joined``: pairs of these.

    A word counts as often as the query has it: long questions repeat what they are about.
    """
    import numpy as np

    passages, documents, full = np.zeros(len(known.ids)), np.zeros(len(known.documents)), 0.0
    times = Counter(words)
    distinct = list(times)[:MOST_WORDS]
    counts = dict.fromkeys(distinct, 0) if table is None else terms.counts.of(tx, table, distinct, known)
    room, found, in_names = MOST_PLACES, dict[str, Places](), None
    weights = dict[str, float]()
    nowhere = set[str]()
    # Rarest first, until the room for places is used up: rare words decide the order, and a word that half of all
    # passages have moves every score by about the same. Leaving out all words above some frequency would drop the only
    # word of a short question. What is left out still counts in ``full``, so that scores stay comparable.
    for word in sorted(distinct, key=lambda each: counts[each]):
        if table is None or (not counts[word] and not may_begin_more(word)):
            full += times[word] * weight(len(known.ids), 0)
            in_names = np.empty(0, np.int64)
            nowhere.add(word)
            continue
        is_read = not found or terms.has_room(tx, table, known, word, counts[word], room)
        term = terms.look_up(tx, table, known, word, max(1, room)) if is_read else None
        if term is None or (found and not term.is_whole):
            full += times[word] * weight(len(known.ids), min(len(known.ids), counts[word]))
            room = 0
            continue
        found[word] = term.places
        room -= len(term.places)
        weights[word] = times[word] * term.ranked.weight
        full += weights[word]
        _add(passages, documents, term.ranked, times[word])
        if term.is_whole and not len(term.places):  # only in passages that search does not see
            nowhere.add(word)
        if term.is_whole:
            in_names = term.in_names if in_names is None else in_both(in_names, term.in_names)
    for word in [word for word in distinct if word in nowhere and has_other_forms(word)][:_MOST_IN_OTHER_FORMS]:
        if table is not None and len(forms := read_other_forms(tx, table, known, word)):
            _add(passages, documents, ranked(known, forms, _OTHER_FORM), times[word])
    for first, second in dict.fromkeys(itertools.pairwise(words)):
        if table is not None and first in found and second in found:
            both = terms.neighbours(known, table, (first, second), (found[first], found[second]))
            _add(passages, documents, both, _JOINED if (first, second) in joined else _NEIGHBOURS)
    return WordScores(
        passages=np.asarray(passages, np.float32),
        documents=np.asarray(documents, np.float32),
        full=max(full, 1e-9),
        in_names=in_names,
        weights=weights,
        highest=weight(len(known.ids), 1),
    )


def highest(scores: "Numbers", most: int) -> "Ids":
    """The places of the highest scores above 0."""
    return _highest(*_above_zero(scores), most)


def _above_zero(scores: "Numbers") -> "tuple[Ids, Numbers]":
    """The places of scores above 0, of a million few, and these scores with the other sign."""
    places: Ids = (scores > 0).nonzero()[0]
    return places, -scores.take(places)


def _highest(places: "Ids", lowest: "Numbers", most: int) -> "Ids":
    import numpy as np

    return places.take(np.argpartition(lowest, most - 1)[:most]) if len(places) > most else places


def _add(
    passages: "npt.NDArray[np.float64]", documents: "npt.NDArray[np.float64]", ranked: Ranked, times: float
) -> None:
    passages[ranked.at] += ranked.passages if times == 1 else times * ranked.passages
    documents[ranked.owners] += ranked.documents if times == 1 else times * ranked.documents
