"""Vectors as search keeps them in memory: exact where they are few, in a smaller form where they are many.

The smaller form is two: a bit for each number (whether it is above the mean), which a query is compared with in a few
milliseconds for a million; and each number in a byte, by which the nearest so found are ranked. For 256 numbers that is
300 bytes a vector instead of 1,024, and it is the allocation of a gigabyte that the first search had to wait for. Of
the ten nearest, those that the bits miss are measured: 2 of 100 where 2 of 100 passages are looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Places = npt.NDArray[np.int64]

_LOOKED_AT: Final = 20_000
"""Vectors, nearest by their bits, whose cosine is computed, …"""
LEAST_LOOKED_AT: Final = 4_000
ONE_OF: Final = 16
"""… and of fewer one of so many, so that the share is not below what it is of a million."""
_COUNTED: Final = 1 << 16
_MOST_BITS: Final = 1 << 16
_ROWS: Final = 4096
_PACKED: Final = 256
"""Computed at once: what fits into the processor's cache, with what it is made of and into."""


@dataclass(frozen=True, slots=True)
class ExactRows:
    """Vectors as they are."""

    matrix: "Numbers"

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.matrix.nbytes

    def at(self, places: "Places") -> "Numbers":
        """Some of them."""
        return self.matrix.take(places, axis=0)

    def taken(self, places: "Places | npt.NDArray[np.bool_]") -> "ExactRows":
        """Those at these places."""
        return ExactRows(self.matrix[places])

    def with_more(self, matrix: "Numbers") -> "ExactRows":
        """Followed by others."""
        import numpy as np

        return ExactRows(np.concatenate([self.matrix, matrix])) if len(self) else ExactRows(matrix)

    def nearest(self, query: "Numbers", among: "Places | None") -> "tuple[Places, Numbers, float]":
        """All places (or all of ``among``), their cosines, and the mean of these."""
        import numpy as np

        # Not ``@``: that is BLAS, whose threads wait for each other where the cores have other work.
        matrix = self.matrix if among is None else self.matrix.take(among, axis=0)
        cosines: Numbers = np.einsum("ij,j->i", matrix, query)
        return np.arange(len(self)) if among is None else among, cosines, float(cosines.mean())


