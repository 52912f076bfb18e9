"""Words and vectors, passages and documents: one score between 0 and 1 for each passage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from phaseflow.components.arrays import distinct, runs
from phaseflow.components.nearness import Nearness
from phaseflow.components.resident import Passages
from phaseflow.components.word_ranking import WordScores, highest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]

_VECTORS_SHARE: Final = 0.5
"""Of a hybrid score at most; the words have the rest. Between 0.4 and 0.5 rankings are about as good."""
_LEAST_SHARE: Final = 0.2
"""Of vectors to which what the words find best is no nearer than the rest."""
_AGREEMENT: Final = 0.35
"""How near, between the mean (0) and the nearest (1), it is where vectors are of use."""
_DOCUMENTS_SHARE: Final = 0.75
"""Of the words' score of a passage, what its whole document has."""
_FEEDBACK: Final = 3
"""Documents ranked highest, to which the query is moved, …"""
_FEEDBACK_WEIGHT: Final = 0.4
"""… so far beside its own length (Rocchio, 1971): what is near to them ranks higher."""
_FURTHER: Final = 0.5
"""A passage counts so much beside a better one of the same document: a result is not one document's."""
CANDIDATES: Final = 200
"""Passages that each ranking contributes, …"""
_DOCUMENTS_OF: Final = 3
"""… and one document for so many."""
_MOST_OF_ONE: Final = 64
"""Passages of a document that ranks high, from its first."""


class Share(NamedTuple):
    """What the rankings say of each passage; None where there is no such ranking."""

    words: WordScores | None
    nearness: Nearness | None


class Fused(NamedTuple):
    """The candidates, best first. ``places`` are those of passages; ``top`` is what the best would have at most."""

    known: Passages
    places: "npt.NDArray[np.int64]"
    scores: "npt.NDArray[np.float64]"
    scale: float

    def best_first(self, places: Sequence[int]) -> list[int]:
        """These passages, those first that rank high."""
        rank = {place: n for n, place in enumerate(self.places.tolist())}
        return sorted(dict.fromkeys(places), key=lambda place: (rank.get(place, len(rank)), place))

    def with_exact(self, holds: Mapping[int, float]) -> "Fused":
        """Those before the others that hold what was asked for exactly (0 to 1): the more exactly, the earlier."""
        scores = dict(zip(self.places.tolist(), (self.scores * self.scale).tolist(), strict=True))
        self._raise_holders(scores, holds)
        order = sorted(
            dict.fromkeys([*scores, *holds]),
            key=lambda place: (-holds.get(place, 0.0), -scores.get(place, 0.0), place),
        )
        best_first = [scores.get(place, 0.0) / 2 + holds.get(place, 0.0) / 2 for place in order]
        for n in range(len(order) - 2, -1, -1):  # what comes earlier has no lower score
            best_first[n] = max(best_first[n], best_first[n + 1] + 1e-9)
        return _sorted(self.known, order, best_first, 1.0)

    def _raise_holders(self, scores: dict[int, float], holds: Mapping[int, float]) -> None:
        """The passage of a document that holds a thing is as good as the document's best, which may be another."""
        best: dict[int, float] = {}
        for place, score in scores.items():
            owner = int(self.known.document_of[place])
            best[owner] = max(best.get(owner, 0.0), score)
        for place in sorted(self.best_first(list(holds)), key=lambda place: -holds[place]):
            owner = int(self.known.document_of[place])
            scores[place] = max(scores.get(place, 0.0), best.pop(owner, 0.0))

    def with_first(self, places: Sequence[int]) -> "Fused":
        """These before all others, as good as the best."""
        scores = dict(zip(self.places.tolist(), self.scores.tolist(), strict=True))
        best = max(scores.values(), default=1.0)
        scores |= {place: best + scores.get(place, 0.0) * 1e-6 + 1e-9 for place in places}
        return _sorted(self.known, list(scores), list(scores.values()), self.scale)

    def batches(self, size: int) -> Iterator[list[tuple[int, float]]]:
        """(passage, score), best first, so many at a time."""
        for first in range(0, len(self.places), size):
            ids = self.known.ids[self.places[first : first + size]]
            scores = (self.scores[first : first + size] * self.scale).clip(0, 1)
            yield list(zip(ids.tolist(), scores.tolist(), strict=True))


def only(words: WordScores, known: Passages, is_let_through: "npt.NDArray[np.bool_]") -> WordScores:
    """The same ranking of some passages: the others are not found."""
    import numpy as np

    documents = np.zeros_like(words.documents)
    owners = known.document_of[is_let_through]
    documents[owners] = words.documents[owners]
    return replace(words, passages=np.where(is_let_through, words.passages, 0), documents=documents)


