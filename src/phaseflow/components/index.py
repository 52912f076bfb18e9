"""The index inside the database: words and vectors, fused into one score.

A convex combination of scores (Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS
2023), not of ranks: by ranks, what one ranking finds outstanding counts no more than what the other finds passable.
"""

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Final

from phaseflow.components import exact_things, word_ranking
from phaseflow.components.abandonable_thread import begin_beside
from phaseflow.components.arrays import numbers
from phaseflow.components.common_words import CommonWords
from phaseflow.components.exact_things import MOST_HOLDING
from phaseflow.components.fusion import CANDIDATES, Fused, Share, fused, only
from phaseflow.components.hit_list import HitList
from phaseflow.components.nearness import Nearness
from phaseflow.components.proposals import Proposals
from phaseflow.components.resident import Passages, Resident, Vectors
from phaseflow.components.word_places import Tokenizer, WordCounts
from phaseflow.components.word_ranking import Terms, WordScores
from phaseflow.domain.filters import Filter
from phaseflow.domain.search_query import ParsedQuery, is_name_of, other_spellings, parsed, phrase
from phaseflow.domain.status import SearchHit
from phaseflow.domain.vocabulary import SearchMode
from phaseflow.domain.words import indexed_words
from phaseflow.store import fields, passages, read_ahead
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.postings import WordIndex
from phaseflow.store.shared_reading import LEAST, SharedReading, shared_reading
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import Table, WordTable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]

LONGEST_NAME: Final = 200
"""Characters of a query that may be the title or the name of a document."""
_MOST_COMPARED: Final = 200_000
"""Passages that have the words of a title or a name all of which are common, so that it is looked for: some 5 ms.
Beyond, its words rank it, which count more there than in a text."""
_LEAST_BESIDE: Final = 5_000
"""Vectors that are compared beside the words: half a millisecond."""
_ALONE_S: Final = 1.0
"""How long ago two searches were last on their way at once: where many ask, both cores are in use, and a third thread
would only make a status wait."""
_HAS_CORES: Final = (os.cpu_count() or 1) > 1
_MOST_CANDIDATES: Final = 32_000
"""Passages of each ranking that are looked at where most of them are copies or have too low a score."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is searched for. ``vector`` is that of the query, of length 1 or not; without it words alone decide.

    ``proposed``: ids of passages that an index outside the database has found near; then it alone says which vectors
    are, and the others are not read. Those that search does not see are dropped.
    """

    query: str
    vector: "Numbers | None"
    limit: int
    mode: SearchMode = SearchMode.HYBRID
    min_score: float = 0.0
    filter: Filter | None = None
    proposed: Sequence[int] | None = None

    @property
    def needs_vectors(self) -> bool:
        """Whether the vectors of all passages are compared with that of the query."""
        return self.mode is not SearchMode.WORDS and self.vector is not None and self.proposed is None

    def with_vector(self, vector: "Numbers | None") -> "Request":
        """The same with the vector of its query."""
        return replace(self, vector=vector)


