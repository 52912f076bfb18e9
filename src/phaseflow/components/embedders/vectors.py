"""What an embedder gave back, checked and as one array."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DimensionMismatch, TransientError
from phaseflow.domain.values import kind_of

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors


def checked_vectors(rows: Any, count: int, dimension: int | None = None) -> "Vectors":
    """Return ``rows`` as a float32 array of shape (count, dimension); a None dimension takes any.

    The array is a copy: an embedder may answer into memory of its own, and write its next answer there.
    Raises TransientError when the number of rows, their dimension or a number in them is not as it has to be.
    """
    import numpy as np

    found = _as_array(rows)
    if found.shape[0] != count:
        raise _malformed(f"{counted(found.shape[0], 'vector')} for {counted(count, 'text')}")
    if count == 0:
        return np.empty((0, dimension or 0), np.float32)
    if found.ndim != 2 or found.shape[1] == 0:
        raise _malformed("the vectors are not all of one dimension")
    if dimension is not None and found.shape[1] != dimension:
        raise DimensionMismatch(
            f"the embedder answers with vectors of {found.shape[1]} numbers, but its vectors are to have {dimension}; "
            "if its model was exchanged, name another model"
        )
    if not np.isfinite(found).all():
        raise _malformed("a vector holds a number that is not finite")
    return found


def _as_array(rows: Any) -> "Vectors":
    import numpy as np

    if not isinstance(rows, np.ndarray | Sequence):
        raise _malformed(f"{kind_of(rows)} where a list of vectors was expected")
    try:
        found = np.asarray(rows)
    except ValueError as error:  # rows of different lengths
        raise _malformed("the vectors are not all of one dimension") from error
    if found.dtype.kind not in "fiu" or found.ndim == 0:
        raise _malformed("something that is not a number stands in a vector")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused as such
        return np.array(found, np.float32, order="C")


def _malformed(what: str) -> TransientError:
    return TransientError(f"malformed answer of the embedder: {what}")
