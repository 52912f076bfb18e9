"""How near passages are to a query by their vectors."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from phaseflow.components.resident import Passages, Vectors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nearness:
    """The cosine of each passage to a query; -inf for those that a filter does not let through, or that an index
    outside the database has not found."""

    cosines: "Numbers"
    known: Passages
    vectors: Vectors
    query: "Numbers"
    """Of length 1."""
    mean: float | None = None
    """About the mean of the cosines of all passages, where ``cosines`` has only those of some."""

    def only(self, is_let_through: "npt.NDArray[np.bool_]") -> "Nearness":
        """The same for some passages: the others are not found."""
        import numpy as np

        return replace(self, cosines=np.where(is_let_through, self.cosines, np.float32(-np.inf)))

    def to_moved(self, towards: "Places", weight: float, places: "Places") -> "Numbers":
        """The cosines of passages to the query moved towards the mean of some, by so much of its own length."""
        import numpy as np

        moved = self.query + weight * self._rows(towards).mean(axis=0)
        length = float(np.linalg.norm(moved))
        cosines: Numbers = np.einsum("ij,j->i", self._rows(places), moved / (length or 1.0))
        return cosines

    def _rows(self, places: "Places") -> "Numbers":
        import numpy as np

        wanted = self.known.ids[places]
        at = np.searchsorted(self.vectors.ids, wanted)
        at[at == len(self.vectors.ids)] = 0
        rows = self.vectors.matrix[at]
        rows[self.vectors.ids[at] != wanted] = 0
        return rows


def nearness(known: Passages, vectors: Vectors, vector: "Numbers") -> Nearness | None:
    """How near each passage is to a vector, of length 1 or not; None when there is nothing to compare."""
    import numpy as np

    length = float(np.linalg.norm(vector))
    if not len(vectors.ids) or length == 0 or not np.isfinite(length):
        return None
    query = (vector / length).astype(np.float32)
    # Not ``@``: that is BLAS, whose threads wait for each other where the cores have other work. In one thread this
    # takes 3 ms for 100,000 vectors of 256 numbers.
    similar: Numbers = np.einsum("ij,j->i", vectors.matrix, query)
    if len(vectors.ids) == len(known.ids) and vectors.search_revision == known.search_revision:
        return Nearness(similar, known, vectors, query)  # row n is that of passage n: both in the order of the ids
    at, is_seen = known.places(vectors.ids)
    cosines = np.zeros(len(known.ids), np.float32)
    cosines[at[is_seen]] = similar[is_seen]
    return Nearness(cosines, known, vectors, query)
