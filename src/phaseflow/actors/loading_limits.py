"""What pauses loading: nothing but rate limits for too long, or a site that brings nothing to keep."""

import time
from collections.abc import Callable

from phaseflow.domain.counting import counted
from phaseflow.domain.errors import RateLimited
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.policy import LONGEST_WAIT_S

FIRST_S = 0.5
MOST_S = 15.0
"""Waits double from the first to the longest where the site does not say how long."""


class LoadingLimits:
    """What the pages of one run say about the pace of their source."""

    def __init__(
        self,
        most_s: float | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        stalled_s: float | None = None,
    ) -> None:
        self._most_s = most_s
        self._stalled_s = stalled_s
        self._fruitless_s = 0.0
        self._clock = clock
        self.last_success = clock()
        self._since: float | None = None
        self._asked_s = 0.0

    def now(self) -> float:
        """Seconds that only go forward."""
        return self._clock()

    def passed(self) -> None:
        """A page was answered."""
        self.last_success = self._clock()
        self.forget()

    def why_stalled(self, spent_s: float, *, stored: bool) -> str | None:
        """Count seconds of loading, after which a page was ``stored`` or not; why the phase should pause, or None."""
        self._fruitless_s += spent_s
        since_s, is_due = self._fruitless_s, self._stalled_s is not None and self._fruitless_s >= self._stalled_s
        if stored or is_due:
            self._fruitless_s = 0.0
        if stored or not is_due:
            return None
        return f"{since_s:.0f} s have brought no page to keep: the site is too slow, or has none; resume to go on"

    def forget(self) -> None:
        """Start counting anew: after a pause, which says nothing about the site."""
        self._since = None
        self._asked_s = 0.0

    def wait_s(self, error: RateLimited, times: int) -> float:
        """Seconds until a page that was rate limited ``times`` times is asked for again; never less than asked for."""
        return max(error.retry_after_s or 0.0, min(MOST_S, FIRST_S * 2.0 ** min(times - 1, 10)))

    def why_pause(self, error: RateLimited, *, awaits_others: bool = False) -> str | None:
        """Why the phase should pause, or None. A wait that the site asked for is waited out first. ``awaits_others``:
        so is what else it was asked for, without being refused: that may yet be answered, or fail."""
        now, asked_s = self._clock(), error.retry_after_s or 0.0
        self._since = now if self._since is None else self._since
        since_s, waited_out_s = now - self._since, self._asked_s
        self._asked_s = max(self._asked_s, asked_s)
        if (
            self._most_s is None
            or awaits_others
            or (since_s < self._most_s + waited_out_s and asked_s <= LONGEST_WAIT_S)
        ):
            return None
        hours = counted(round(asked_s / 3600), "hour")
        why = f"and asks to wait for {hours}" if asked_s > LONGEST_WAIT_S else f"for {since_s:.0f} s"
        self.forget()
        return f"the source answers only with rate limits {why} ({text_of(error)}); resume when it has room again"
