"""Documents of a source that failed for now: each is tried again when its time has come, and the others go on."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from phaseflow.actors.loading_limits import LoadingLimits
from phaseflow.domain.vocabulary import WaitingOn

MOST = 32
"""Documents put aside before the others wait too."""


@dataclass(slots=True)
class Tries:
    """How often one document was tried, since when, and how long it has waited in between (seconds). ``limited``: how
    often the source had no room for it, which is no attempt; ``reason``: what it waits on."""

    began: float
    attempt: int = 1
    waited_s: float = 0.0
    due: float = 0.0
    limited: int = 0
    reason: WaitingOn = WaitingOn.RETRY


class PutAside:
    """By the id of its entry, what is known of each document that has failed for now. A crash forgets it: what has no
    outcome is read again.

    ``few``: where nothing has been answered since the first of them began, it may be the source that fails. Then no
    more than so many are put aside, so that it is asked no faster and found out no later.
    """

    def __init__(self, limits: LoadingLimits, few: int) -> None:
        self._limits = limits
        self._few = few
        self._tries: dict[int, Tries] = {}
        self._under_way: dict[int, Tries] = {}

    def put(self, entry_id: int, tries: Tries, wait_s: float) -> None:
        """Let a document wait for its next attempt."""
        tries.attempt, tries.waited_s = tries.attempt + 1, tries.waited_s + wait_s
        tries.due, tries.reason = self._limits.now() + wait_s, WaitingOn.RETRY
        self._tries[entry_id] = tries

    def put_limited(self, entry_id: int, tries: Tries, wait_s: float) -> None:
        """Let a document wait until its source has room again."""
        tries.due, tries.reason = self._limits.now() + wait_s, WaitingOn.RATE_LIMIT
        self._tries[entry_id] = tries

    def settle(self, entry_id: int) -> None:
        """A document has its outcome."""
        self._tries.pop(entry_id, None)

    def tries(self, entry_id: int) -> Tries:
        """What is known of a document, or the beginning of its first attempt."""
        return self._tries.get(entry_id) or Tries(self._limits.now())

    @contextmanager
    def trying(self, entry_id: int) -> Iterator[Tries]:
        """An attempt at a document, for the length of the block."""
        tries = self._under_way[entry_id] = self.tries(entry_id)
        try:
            yield tries
        finally:
            del self._under_way[entry_id]

    def awaits_others(self, entry_id: int) -> bool:
        """Whether any document but this one is being tried, or waits for that, and was not refused for want of room
        the last time."""
        known = self._tries | self._under_way
        return any(tries.reason is WaitingOn.RETRY for key, tries in known.items() if key != entry_id)

    def drop(self, entry_ids: Collection[int]) -> None:
        """These documents need no further attempt."""
        for entry_id in entry_ids:
            self.settle(entry_id)

    def forget(self) -> None:
        """Let all be tried at once, each as for the first time: after a pause, or where the source is given up."""
        self._tries.clear()

    def has_room(self, entry_id: int | None = None) -> bool:
        """Whether this document, or a further one, may be tried."""
        if entry_id in self._tries or not self._tries:
            return True
        others_pass = self._limits.last_success > min(tries.began for tries in self._tries.values())
        return len(self._tries) < (MOST if others_pass else self._few)

    def sorted_out(self) -> tuple[list[int], list[int]]:
        """Those whose time has not come, and those that are due."""
        now = self._limits.now()
        waiting = [entry_id for entry_id, tries in self._tries.items() if tries.due > now]
        return waiting, [entry_id for entry_id, tries in self._tries.items() if tries.due <= now]

    def late(self, after_s: float) -> list[int]:
        """Those whose first attempt began so many seconds ago."""
        since = self._limits.now() - after_s
        return [entry_id for entry_id, tries in self._tries.items() if tries.began <= since]

    def until_late_s(self, after_s: float) -> float:
        """Seconds until there is another one of these."""
        now = self._limits.now()
        return min(
            (left_s for tries in self._tries.values() if (left_s := tries.began + after_s - now) > 0), default=inf
        )

    def next(self, waiting: Collection[int]) -> tuple[float, WaitingOn]:
        """Seconds until the first of those ``waiting`` may be tried again, and what it waits on."""
        first = min((self._tries[entry_id] for entry_id in waiting), key=lambda tries: tries.due)
        return max(0.0, first.due - self._limits.now()), first.reason