class EmbeddedIndex:
    """Searches what the database holds. Keeps passages and vectors in memory, up to date at each search.

    ``reads_ahead``: the first search of a knowledge base also reads what the next ones need, up to 60 ms long.
    """

    def __init__(self, *, reads_ahead: bool = True) -> None:
        self._passages: Resident[Passages] = Resident()
        self._vectors: Resident[Vectors] = Resident()
        self._tokenizer = Tokenizer()
        self._terms = Terms(WordCounts(self._tokenizer))
        self._proposals = Proposals()
        self._reads_ahead = reads_ahead
        self._read_ahead = set[str]()
        self._lock = Lock()
        self._at_once = 0
        self._together_at = float("-inf")

    def search(self, tx: Transaction, scope: Scope, search_revision: int, request: Request) -> list[SearchHit]:
        """The best passages in the snapshot ``tx`` sees, best first, each text once."""
        with self._lock:
            self._at_once += 1
            if self._at_once > 1:
                self._together_at = monotonic()
        try:
            return self._found(tx, scope, search_revision, request)
        finally:
            with self._lock:
                self._at_once -= 1

    def _found(self, tx: Transaction, scope: Scope, search_revision: int, request: Request) -> list[SearchHit]:
        if self._passages.has(scope.kb_key):
            return self._search(tx, scope, search_revision, request)
        if WordIndex(tx, scope.kb_key, scope.index_version).passages() < LEAST:
            return self._search(tx, scope, search_revision, request)
        needed = [*read_ahead.PASSAGES, *(read_ahead.VECTORS if request.needs_vectors else ())]
        with (
            read_ahead.reading_ahead(tx, scope.kb_key, needed) as ahead,
            shared_reading(
                tx, lambda other: SearchablePassages(other, scope).revision() == search_revision, ahead.held
            ) as sharing,
        ):
            return self._search(tx, scope, search_revision, request, sharing)

    def _search(
        self,
        tx: Transaction,
        scope: Scope,
        search_revision: int,
        request: Request,
        sharing: SharedReading | None = None,
    ) -> list[SearchHit]:
        known = self._passages.get(tx, scope, search_revision, lambda old: Passages.updated(tx, scope, old, sharing))
        if not len(known.ids):
            return []
        is_let_through = None
        if request.filter is not None:
            is_let_through = known.of_documents(numbers(fields.matching(tx, scope, request.filter)))
            if not is_let_through.any():
                return []
        table = WordIndex(tx, scope.kb_key, scope.index_version).table()
        if sharing is not None and table is not None and self._reads_ahead and scope.kb_key not in self._read_ahead:
            self._read_ahead.add(scope.kb_key)  # others may be at their first search, too
            sharing.give([CommonWords(scope, table, known, self._terms, self._tokenizer).task(sharing.give)])
        vectors = self._vectors_of(tx, scope, known, sharing) if request.needs_vectors else None
        if sharing is not None:
            sharing.finish()
        measured = self._measuring(known, vectors, request.vector, is_let_through)
        query = parsed(request.query)
        with sharing.held() if sharing else nullcontext():
            words = self._words(tx, known, table, request, query, is_let_through)
            named = self._named(tx, known, table, words, request, is_let_through)
        near = measured()
        if request.proposed is not None and request.vector is not None:
            self._vectors.forget(scope.kb_key)  # since they are searched elsewhere
            near = self._proposals.nearness(tx, scope, known, request.proposed, words, request.vector, is_let_through)
        shares = Share(words, near)
        most, hits = CANDIDATES, list[SearchHit]()
        while True:
            ranking = fused(known, shares, most)
            if table is not None and shares.words is not None:
                look = exact_things.Look(tx, scope, table, ranking, self._having(tx, table, known), is_let_through)
                holds = look.holders(query.exact, self._rare(query, shares.words))
                ranking = ranking.with_exact(holds) if holds else ranking
            ranking = ranking.with_first(named) if named else ranking
            hits = _hits(tx, scope, ranking, request)
            if len(hits) >= request.limit or most >= min(len(known.ids), _MOST_CANDIDATES):
                return hits
            most *= 8

    def forget(self, kb_key: str) -> None:
        """Drop what is kept of a knowledge base that was deleted."""
        self._passages.forget(kb_key)
        self._vectors.forget(kb_key)
        self._read_ahead.discard(kb_key)

    def _having(self, tx: Transaction, table: Table, known: Passages) -> Callable[[str], int]:
        """About how many passages have the words of a text, added up over these."""

        def having(text: str) -> int:
            return sum(self._terms.counts.of(tx, table, self._tokenizer.words(text), known).values())

        return having

    def _rare(self, query: ParsedQuery, words: WordScores) -> list[str]:
        """What of a query is one thing where few passages hold it."""
        return [*query.rare, *(part for part in query.compounds if self._is_what_matters(part, query, words))]

    def _is_what_matters(self, part: str, query: ParsedQuery, words: WordScores) -> bool:
        """Whether all other words of a query tell less than one thing can, or these stand too often to be looked at."""
        parts = self._words_of(part)
        if not all(word in words.weights for word in parts):
            return query.is_short
        return sum(weight for word, weight in words.weights.items() if word not in parts) <= words.highest

    def _words_of(self, part: str) -> list[str]:
        return self._tokenizer.words(indexed_words(part))

    def _named(
        self,
        tx: Transaction,
        known: Passages,
        table: Table | None,
        words: WordScores | None,
        request: Request,
        is_let_through: "npt.NDArray[np.bool_] | None",
    ) -> list[int]:
        """The documents whose title or name is what was asked for, by their first passages."""
        if table is None or words is None or len(request.query) > LONGEST_NAME:
            return []
        having = self._having(tx, table, known)
        looked_for = other_spellings(request.query)
        if words.in_names is not None:
            holding = known.ids[words.in_names[:MOST_HOLDING]].tolist()
        else:
            holding, looked_for = [], [request.query, *looked_for]
        for name in looked_for:
            # Not only in the columns for names: FTS5 would go through all places of a word to find one there.
            if 0 < having(indexed_words(name)) <= _MOST_COMPARED:
                holding += WordTable(tx, table).first_holding(phrase(name), MOST_HOLDING)
        named = passages.names(tx, holding) if holding else ()
        titled = [chunk for chunk, title, uri in named if is_name_of(request.query, title, uri)]
        return [at for at in known.seen(titled) if is_let_through is None or is_let_through[at]]

    def _measuring(
        self,
        known: Passages,
        vectors: Vectors | None,
        vector: "Numbers | None",
        is_let_through: "npt.NDArray[np.bool_] | None",
    ) -> "Callable[[], Nearness | None]":
        """Begin to compare many vectors on another core, which needs no interpreter lock, while this thread looks for
        the words. Not where other searches have use for that core. What is returned says how near passages are."""

        def measured() -> Nearness | None:
            if vectors is None or vector is None:
                return None
            return Nearness.measured(known, vectors, vector, is_let_through, CANDIDATES)

        is_long = vectors is not None and len(vectors.ids) >= _LEAST_BESIDE
        is_alone = monotonic() - self._together_at > _ALONE_S
        return begin_beside(measured) if is_long and _HAS_CORES and is_alone else measured

    def _vectors_of(self, tx: Transaction, scope: Scope, known: Passages, sharing: SharedReading | None) -> Vectors:
        return self._vectors.get(
            tx, scope, known.search_revision, lambda old: Vectors.updated(tx, scope, old, known, sharing)
        )

    def _words(
        self,
        tx: Transaction,
        known: Passages,
        table: Table | None,
        request: Request,
        query: ParsedQuery,
        is_let_through: "npt.NDArray[np.bool_] | None",
    ) -> WordScores | None:
        if request.mode is SearchMode.VECTORS:
            return None
        asked = self._tokenizer.words(query.words)
        joined = {pair for part in query.compounds for pair in itertools.pairwise(self._words_of(part))}
        words = word_ranking.scored(tx, table, known, asked, self._terms, joined)
        return words if is_let_through is None else only(words, known, is_let_through)


def _hits(tx: Transaction, scope: Scope, ranking: Fused, request: Request) -> list[SearchHit]:
    """The best passages; those with the same text are one hit, which names the other places."""
    hits = HitList(scope, request.limit)
    for some in ranking.batches(max(2 * request.limit, 20)):
        rows = SearchablePassages(tx, scope).fetch([passage for passage, _ in some])
        for passage, score in some:
            if (found := rows.get(passage)) is not None and score >= request.min_score:
                hits.add(found, score)
        if hits.is_full or some[-1][1] < request.min_score:
            break
    return hits.made()
