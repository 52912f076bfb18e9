"""The words that stand in many passages, and so come again in most questions.

The first search of a knowledge base after a start reads where they stand, so that no later one has to.
"""

from collections import Counter
from typing import Final

from phaseflow.components.resident import Passages
from phaseflow.components.word_places import Tokenizer
from phaseflow.components.word_ranking import MOST_PLACES, Terms
from phaseflow.domain.words import indexed_words
from phaseflow.store.passages import Scope, SearchablePassages
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


def read_common(
    tx: Transaction, scope: Scope, table: Table, known: Passages, terms: Terms, tokenizer: Tokenizer
) -> list[str]:
    """Look up the words that are common in passages taken evenly from all; which."""
    if not LEAST <= len(known.ids) <= _MOST:
        return []
    sample = known.ids[:: len(known.ids) // _SAMPLED][:_SAMPLED].tolist()
    holding: Counter[str] = Counter()
    for found in SearchablePassages(tx, scope).fetch(sample).values():
        holding.update(set(tokenizer.words(indexed_words(found.text))))
    common = [word for word, having in holding.most_common(_MOST_WORDS) if having * _ONE_OF >= len(sample)]
    counts = terms.counts.of(tx, table, common, known)
    room = _MOST_READ
    for word in common:
        if 0 < counts[word] <= room and terms.has_room(tx, table, known, word, counts[word], MOST_PLACES):
            room -= len(terms.look_up(tx, table, known, word, MOST_PLACES).places)
    return common
