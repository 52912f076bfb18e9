"""Reading the vectors of passages from the database, in the form in which search keeps them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from phaseflow.components import stored_vectors
from phaseflow.components.arrays import numbers
from phaseflow.components.vectors import CompactBuilder, CompactRows, ExactRows, Rows
from phaseflow.store.passage_vectors import PackedVectors, PassageVectors, vectors_of
from phaseflow.store.passages import Scope
from phaseflow.store.shared_reading import Held, SharedReading, Task
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

BATCH = 1024
"""Vectors read in one statement."""
MOST_EXACT = 50_000
"""Vectors that are kept in full; more are kept in a smaller form."""
SAMPLES = 64
"""Places from which vectors are taken to tell their mean, and how many from each."""


def read_vectors(
    tx: Transaction, scope: Scope, after: int, wanted: "Ids", old: Rows | None, sharing: SharedReading
) -> "tuple[Ids, Rows]":
    """The ids of those of these passages that have a vector, and the old rows with their vectors behind. ``wanted``
    are all that are searchable of documents that became so ``after`` a revision."""
    import numpy as np

    found: dict[int, Ids] = {}

    def reading(first: int, put: "Callable[[int, Numbers], None]") -> Task:
        def read(tx: Transaction) -> None:
            ids, matrix = _vectors_of(tx, scope, after, wanted[first : first + BATCH])
            if len(ids):
                put(first, matrix)
                found[first] = ids

        return read

    def read_all(put: "Callable[[int, Numbers], None]") -> None:
        sharing.run(reading(first, put) for first in range(0, len(wanted), BATCH))

    rows = _with_more(old, read_all, found, len(wanted), lambda: _sample(tx, scope, after, wanted, sharing.held))
    return np.concatenate([_nothing(), *(found[first] for first in sorted(found))]), rows


def _vectors_of(tx: Transaction, scope: Scope, after: int, wanted: "Ids") -> "tuple[Ids, Numbers]":
    """Those of these passages that have a vector, all of documents that came ``after``, and their vectors."""
    span = after, int(wanted[0]), int(wanted[-1])
    vectors = PassageVectors(tx, scope).since(*span)
    # No passage between them is another one that came since: where as many have a vector, it is all of them.
    ids = wanted if vectors.count == len(wanted) else numbers(PassageVectors(tx, scope).ids_since(*span))
    return ids, _matrix(tx, vectors, ids)


def _matrix(tx: Transaction, vectors: PackedVectors, ids: "Ids") -> "Numbers":
    if vectors.size or not vectors.count:
        return stored_vectors.read(vectors.packed, vectors.size or 4)
    return stored_vectors.read_all([row[1] for row in vectors_of(tx, ids.tolist())])


def _with_more(
    old: Rows | None,
    read_all: "Callable[[Callable[[int, Numbers], None]], None]",
    found: "Mapping[int, Ids]",
    most: int,
    sample: "Callable[[], Numbers | None]",
) -> Rows:
    """``read_all`` hands over the vectors of ``most`` passages, from several threads: with the place of the first that
    was looked for each time. ``found`` then has the ids of those that have one, by that place."""
    import numpy as np

    # Once compact, always compact: to and fro at the limit would read all vectors each time. And all rows are packed
    # around one mean, whatever comes later, for those of two packings could not be compared.
    if (len(old) if old is not None else 0) + most <= MOST_EXACT and not isinstance(old, CompactRows):
        read: dict[int, Numbers] = {}
        read_all(read.__setitem__)
        exact = ExactRows(np.concatenate([read[first] for first in sorted(read)]) if read else _no_rows())
        return exact if old is None else old.with_more(exact.matrix) if len(exact) else old
    compact = old if isinstance(old, CompactRows) else None
    if compact is not None:
        mean: Numbers | None = compact.mean
    else:
        mean = old.matrix.mean(axis=0) if isinstance(old, ExactRows) and len(old) else sample()
    if mean is None:
        return old if old is not None else ExactRows(_no_rows())
    before = old.matrix if isinstance(old, ExactRows) else _no_rows()
    builder = CompactBuilder(len(before) + most, mean)
    builder.put(0, before)
    read_all(lambda first, matrix: builder.put(len(before) + first, matrix))
    built = builder.built(_is_there(len(before), found, most))
    return built if compact is None else compact.joined(built)


def _is_there(before: int, found: "Mapping[int, Ids]", most: int) -> "npt.NDArray[np.bool_] | None":
    """Which places have a vector, of the first ``before`` and of so many; None where all have one."""
    import numpy as np

    if sum(map(len, found.values())) == most:
        return None
    is_there = np.zeros(before + most, np.bool_)
    is_there[:before] = True
    for first, ids in found.items():
        is_there[before + first : before + first + len(ids)] = True
    return is_there


def _nothing() -> "Ids":
    import numpy as np

    return np.empty(0, np.int64)


def _no_rows() -> "Numbers":
    import numpy as np

    return np.empty((0, 0), np.float32)


def _sample(tx: Transaction, scope: Scope, after: int, wanted: "Ids", held: Held) -> "Numbers | None":
    """About the mean of vectors; None where there are none."""
    import numpy as np

    read = []
    with held():
        for at in range(0, len(wanted), len(wanted) // SAMPLES + 1):
            span = after, int(wanted[at]), int(wanted[at]) + SAMPLES
            vectors = PassageVectors(tx, scope).since(*span)
            if vectors.count:
                ids = _nothing() if vectors.size else numbers(PassageVectors(tx, scope).ids_since(*span))
                read.append(_matrix(tx, vectors, ids))
    return np.concatenate(read).mean(axis=0) if read else None
