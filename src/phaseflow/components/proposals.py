"""How near passages are to a query when an index outside the database has proposed them: no others are read."""

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Final

from phaseflow.components.arrays import distinct
from phaseflow.components.fusion import CANDIDATES, Share, candidates
from phaseflow.components.nearness import Nearness
from phaseflow.components.resident import Passages, Vectors
from phaseflow.components.stored_vectors import read_all
from phaseflow.components.vectors import ExactRows
from phaseflow.components.word_ranking import WordScores
from phaseflow.store.passage_vectors import vectors_of
from phaseflow.store.passages import Scope
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]
    Places = npt.NDArray[np.int64]

_MOST_BY_WORDS: Final = 1500
"""Passages that words rank high whose vectors are read, beside those proposed: some 10 ms."""
_SAMPLE: Final = 256
"""Passages by which the mean of all vectors is estimated."""
_MOST_KEPT: Final = 1000
"""Knowledge bases whose mean is remembered."""


class Proposals:
    """Reads the vectors of passages that may be hits, and knows about where those of all others are. Thread-safe."""

    def __init__(self) -> None:
        self._means: dict[Scope, tuple[int, Numbers]] = {}
        self._lock = Lock()

    def nearness(
        self,
        tx: Transaction,
        scope: Scope,
        known: Passages,
        proposed: Sequence[int],
        words: WordScores | None,
        vector: "Numbers",
        is_let_through: "npt.NDArray[np.bool_] | None" = None,
    ) -> Nearness | None:
        """The exact cosines of those of the passages proposed that search sees and a filter lets through, and of those
        that words rank high."""
        import numpy as np

        length = float(np.linalg.norm(vector))
        if length == 0 or not np.isfinite(length):
            return None
        query = (vector / length).astype(np.float32)
        at, is_seen = known.places(np.array(proposed, np.int64))
        places = at[is_seen if is_let_through is None else is_seen & is_let_through[at]]
        if words is not None and words.has_any:
            found = candidates(known, Share(words, None), CANDIDATES)
            best = np.argsort(-words.passages[found], kind="stable")[:_MOST_BY_WORDS]
            places = np.concatenate([places, found[best]])
        vectors = _read(tx, known, distinct(places))
        if not len(vectors.ids):
            return None
        rows, cosines, _ = vectors.rows.nearest(query, None)
        mean = float(self._mean(tx, scope, known) @ query)
        return Nearness(known.places(vectors.ids)[0][rows], cosines, mean, known, vectors, query)

    def _mean(self, tx: Transaction, scope: Scope, known: Passages) -> "Numbers":
        """About the mean of all vectors; estimated again when there are a tenth more passages, or fewer."""
        import numpy as np

        with self._lock:
            then, mean = self._means.get(scope, (0, None))
        if mean is None or abs(len(known.ids) - then) * 10 > then:
            evenly = np.linspace(0, len(known.ids) - 1, min(_SAMPLE, len(known.ids))).astype(np.int64)
            mean = _matrix(tx, known, distinct(evenly))[1].mean(axis=0)
            with self._lock:
                if len(self._means) >= _MOST_KEPT:
                    self._means.clear()
                self._means[scope] = len(known.ids), mean
        return mean


def _read(tx: Transaction, known: Passages, places: "Places") -> Vectors:
    ids, matrix = _matrix(tx, known, places)
    return Vectors(known.search_revision, ids, ExactRows(matrix), known.ids[places])


def _matrix(tx: Transaction, known: Passages, places: "Places") -> "tuple[Ids, Numbers]":
    import numpy as np

    rows = vectors_of(tx, known.ids[places].tolist())
    return np.array([row[0] for row in rows], np.int64), read_all([row[1] for row in rows])
