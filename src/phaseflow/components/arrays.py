"""Small arrays of numbers, in few calls of NumPy: each takes a microsecond or two, whatever it is given."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]

_PIECE = 1 << 17
"""Characters: half a millisecond."""


def numbers(text: str) -> "Ids":
    """Numbers with commas between them, as one row of SQL brings them. Some at a time: NumPy keeps the GIL."""
    import numpy as np

    if len(text) <= _PIECE:
        return np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)
    found, at = [], 0
    while at < len(text):
        end = text.find(",", at + _PIECE)
        end = len(text) if end < 0 else end
        found.append(np.fromstring(text[at:end], np.int64, sep=","))
        at = end + 1
    return np.concatenate(found)


def runs(values: "npt.NDArray[Any]") -> "npt.NDArray[np.int64]":
    """Where each run of equal values begins."""
    import numpy as np

    is_first = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=is_first[1:])
    found: npt.NDArray[np.int64] = is_first.nonzero()[0]
    return found


def distinct(places: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
    """Each once, ascending. ``np.unique`` does the same, after it has imported ``numpy.ma``: 20 ms of a command."""
    import numpy as np

    places = np.sort(places)
    return places[runs(places)]
