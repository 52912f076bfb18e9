"""How vectors of length 1 are stored: exactly, or in a quarter of the bytes where an index outside the database has
them, too.

A stored vector says itself what it is. Four bytes a number are float32. Else the last byte tells: ``h``: the rest is
float16; ``b`` and ``B``: but for one or two bytes, the rest is a byte a number, of which only the direction counts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]

MOST_OFF: Final = 0.012
"""A vector is stored in a byte a number when it ends up no further away than this; its products with others then change
by some 0.0003. Most are 0.007 away. Those with a few numbers far larger than the rest would be further: they are kept
in two bytes a number."""
_LARGEST: Final = 127
_SHORT: Final = 1e-12
"""A length below this may be wrong, or 0, as the root of squares in float32."""


def unit(found: "Numbers") -> "Numbers":
    """Each row brought to length 1; a zero vector stays as it is."""
    import numpy as np

    with np.errstate(over="ignore", under="ignore"):  # the squares of large and of small numbers are no float32
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not (is_plain := (lengths > _SHORT) & (lengths < np.inf)).all():
        lengths = np.where(is_plain, lengths, np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True))
    return np.ascontiguousarray(found / np.where(lengths > 0, lengths, 1), dtype="<f4")


def stored(rows: "Numbers", *, small: bool) -> list[bytes]:
    """The stored form of rows of length 1 or 0."""
    import numpy as np

    if not small:
        return [row.tobytes() for row in rows.astype("<f4", copy=False)]
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    coded = np.rint(rows / np.where(largest > 0, largest, 1) * _LARGEST).astype(np.int8)
    is_near = np.linalg.norm(unit(coded.astype(np.float32)) - rows, axis=1) <= MOST_OFF
    end = b"b" if (rows.shape[1] + 1) % 4 else b"\0B"
    return [
        code.tobytes() + end if near else row.astype("<f2").tobytes() + b"h"
        for row, code, near in zip(rows, coded, is_near.tolist(), strict=True)
    ]


def read(packed: bytes, size: int) -> "Numbers":
    """Stored vectors of ``size`` bytes each, one behind the other."""
    import numpy as np

    if size % 4 == 0:
        return np.frombuffer(packed, "<f4").reshape(-1, size // 4)
    coded = np.frombuffer(packed, np.int8).reshape(-1, size)
    match packed[size - 1 : size]:
        case b"h":
            return unit(np.ascontiguousarray(coded[:, :-1]).view("<f2").astype(np.float32))
        case b"b":
            return unit(coded[:, :-1].astype(np.float32))
        case b"B":
            return unit(coded[:, :-2].astype(np.float32))
        case end:
            raise ValueError(f"no vector is stored like this: {size} bytes that end with {end!r}")


def read_all(vectors: Sequence[bytes]) -> "Numbers":
    """Stored vectors of any kinds, in order."""
    import numpy as np

    if not vectors:
        return np.empty((0, 0), np.float32)
    sizes = [len(each) for each in vectors]
    if min(sizes) == max(sizes):
        return read(b"".join(vectors), sizes[0])
    return np.concatenate([read(each, len(each)) for each in vectors])
