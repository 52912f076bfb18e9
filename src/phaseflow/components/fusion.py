"""Words and vectors, passages and documents: one score between 0 and 1 for each passage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from phaseflow.components.resident import Passages
from phaseflow.components.word_ranking import WordScores

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]

VECTORS_SHARE: Final = 0.3
"""Of a hybrid score; the words have the rest. Between 0.2 and 0.4 rankings are about as good."""
FURTHER: Final = 0.5
"""A passage counts so much beside a better one of the same document: a result is not one document's."""
CANDIDATES: Final = 500
"""Passages, and documents, that each ranking contributes."""


@dataclass(frozen=True, slots=True)
class Share:
    """What the rankings say of each passage; None where there is no such ranking."""

    words: WordScores | None
    cosines: "Numbers | None"


@dataclass(frozen=True, slots=True)
class Fused:
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
        """Those that hold what was asked for exactly (0 to 1) before the others."""
        scores = dict(zip(self.places.tolist(), (self.scores * self.scale).tolist(), strict=True))
        both = {
            place: scores.get(place, 0.0) / 2 + holds.get(place, 0.0) / 2 for place in dict.fromkeys([*scores, *holds])
        }
        return _sorted(self.known, list(both), list(both.values()), 1.0)

    def batches(self, size: int) -> Iterator[list[tuple[int, float]]]:
        """(passage, score), best first, so many at a time."""
        for first in range(0, len(self.places), size):
            ids = self.known.ids[self.places[first : first + size]]
            scores = (self.scores[first : first + size] * self.scale).clip(0, 1)
            yield list(zip(ids.tolist(), scores.tolist(), strict=True))


def only(by: Share, known: Passages, is_let_through: "npt.NDArray[np.bool_]") -> Share:
    """The same rankings of some passages: the others are not found."""
    import numpy as np

    words = by.words
    if words is not None:
        documents = np.zeros_like(words.documents)
        owners = known.document_of[is_let_through]
        documents[owners] = words.documents[owners]
        words = WordScores(np.where(is_let_through, words.passages, 0), documents, words.full)
    cosines = None if by.cosines is None else np.where(is_let_through, by.cosines, -np.inf)
    return Share(words, cosines)


def fused(known: Passages, by: Share, most: int = CANDIDATES) -> Fused:
    """Rank passages by their own scores and their documents'. What no ranking found is no candidate.

    Words count by their share of the best of the query, so that they and the vectors weigh the same in each; the scores
    are then scaled by how much of the query the best one has, so that those of several queries can be compared.
    """
    import numpy as np

    share = 1.0 if by.words is None else VECTORS_SHARE if by.cosines is not None else 0.0
    places = _candidates(known, by, most)
    if not len(places):
        return _sorted(known, [], [], 1.0)
    owners = known.document_of[places]
    own = np.zeros(len(places))
    whole = np.zeros(len(places))
    absolute = np.zeros(len(places))
    if by.words is not None and by.words.has_any:
        passage, document = by.words.passages[places], by.words.documents[owners]
        best, best_document = float(by.words.passages.max()), float(by.words.documents.max())
        own += (1 - share) * (passage / best + document / best_document) / 2
        whole += (1 - share) * (_best_of(owners, passage) / best + document / best_document) / 2
        absolute += (1 - share) * np.minimum(1, (passage + document) / 2 / by.words.full)
    if by.cosines is not None:
        cosines = np.clip(by.cosines[places], 0, 1)
        own += share * cosines
        whole += share * _best_of(owners, cosines)
        absolute += share * cosines
    scores = _one_of_each_first(owners, own, whole)
    best_at = int(scores.argmax())
    scale = float(absolute[best_at] / scores[best_at]) if scores[best_at] > 0 else 1.0
    return _sorted(known, places, scores, min(1.0, scale))


def _candidates(known: Passages, by: Share, most: int) -> "npt.NDArray[np.int64]":
    """The passages that rank high, and the passages of documents that do."""
    import numpy as np

    found = []
    if by.words is not None and by.words.has_any:
        found.append(_highest(by.words.passages, most))
        documents = _highest(by.words.documents, most)
        firsts = np.searchsorted(known.document_of, documents)
        lasts = np.searchsorted(known.document_of, documents, side="right")
        some = [np.arange(a, min(b, a + 64)) for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True)]
        all_of = np.concatenate(some) if some else firsts
        found.append(all_of[by.words.passages[all_of] > 0])
    if by.cosines is not None:
        found.append(_highest(by.cosines, most, least=-2))
    places: npt.NDArray[np.int64] = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    return places


def _highest(scores: "Numbers", most: int, least: float = 0) -> "npt.NDArray[np.int64]":
    import numpy as np

    most = min(most, len(scores))
    best = np.argpartition(-scores, most - 1)[:most] if most else np.empty(0, np.int64)
    found: npt.NDArray[np.int64] = best[scores[best] > least]
    return found


def _best_of(owners: "npt.NDArray[np.int64]", values: "Numbers") -> "npt.NDArray[np.float64]":
    """For each, the highest value of its document (``owners`` ascends)."""
    import numpy as np

    best = np.zeros(int(owners[-1]) - int(owners[0]) + 1)
    np.maximum.at(best, owners - owners[0], values)
    found: npt.NDArray[np.float64] = best[owners - owners[0]]
    return found


def _one_of_each_first(
    owners: "npt.NDArray[np.int64]", own: "npt.NDArray[np.float64]", whole: "npt.NDArray[np.float64]"
) -> "npt.NDArray[np.float64]":
    """The best passage of a document stands for it; its others count by their own, and less."""
    import numpy as np

    scores = own * FURTHER
    order = np.lexsort((-own, owners))
    firsts = order[np.flatnonzero(np.append(True, owners[order][1:] != owners[order][:-1]))]
    scores[firsts] = whole[firsts]
    return scores


def _sorted(known: Passages, places: "Sequence[int] | npt.NDArray[np.int64]", scores: object, scale: float) -> Fused:
    import numpy as np

    at, by = np.asarray(places, np.int64), np.asarray(scores, np.float64)
    order = np.lexsort((at, -by))
    return Fused(known, at[order], by[order], scale)