@dataclass(frozen=True, slots=True)
class CompactRows:
    """Vectors in a smaller form; what it gives back differs by less than a hundredth of the largest number."""

    small: "npt.NDArray[np.int8]"
    scales: "Numbers"
    bits: "npt.NDArray[np.uint64]"
    """(words, vectors): so that each word of all vectors is compared in one go."""
    mean: "Numbers"
    """Of a sample: bits say what is above it."""

    def __len__(self) -> int:
        return len(self.small)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.small.nbytes + self.scales.nbytes + self.bits.nbytes

    def at(self, places: "Places") -> "Numbers":
        """Some of them."""
        import numpy as np

        rows: Numbers = self.small.take(places, axis=0).astype(np.float32)
        rows *= self.scales.take(places)[:, None]
        return rows

    def taken(self, places: "Places | npt.NDArray[np.bool_]") -> "CompactRows":
        """Those at these places."""
        return CompactRows(self.small[places], self.scales[places], self.bits[:, places], self.mean)

    def with_more(self, matrix: "Numbers") -> "CompactRows":
        """Followed by others."""
        builder = CompactBuilder(len(matrix), self.mean)
        builder.put(0, matrix)
        return self.joined(builder.built())

    def joined(self, other: "CompactRows") -> "CompactRows":
        """Followed by others of the same mean."""
        import numpy as np

        return CompactRows(
            np.concatenate([self.small, other.small]),
            np.concatenate([self.scales, other.scales]),
            np.concatenate([self.bits, other.bits], axis=1),
            self.mean,
        )

    def nearest(self, query: "Numbers", among: "Places | None") -> "tuple[Places, Numbers, float]":
        """The places that are nearest by their bits, their cosines, and the mean of all."""
        import numpy as np

        count = len(self) if among is None else len(among)
        looked_at = min(_LOOKED_AT, max(LEAST_LOOKED_AT, count // ONE_OF))
        if among is None or count > looked_at:
            closest = _lowest(self._apart(query, among), looked_at)
            among = closest if among is None else among[closest]
        cosines = np.empty(len(among), np.float32)
        for first in range(0, len(among), _ROWS):
            some = among[first : first + _ROWS]
            cosines[first : first + _ROWS] = np.einsum(
                "ij,j->i", self.small.take(some, axis=0).astype(np.float32), query
            )
        cosines *= self.scales[among]
        return among, cosines, float(self.mean @ query)

    def _apart(self, query: "Numbers", among: "Places | None") -> "npt.NDArray[np.uint16]":
        """In how many bits each differs from the query."""
        import numpy as np

        count = _bit_counter()
        wanted = _packed((query > self.mean)[None])
        apart = np.zeros(len(self) if among is None else len(among), np.uint16)
        for of_all, word in zip(self.bits, wanted[:, 0], strict=True):
            apart += count((of_all if among is None else of_all.take(among)) ^ word)
        return apart


class CompactBuilder:
    """Makes the smaller form of vectors, some at a time: never are all of them in memory in full. From several threads,
    each with other places."""

    def __init__(self, most: int, mean: "Numbers") -> None:
        import numpy as np

        self._mean = mean
        self._means = np.tile(mean, (min(most, _PACKED), 1))
        self._small = np.empty((most, len(mean)), np.int8)
        self._scales = np.empty(most, np.float32)
        self._bits = np.empty(((len(mean) + 63) // 64, most), np.uint64)

    def put(self, place: int, matrix: "Numbers") -> None:
        """Vectors for the places from this one on."""
        import numpy as np

        scratch = np.empty((_PACKED, len(self._mean)), np.float32)
        for first in range(0, len(matrix), _PACKED):
            rows = matrix[first : first + _PACKED]
            begin, end, room = place + first, place + first + len(rows), scratch[: len(rows)]
            largest = np.maximum(_largest(np.abs(rows, out=room)), 1e-12)
            self._scales[begin:end] = largest / 127
            np.multiply(rows, (127 / largest)[:, None], out=room)
            self._small[begin:end] = np.rint(room, out=room)
            # With as many means as there are rows: one row at a time NumPy takes twice as long.
            self._bits[:, begin:end] = _packed(rows > self._means[: len(rows)])

    def built(self, is_there: "npt.NDArray[np.bool_] | None" = None) -> CompactRows:
        """What was put there; of all places, those that have a vector."""
        made = CompactRows(self._small, self._scales, self._bits, self._mean)
        return made if is_there is None else made.taken(is_there)


Rows = ExactRows | CompactRows


def _largest(rows: "Numbers") -> "Numbers":
    """The largest number of each row, of which none is below 0. Their bits are in the order of the numbers, and as
    whole numbers NumPy compares them in less than half of the time."""
    import numpy as np

    largest: Numbers = rows.view(np.int32).max(axis=1).view(np.float32)
    return largest


def _packed(is_set: "npt.NDArray[np.bool_]") -> "npt.NDArray[np.uint64]":
    """(vectors, numbers) as bits: (words, vectors)."""
    import numpy as np

    width = (is_set.shape[1] + 63) // 64 * 8
    codes = np.zeros((len(is_set), width), np.uint8)
    found = np.packbits(is_set, axis=1)
    codes[:, : found.shape[1]] = found
    return np.ascontiguousarray(codes.view(np.uint64).T)


def _bit_counter() -> "Callable[[npt.NDArray[np.uint64]], npt.NDArray[np.uint8]]":
    """How many bits are set in each word: NumPy's own function since 2.0."""
    import numpy as np

    return getattr(np, "bitwise_count", _counted_by_table)


def _counted_by_table(words: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint8]":
    """The same with a table of the bits in a byte."""
    import numpy as np

    table = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
    found: npt.NDArray[np.uint8] = table[words.view(np.uint8).reshape(-1, 8)].sum(axis=1, dtype=np.uint8)
    return found


def _lowest(values: "npt.NDArray[np.uint16]", most: int) -> "Places":
    """The places of at most so many of the lowest values, ascending."""
    import numpy as np

    if len(values) <= most:
        return np.arange(len(values))
    # Some at a time: it keeps the GIL. (So does ``values[places]``, but not ``values.take(places)``.)
    pieces = (values[first : first + _COUNTED] for first in range(0, len(values), _COUNTED))
    up_to = np.cumsum(sum(np.bincount(piece, minlength=_MOST_BITS) for piece in pieces))
    last = int(np.searchsorted(up_to, most))
    below = np.flatnonzero(values < last)
    equal = np.flatnonzero(values == last)[: most - len(below)]
    return np.sort(np.concatenate([below, equal]))
