"""BM25 of what stands in passages: theirs, and that of their whole documents."""

from math import log
from typing import TYPE_CHECKING, NamedTuple

from phaseflow.components.arrays import runs
from phaseflow.components.resident import Passages
from phaseflow.components.word_places import Places

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

K1, B = 1.5, 0.75
"""BM25's saturation and the weight of lengths."""
_COLUMN_WEIGHTS = (1.0, 0.6, 2.0, 1.5)
"""Of a word in the text, in the headings above it, in its document's title and in its name."""


class Ranked(NamedTuple):
    """BM25 of something that stands in passages: theirs, and that of their documents, in the order of both."""

    weight: float
    at: "Ids"
    passages: "npt.NDArray[np.float64]"
    owners: "Ids"
    documents: "npt.NDArray[np.float64]"

    @property
    def size(self) -> int:
        """Passages, and one for what is always there."""
        return len(self.at) + 1


def ranked(known: Passages, places: Places, share: float = 1.0) -> Ranked:
    """BM25 of something that stands at these places, each of which counts as so much of one."""
    import numpy as np

    if not len(places):
        none, scores = np.empty(0, np.int64), np.empty(0)
        return Ranked(weight(len(known.ids), 0), none, scores, none, scores)
    at = places.passages
    firsts = runs(at)
    often, at = np.add.reduceat(share * np.array(_COLUMN_WEIGHTS)[places.columns], firsts), at[firsts]
    of_each = weight(len(known.ids), len(at))
    passages = of_each * _saturated(often, known.lengths[at] / known.mean_length)
    owners = known.document_of[at]
    firsts = runs(owners)
    often, owners = np.add.reduceat(often, firsts), owners[firsts]
    documents = weight(len(known.documents), len(owners)) * _saturated(
        often, known.document_lengths[owners] / known.mean_document_length
    )
    return Ranked(of_each, at, passages, owners, documents)


def weight(total: int, having: int) -> float:
    """How much a word tells that so many of all have."""
    return log(1 + (max(total, having) - having + 0.5) / (having + 0.5))


def _saturated(often: "npt.NDArray[np.float64]", length: "Numbers") -> "npt.NDArray[np.float64]":
    factors: npt.NDArray[np.float64] = often * (K1 + 1) / (often + K1 * (1 - B + B * length))
    return factors
