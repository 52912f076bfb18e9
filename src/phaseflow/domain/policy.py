"""When to try again, and when to give up: pure rules, settable, with the defaults that the docs name."""

from collections import deque
from dataclasses import dataclass, field

from phaseflow.domain.checked_fields import check_numbers
from phaseflow.domain.counting import counted

LONGEST_WAIT_S = 3600.0
"""A wait that somebody else asks for is waited out up to this; whoever asks for more gets a pause or a failure."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff: ``first_s`` seconds, then twice as long each time. After ``tries`` attempts or ``most_s``
    seconds of waiting, whichever comes first, it is given up."""

    tries: int = 8
    first_s: float = 0.25
    most_s: float = 60.0

    def __post_init__(self) -> None:
        check_numbers(self)

    def wait_s(self, attempt: int, waited_s: float, asked_s: float | None = None, jitter: float = 0.0) -> float | None:
        """Seconds to wait after attempt number ``attempt`` (from 1) has failed, None to give up.

        ``asked_s`` is what the other side asked for (Retry-After) and is the least that is waited. ``jitter`` in [0, 1)
        lengthens the wait by up to a quarter, so that many batches do not come back at once. A wait that the other side
        asked for is never cut short: it may be longer than ``most_s``, up to ``LONGEST_WAIT_S``.
        """
        left_s = self.most_s - waited_s
        asked_s = asked_s or 0.0
        if attempt >= self.tries or left_s <= 0 or asked_s > LONGEST_WAIT_S:
            return None
        wait_s: float = self.first_s * 2 ** (attempt - 1) * (1 + jitter / 4)
        return max(min(wait_s, left_s), asked_s)


_MOST_WORKERS_WAIT_S = 5.0
"""A cluster that is back is noticed after so long at the latest."""


def workers_wait_s(times: int, asked_s: float | None) -> float:
    """Seconds until work is offered again to workers that could not be reached so many times in a row."""
    return max(min(_MOST_WORKERS_WAIT_S, 0.1 * 2.0 ** min(times - 1, 10)), asked_s or 0.0)


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """How many documents may fail before their phase does: ``in_a_row`` of them, or more than ``share`` (0 to 1) of the
    last ``window``. Unsupported formats and links that lead nowhere do not count."""

    in_a_row: int = 10
    share: float = 0.15
    window: int = 100

    def __post_init__(self) -> None:
        check_numbers(self, share=1)


@dataclass(slots=True)
class ErrorBudget:
    """Counts the failures of one run of one phase."""

    policy: BudgetPolicy = field(default_factory=BudgetPolicy)
    _row: int = 0
    _last: deque[bool] = field(default_factory=deque)

    def spend(self, failed: bool) -> str | None:
        """Count one document. Returns why the phase must fail, or None.

        The share is judged over a full window only: one bad document of three is not a bad job.
        """
        self._row = self._row + 1 if failed else 0
        self._last.append(failed)
        if len(self._last) > self.policy.window:
            self._last.popleft()
        if self._row >= self.policy.in_a_row:
            return f"error budget spent: {counted(self._row, 'document')} in a row failed"
        share = sum(self._last) / self.policy.window
        if len(self._last) == self.policy.window and share > self.policy.share:
            return f"error budget spent: {share:.0%} of the last {counted(self.policy.window, 'document')} failed"
        return None


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """When a phase pauses itself instead of spending money or pressing a site.

    ``rate_limited_s``: after so many seconds in which every answer was a rate limit; waits that the server has asked
    for are waited out first. ``characters``: before more than this many characters have been sent since the job began
    or was last resumed. ``stalled_s``: after so many seconds of loading a site without one page to keep, the waits that
    it asked for aside. None turns a guard off.
    """

    rate_limited_s: float | None = 60.0
    characters: int | None = None
    stalled_s: float | None = 900.0

    def __post_init__(self) -> None:
        check_numbers(self)