def fused(known: Passages, by: Share, most: int = CANDIDATES) -> Fused:
    """Rank passages by their own scores and their documents'. What no ranking found is no candidate.

    Words and vectors count by their share of the best of the query, so that they weigh the same in each, and whatever
    the range of a model's cosines is. The scores are then scaled by how much of the query the best one has, so that
    those of several queries can be compared.
    """
    import numpy as np

    places = candidates(known, by, most)
    if not len(places):
        return _sorted(known, [], [], 1.0)
    owners = known.document_of.take(places)
    documents = _Documents.of(owners)
    share = _vectors_share(by)
    own, whole, absolute = np.zeros((3, len(places)))
    if by.words is not None and by.words.has_any:
        passage, document = by.words.passages.take(places), by.words.documents.take(owners)
        relative, best = passage / by.words.passages.max(), document / by.words.documents.max()
        own += (1 - share) * (relative + best) / 2
        whole += (1 - share) * _mixed(documents.best(relative), best)
        absolute += (1 - share) * np.minimum(1, (passage + document) / 2 / by.words.full)
    if by.nearness is None:
        return _scaled(known, places, documents.one_first(own, whole), absolute)
    rows = by.nearness.rows(places)
    known_cosines = by.nearness.every
    cosines = _positive(rows.cosines(by.nearness.query) if known_cosines is None else known_cosines.take(places))
    absolute += share * cosines
    scores = _with_vectors(documents, own, whole, share, cosines)
    if by.words is not None:
        best = np.argpartition(-scores, min(_FEEDBACK, len(scores)) - 1)[:_FEEDBACK]
        moved = rows.cosines(by.nearness.moved(rows.taken(best), _FEEDBACK_WEIGHT))
        scores = _with_vectors(documents, own, whole, share, _positive(moved))
    return _scaled(known, places, scores, absolute)


def _vectors_share(by: Share) -> float:
    """How much the vectors count: less where they do not tell from the rest what the words find best."""
    if by.words is None or by.nearness is None:
        return 0.0 if by.nearness is None else 1.0
    if not by.words.has_any:
        return _VECTORS_SHARE
    mean = by.nearness.mean
    best = float(by.nearness.of(by.words.best_passages(_FEEDBACK)).mean())
    agreement = (best - mean) / max(by.nearness.nearest - mean, 1e-6)
    return _LEAST_SHARE + (_VECTORS_SHARE - _LEAST_SHARE) * min(1.0, max(0.0, agreement / _AGREEMENT))


def _mixed(passage: "npt.NDArray[np.float64]", document: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    return (1 - _DOCUMENTS_SHARE) * passage + _DOCUMENTS_SHARE * document


def _positive(cosines: "Numbers") -> "Numbers":
    import numpy as np

    return np.minimum(np.maximum(cosines, 0), 1)  # ``clip`` takes five times as long for some hundreds


def _with_vectors(
    documents: "_Documents",
    own: "npt.NDArray[np.float64]",
    whole: "npt.NDArray[np.float64]",
    share: float,
    cosines: "Numbers",
) -> "npt.NDArray[np.float64]":
    near = cosines * (share / max(float(cosines.max()), 1e-6))
    return documents.one_first(own + near, whole + documents.best(near))


def _scaled(
    known: Passages,
    places: "npt.NDArray[np.int64]",
    scores: "npt.NDArray[np.float64]",
    absolute: "npt.NDArray[np.float64]",
) -> Fused:
    import numpy as np

    best = int(scores.argmax())
    scale = float(absolute[best] / scores[best]) if scores[best] > 0 else 1.0
    order = np.argsort(-scores, kind="stable")  # the places ascend
    return Fused(known, places[order], scores[order], min(1.0, scale))


def candidates(known: Passages, by: Share, most: int) -> "npt.NDArray[np.int64]":
    """The passages that rank high, and the passages of documents that do."""
    import numpy as np

    found = []
    if by.words is not None and by.words.has_any:
        found.append(by.words.best_passages(most))
        documents = highest(by.words.documents, max(1, most // _DOCUMENTS_OF))
        firsts = known.document_of.searchsorted(documents)
        counts = np.minimum(known.document_of.searchsorted(documents, side="right") - firsts, _MOST_OF_ONE)
        all_of = np.arange(counts.sum()) + (firsts - (counts.cumsum() - counts)).repeat(counts)
        found.append(all_of[by.words.passages.take(all_of) > 0])
    if by.nearness is not None:
        found.append(by.nearness.highest(most))
    return distinct(np.concatenate(found)) if found else np.empty(0, np.int64)


class _Documents(NamedTuple):
    """Which of some passages, in ascending order, belong together."""

    firsts: "npt.NDArray[np.int64]"
    """The first passage of each document."""
    number: "npt.NDArray[np.int64]"
    """Of each passage, that of its document in ``firsts``."""

    @classmethod
    def of(cls, owners: "npt.NDArray[np.int64]") -> "_Documents":
        """By the documents of the passages, which ascend."""
        import numpy as np

        firsts = runs(owners)
        begins = np.zeros(len(owners), np.int64)
        begins[firsts[1:]] = 1
        return cls(firsts, begins.cumsum())

    def best(self, values: "Numbers | npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
        """For each passage, the highest value of its document."""
        import numpy as np

        best: npt.NDArray[np.float64] = np.maximum.reduceat(values, self.firsts).astype(np.float64).take(self.number)
        return best

    def one_first(self, own: "npt.NDArray[np.float64]", whole: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
        """The best passage of a document stands for it; its others count by their own, and less."""
        scores = own * _FURTHER
        best = (own == self.best(own)).nonzero()[0]
        firsts = best[runs(self.number.take(best))]  # of equal ones the first
        scores[firsts] = whole[firsts]
        return scores


def _sorted(known: Passages, places: "Sequence[int] | npt.NDArray[np.int64]", scores: object, scale: float) -> Fused:
    import numpy as np

    at, by = np.asarray(places, np.int64), np.asarray(scores, np.float64)
    order = np.lexsort((at, -by))
    return Fused(known, at[order], by[order], scale)
