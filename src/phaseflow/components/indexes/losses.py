"""What indexes outside the database have lost, as far as it was noticed."""

from collections import Counter
from math import inf
from typing import Final

import anyio

COUNT_S: Final = 10.0
"""How long a count of what is there holds, seconds."""


class Comparison:
    """How far an index was compared with the database: up to the document ``after``; None: all of it."""

    def __init__(self, times_held: int) -> None:
        self.times_held = times_held
        """Of which time that this process has the index: another one may have changed it before."""
        self.after: int | None = 0
        self.has_unknown = False
        """It has documents that are gone here: while it has, a count cannot tell whether it has all others."""
        self.lock = anyio.Lock()

    @property
    def is_over(self) -> bool:
        """From here on a count tells what an index has lost."""
        return self.after is None and not self.has_unknown


class Losses:
    """Spaces of which an index has less than it was given. Search refuses them, so that nobody takes what is left for
    all there is, until they are whole again."""

    def __init__(self) -> None:
        self._servers: dict[str, str] = {}
        self._suspected: set[str] = set()
        self._counted_at: dict[str, float] = {}
        self._times: Counter[str] = Counter()
        self._comparisons: dict[str, Comparison] = {}

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

    def comparison(self, space: str, times_held: int) -> Comparison:
        """How far a space was compared since this process has its index for itself."""
        found = self._comparisons.get(space)
        if found is None or found.times_held != times_held:
            found = self._comparisons[space] = Comparison(times_held)
            self._counted_at.pop(space, None)
        return found

    def compared(self, space: str, times_held: int) -> None:
        """All of a space was compared, and what is gone was removed there."""
        found = self.comparison(space, times_held)
        found.after, found.has_unknown = None, False

    def compare_anew(self, space: str) -> None:
        """What was found in a comparison does not hold for long."""
        self._comparisons.pop(space, None)
