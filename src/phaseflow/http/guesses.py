"""Guesses at the token are slowed: a peer may be wrong a few times, then its wrong ones wait for an answer."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import anyio

from phaseflow.http.problems import LimitReached

PEERS = 4096
"""Peers remembered. With more of them at once, the pace for all together still holds."""
_IPV6_HOST_BITS = 64
"""One customer of a provider has so many addresses."""


@dataclass(frozen=True, slots=True)
class _Pace:
    """So many at once, then so many a second, and so many that may wait for their turn."""

    at_once: float
    per_s: float
    waiting: float


OF_ONE = _Pace(at_once=10, per_s=1, waiting=5)
OF_ALL = _Pace(at_once=100, per_s=10, waiting=50)


class _Budget:
    """What is left of a pace. Below zero are the tries that wait."""

    def __init__(self, pace: _Pace, now: float) -> None:
        self._pace = pace
        self._left = pace.at_once
        self._seen = now

    def has_room(self, now: float) -> bool:
        self._left = min(self._pace.at_once, self._left + (now - self._seen) * self._pace.per_s)
        self._seen = now
        return self._left - 1 >= -self._pace.waiting

    def take(self) -> float:
        """Take one; how long its turn is away."""
        self._left -= 1
        return max(0.0, -self._left / self._pace.per_s)


class Guesses:
    """Slows wrong tokens down, at a pace for each peer and at one for all of them.

    The right token never comes here, so nobody can lock its holder out by guessing from the same address. Hence this
    does not bound how many tokens can be compared in parallel: the length of the token has to.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_all = _Budget(OF_ALL, clock())
        self._of_one: OrderedDict[str, _Budget] = OrderedDict()
        self._closed = anyio.Event()

    def close(self) -> None:
        """Nobody waits any more: the service is to stop."""
        self._closed.set()

    async def was_wrong(self, address: str) -> None:
        """Return once a wrong token may be answered. Raises LimitReached, at once, when too many wait already."""
        budgets = [self._budget(_network(address)), self._of_all]
        now = self._clock()
        if not all(budget.has_room(now) for budget in budgets):
            raise LimitReached("too many wrong tokens were sent; the right one is let in at any time")
        wait_s = max([budget.take() for budget in budgets])
        if wait_s:
            with anyio.move_on_after(wait_s):
                await self._closed.wait()

    def _budget(self, peer: str) -> _Budget:
        found = self._of_one.pop(peer, None) or _Budget(OF_ONE, self._clock())
        self._of_one[peer] = found
        if len(self._of_one) > PEERS:
            self._of_one.popitem(last=False)
        return found


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> _IPV6_HOST_BITS)
    return str(parsed)
