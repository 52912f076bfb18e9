"""How fast one site is asked: so many requests at once, so many a second, and none while it asks to be left alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf

import anyio

from phaseflow.components.sources.web.limits import Limits
from phaseflow.domain.errors import LeftAlone

Clock = Callable[[], float]
"""Seconds that only go forward."""
Sleep = Callable[[float], Awaitable[None]]


class Pace:
    """The pace of one site."""

    def __init__(self, site: str, limits: Limits, clock: Clock, sleep: Sleep) -> None:
        self._site = site
        self._longest_s = limits.longest_delay_s
        self._interval_s = 1 / limits.per_second
        self._at_once = limits.at_once
        self._hangs_s = limits.hangs_s
        self._began: dict[object, float] = {}
        self._left = anyio.Event()
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0
        self._closed_until = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn of one request, and hold a place for as long as the block lasts, or until it hangs.

        Raises LeftAlone at once while the site asked to be left alone. A cancel gives the place back.
        """
        async with self._place() as place:
            self._refuse_while_closed()
            await self._wait()
            self._refuse_while_closed()
            self._began[place] = self._clock()
            yield

    @property
    def hanging(self) -> int:
        """Requests in progress that take up no place any more: as many others may be made, but not more than twice as
        many in all."""
        since = self._clock() - self._hangs_s
        return min(self._at_once, sum(began <= since for began in self._began.values()))

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[object]:
        while len(self._began) - self.hanging >= self._at_once:
            with anyio.move_on_after(self._until_one_hangs_s()):
                await self._left.wait()
        place = object()
        self._began[place] = inf
        try:
            yield place
        finally:
            del self._began[place]
            left, self._left = self._left, anyio.Event()
            left.set()

    def _until_one_hangs_s(self) -> float:
        now = self._clock()
        return min(
            (left_s for began in self._began.values() if (left_s := began + self._hangs_s - now) > 0), default=inf
        )

    def slow_down(self, delay_s: float | None) -> None:
        """Leave at least this between two requests, within reason."""
        if delay_s:
            self._interval_s = max(self._interval_s, min(delay_s, self._longest_s))
            self._next = max(self._next, self._clock() + self._interval_s)

    def close(self, seconds: float | None) -> None:
        """Ask nothing for so long."""
        if seconds:
            self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _refuse_while_closed(self) -> None:
        left_s = self._closed_until - self._clock()
        if left_s > 0:
            message = f"{self._site} asked to be left alone for another {left_s:.0f} s"
            raise LeftAlone(message, retry_after_s=left_s)

    async def _wait(self) -> None:
        now = self._clock()
        start = max(now, self._next)
        self._next = start + self._interval_s
        if start > now:
            await self._sleep(start - now)
