"""At most so many requests a minute, for a server that bills or blocks those above its limit."""

from collections.abc import Callable
from time import monotonic

import anyio

from phaseflow.domain.errors import RateLimited

LONGEST_WAIT_S = 1.0
"""A longer wait is left to the caller, so that a pause does not have to wait for it."""


class Pace:
    """Spreads requests evenly. None: no limit. ``clock`` gives seconds that only go forward."""

    def __init__(self, requests_per_minute: int | None, clock: Callable[[], float] = monotonic) -> None:
        self._limit = requests_per_minute
        self._clock = clock
        self._next = -float("inf")

    async def wait(self) -> None:
        """Return when a request may be made, within a second. A cancel gives its turn up.

        Raises RateLimited, naming the wait, when it would take longer; that takes no turn.
        """
        if self._limit is None:
            return
        wait_s = max(0.0, self._next - self._clock())
        if wait_s > LONGEST_WAIT_S:
            raise RateLimited(f"at most {self._limit} requests a minute go to this server", retry_after_s=wait_s)
        self._next = self._clock() + wait_s + 60 / self._limit
        if wait_s:
            await anyio.sleep(wait_s)
