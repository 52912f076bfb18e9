"""How fast an embedding server may be called: the pace it asks for, kept once for all who use it, and a fixed limit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import anyio

from phaseflow.domain.errors import RateLimited

LONGEST_WAIT_S = 1.0
"""A wait for the limit that is longer is left to the caller, so that a pause does not have to wait for it."""
FIRST_S = 0.25
"""The first wait after a rate limit that names none; it doubles with each further one …"""
MOST_S = 15.0
"""… up to this."""
_READABLE_S = 1.0
"""A server that asks for less than this asks for nothing: the wait then doubles as if it had named none."""


class Throttle:
    """One pause for all batches, jobs and queries of an embedder.

    After a rate limit nobody is to call before ``wait_s()`` is over: not a moment earlier than the server has asked.
    Then one call goes alone, and the others follow once it has passed, so that a server without room is asked once
    and not by everybody. ``successes`` counts answers, ``last_success`` is the time of the newest one. ``clock`` gives
    seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.successes = 0
        self.last_success = -float("inf")
        self._until = -float("inf")
        self._limited_at = -float("inf")
        self._asked_until = -float("inf")
        self._rounds = 0
        self._first_call: anyio.Event | None = None

    def wait_s(self) -> float:
        """Seconds until the next call may be made; 0 when it may be made now."""
        return max(0.0, self._until - self.clock())

    def asked_wait_s(self) -> float:
        """Seconds of the wait that the server itself has asked for; 0 when it has asked for none."""
        return max(0.0, self._asked_until - self.clock())

    def forget_backoff(self) -> None:
        """Someone has said to go on: wait no longer than the server has asked for, and begin with short waits again."""
        self._until = self._asked_until
        self._rounds = min(1, self._rounds)

    async def until_free(self) -> None:
        """Wait while the first call after a pause is under way."""
        if self._first_call is not None:
            await self._first_call.wait()

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether a call may be made now; for the length of the block it may be the only one."""
        if not self._rounds:
            yield self.wait_s() == 0
            return
        if self.wait_s() or self._first_call is not None:
            yield False
            return
        self._first_call = anyio.Event()
        try:
            yield True
        finally:
            self._first_call.set()
            self._first_call = None

    def passed(self) -> None:
        """A call was answered. What the server has asked for still holds."""
        self.successes += 1
        self.last_success = self.clock()
        self._rounds = 0

    def limited(self, begun: float, asked_s: float | None) -> None:
        """A call that was begun at ``begun`` (of ``clock``) was answered with a rate limit, and the wait it names.

        Calls that were under way together count as one.
        """
        now = self.clock()
        if begun >= self._limited_at:
            self._rounds += 1
            self._limited_at = now
        wait_s = asked_s or 0.0
        if wait_s < _READABLE_S:
            wait_s = max(wait_s, min(MOST_S, FIRST_S * 2 ** min(10, max(0, self._rounds - 1))))
        else:
            self._asked_until = max(self._asked_until, now + wait_s)
        self._until = max(self._until, now + wait_s)


class Pace:
    """At most so many requests a minute, spread evenly, for a server that bills or blocks those above its limit.

    None: no limit. ``clock`` gives seconds that only go forward."""

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
