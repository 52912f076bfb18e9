"""How much of the documents of a source is in memory at once."""

from collections import deque

import anyio

MOST_BYTES = 256 << 20
"""Four of the largest files that are read."""


class ByteBudget:
    """Lets documents in by their size, in the order in which they come; one larger than all of it comes alone."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._used = 0
        self._line: deque[tuple[int, anyio.Event]] = deque()

    @property
    def has_line(self) -> bool:
        """Whether somebody waits for room."""
        return bool(self._line)

    async def take(self, size: int | None) -> None:
        """Wait for the room of a document of so many bytes (None: unknown, and not counted). Cancelling takes none."""
        wanted = min(size or 0, self._most)
        if self._line or self._used + wanted > self._most:
            place = (wanted, anyio.Event())
            self._line.append(place)
            try:
                await place[1].wait()
            except BaseException:
                if place in self._line:
                    self._line.remove(place)
                else:
                    self._used -= wanted
                self._let_in()
                raise
        else:
            self._used += wanted

    def give_back(self, size: int | None) -> None:
        """Give back what was taken for a document of that size."""
        self._used -= min(size or 0, self._most)
        self._let_in()

    def _let_in(self) -> None:
        while self._line and self._used + self._line[0][0] <= self._most:
            wanted, may_come = self._line.popleft()
            self._used += wanted
            may_come.set()
