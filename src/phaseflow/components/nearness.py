"""How near passages are to a query by their vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from phaseflow.components.resident import Passages, Vectors
from phaseflow.components.vectors import ExactRows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nearness:
    """The passages that are nearest to a query, of those that a filter lets through, or that an index outside the
    database has found; and their cosines."""

    places: "Places"
    cosines: "Numbers"
    mean: float
    """About that of the cosines of all passages."""
    known: Passages
    vectors: Vectors
    query: "Numbers"
    """Of length 1."""
    is_in_step: bool = False
    """The vector of passage n is row n."""
    every: "Numbers | None" = None
    """The cosines of all passages by their places, where all were computed from the stored vectors."""
    found: "Mapping[int, Places]" = field(default_factory=dict)
    """Of how many of the nearest the places are known, and these."""

    @property
    def nearest(self) -> float:
        """The highest cosine."""
        return float(self.cosines.max())

    def highest(self, most: int) -> "Places":
        """The places of the nearest passages, in no order."""
        known = self.found.get(most)
        return _highest(self.places, self.cosines, most) if known is None else known

    def of(self, places: "Places") -> "Numbers":
        """The cosines of some passages; 0 where there is no vector."""
        return self.rows(places).cosines(self.query) if self.every is None else self.every.take(places)

    @classmethod
    def measured(
        cls,
        known: Passages,
        vectors: Vectors,
        vector: "Numbers",
        is_let_through: "npt.NDArray[np.bool_] | None" = None,
        most: int = 0,
    ) -> "Nearness | None":
        """How near passages are to a vector, of length 1 or not; None when there is nothing to compare. ``most``: of
        how many of the nearest the places will be asked for."""
        import numpy as np

        with np.errstate(over="ignore"):
            length = float(np.linalg.norm(vector))
        if length == 0 or not np.isfinite(length):  # of numbers whose squares are no float32
            length = float(np.linalg.norm(vector.astype(np.float64)))
        if not len(vectors.ids) or length == 0 or not np.isfinite(length):
            return None
        query = (vector / length).astype(np.float32)
        # Mostly row n is that of passage n: both are in the order of the ids.
        is_same = len(vectors.ids) == len(known.ids) and vectors.search_revision == known.search_revision
        at, is_seen = (None, None) if is_same else known.places(vectors.ids)
        among = None
        if at is not None and is_seen is not None:
            among = np.flatnonzero(is_seen if is_let_through is None else is_seen & is_let_through[at])
        elif is_let_through is not None:
            among = np.flatnonzero(is_let_through)
        if among is not None and not len(among):
            return None
        rows, cosines, mean = vectors.rows.nearest(query, among)
        every = cosines if is_same and among is None and isinstance(vectors.rows, ExactRows) else None
        places = rows if at is None else at[rows]
        found = {most: _highest(places, cosines, most)} if most else {}
        return cls(places, cosines, mean, known, vectors, query, is_same, every, found)

    def moved(self, towards: "_Few", weight: float) -> "Numbers":
        """The query moved towards the mean of some passages, by so much of its own length; of length 1."""
        import numpy as np

        moved = self.query + weight * towards.matrix.mean(axis=0)
        return np.asarray(moved / (float(np.linalg.norm(moved)) or 1.0), np.float32)

    def rows(self, places: "Places") -> "_Few":
        """The vectors of some passages."""
        if self.is_in_step:
            return _Few(self.vectors.rows.at(places))
        at, is_there = self.vectors.places(self.known.ids[places])
        matrix = self.vectors.rows.at(at)
        matrix[~is_there] = 0
        return _Few(matrix)


def _highest(places: "Places", cosines: "Numbers", most: int) -> "Places":
    import numpy as np

    return places if most >= len(places) else places[np.argpartition(-cosines, most - 1)[:most]]


class _Few(NamedTuple):
    """Vectors that are compared more than once; 0 where there is none."""

    matrix: "Numbers"

    def cosines(self, query: "Numbers") -> "Numbers":
        """Those to a vector of length 1."""
        import numpy as np

        cosines: Numbers = np.einsum("ij,j->i", self.matrix, query)
        return cosines

    def taken(self, rows: "Places") -> "_Few":
        """Some of them."""
        return _Few(self.matrix.take(rows, axis=0))
