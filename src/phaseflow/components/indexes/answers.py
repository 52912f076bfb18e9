"""What an index outside the database answers, looked at before it is used: one of a program may answer anything."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from phaseflow.components.indexes.protocol import Candidate
from phaseflow.domain.errors import IndexUnavailable
from phaseflow.store.pieces import MOST_PIECES

LARGEST: Final = (1 << 63) // MOST_PIECES - 1
"""Number of a document, so that its passages have numbers, too."""
WHOLE: Final = 1 << 62
"""In place of a number of passages, where the index does not say how many it has of a document."""


def as_count(answer: object) -> int:
    """What ``count`` may answer. Raises IndexUnavailable for anything else, as all here."""
    if not isinstance(answer, int) or answer < 0:
        raise _odd("count", "a whole number")
    return answer


def as_passages(answer: object, after: int, limit: int) -> list[tuple[int, int]]:
    """What ``passages`` may answer, or with single numbers ``document_ids``: pairs above ``after``, ascending."""
    found: list[tuple[int, int]] = []
    try:
        for each in _iterated(answer):
            key, count = each if isinstance(each, tuple | list) else (each, WHOLE)
            found.append((_whole(key), _whole(count)))
    except (TypeError, ValueError, OverflowError):
        raise _odd("document_ids or passages", "numbers of documents") from None
    keys = [after, *(key for key, _ in found)]
    if len(found) > limit or keys[-1] > LARGEST or any(b <= a for a, b in pairwise(keys)):
        raise _odd("document_ids or passages", f"at most {limit} numbers of documents above {after}, ascending")
    return found


def as_candidates(answer: object, limit: int) -> list[Candidate]:
    """What ``search`` may answer; more than ``limit`` are cut off."""
    found: list[Candidate] = []
    try:
        for each in _iterated(answer):
            if len(found) == limit:
                break
            document, position = each
            found.append(Candidate(_whole(document), _whole(position)))
    except (TypeError, ValueError, OverflowError):
        raise _odd("search", "candidates") from None
    for document, position in found:
        if not (0 <= document <= LARGEST and 0 <= position < MOST_PIECES):
            raise _odd("search", f"passages that can be: {document}, {position} is none")
    return found


def _iterated(answer: object) -> Iterable[Any]:
    if not isinstance(answer, Iterable):
        raise TypeError
    return answer


def _whole(value: object) -> int:
    """Also one of numpy's numbers."""
    number = int(value)  # type: ignore[call-overload]  # what has no such number raises
    if number != value:
        raise ValueError
    return int(number)


def _odd(call: str, wanted: str) -> IndexUnavailable:
    return IndexUnavailable(f"its {call} answered with something else than {wanted}")
