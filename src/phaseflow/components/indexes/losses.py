"""What indexes outside the database have lost, as far as it was noticed."""

from collections import Counter
from math import inf
from typing import Final

COUNT_S: Final = 10.0
"""How long a count of what is there holds, seconds."""


class Losses:
    """Spaces of which an index has less than it was given. Search refuses them, so that nobody takes what is left for
    all there is, until they are whole again."""

    def __init__(self) -> None:
        self._servers: dict[str, str] = {}
        self._suspected: set[str] = set()
        self._counted_at: dict[str, float] = {}
        self._times: Counter[str] = Counter()

    def __contains__(self, space: str) -> bool:
        return space in self._servers

    def note(self, space: str, server: str) -> None:
        """The index on ``server`` has lost passages of a space."""
        self._servers[space] = server
        self._times[space] += 1

    def times(self, space: str) -> int:
        """How often a loss was noted: an answer from before one may be a part, though the index is whole again."""
        return self._times[space]

    def suspect(self, space: str) -> None:
        """It may have: somebody should compare."""
        self._suspected.add(space)

    def is_to_be_compared(self, space: str) -> bool:
        """Whether a space was noted or suspected since it was last found whole."""
        return space in self._servers or space in self._suspected

    def found_whole(self, space: str) -> None:
        """The index has all of a space, or the space is gone."""
        self._servers.pop(space, None)
        self._suspected.discard(space)

    def has_any(self, server: str) -> bool:
        """Whether a server lacks passages of any space."""
        return server in self._servers.values()

    def counted(self, space: str, at: float) -> None:
        """The index had all of a space at a moment of the monotonic clock."""
        self._counted_at[space] = at

    def was_counted(self, space: str, now: float) -> bool:
        """Whether that was so a short while ago."""
        return now - self._counted_at.get(space, -inf) < COUNT_S
