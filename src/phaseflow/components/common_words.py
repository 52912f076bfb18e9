"""The words that stand in many passages, and so come again in most questions.

The first search of a knowledge base after a start reads where they stand, so that no later one has to.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from phaseflow.components.resident import Passages
from phaseflow.components.word_places import Tokenizer
from phaseflow.components.word_ranking import MOST_PLACES, Terms
from phaseflow.domain.words import indexed_words
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.shared_reading import Task
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import Table

LEAST: Final = 2_000
"""Passages: in fewer, a common word is read as quickly as a rare one."""
_MOST: Final = 300_000
"""Passages: in more, common words stand too often to be looked at, and the first search takes long enough."""
_SAMPLED: Final = 40
"""Passages whose words tell which are common, …"""
_ONE_OF: Final = 10
"""… because one of so many has them."""
_MOST_WORDS: Final = 64
_MOST_READ: Final = 200_000
"""Places read: some 40 ms."""


@dataclass(slots=True)
class CommonWords:
    """Reads the common words of a knowledge base for the questions that come."""

    scope: Scope
    table: Table
    known: Passages
    terms: Terms
    tokenizer: Tokenizer
    _room: int = _MOST_READ

    def task(self, give: Callable[[Iterable[Task]], None]) -> Task:
        """Look which words are common, and ``give`` one task for each."""

        def look(tx: Transaction) -> None:
            if LEAST <= len(self.known.ids) <= _MOST:
                give(self._task_of(word) for word in self._common(tx))

        return look

    def _common(self, tx: Transaction) -> list[str]:
        """Those that are common in passages taken evenly from all, most common first."""
        sample = self.known.ids[:: len(self.known.ids) // _SAMPLED][:_SAMPLED].tolist()
        texts = [indexed_words(found.text) for found in SearchablePassages(tx, self.scope).fetch(sample).values()]
        self.tokenizer.words(" ".join(texts))  # all at once, of which each then finds its own
        holding = Counter(word for text in texts for word in set(self.tokenizer.words(text)))
        common = [word for word, having in holding.most_common(_MOST_WORDS) if having * _ONE_OF >= len(sample)]
        self.tokenizer.kept(common)  # likewise
        return common

    def _task_of(self, word: str) -> Task:
        def read(tx: Transaction) -> None:
            count = self.terms.counts.of(tx, self.table, [word], self.known)[word]
            if 0 < count <= self._room and self.terms.has_room(tx, self.table, self.known, word, count, MOST_PLACES):
                self._room -= len(self.terms.look_up(tx, self.table, self.known, word, MOST_PLACES).places)

        return read
