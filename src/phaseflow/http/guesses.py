"""Guesses at the token are slowed: a peer may be wrong a few times, then its tries wait for their turn."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TypeVar

import anyio

from phaseflow.http.problems import LimitReached

_T = TypeVar("_T")
PEERS = 4096
"""Peers remembered. With more of them at once, the pace for all together still holds."""
IPV6_HOST_BITS = 64
"""One customer of a provider has so many addresses."""


@dataclass(frozen=True, slots=True)
class Pace:
    """So many at once, then so many a second, and so many that may wait for their turn."""

    at_once: float
    per_s: float
    waiting: float


OF_ONE = Pace(at_once=10, per_s=1, waiting=5)
OF_ALL = Pace(at_once=100, per_s=10, waiting=50)


class _Budget:
    """What is left of a pace. Below zero are the tries that wait."""

    def __init__(self, pace: Pace, now: float) -> None:
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

    def give_back(self) -> None:
        self._left += 1


class Guesses:
    """Lets a token be tried, at a pace for each peer and at one for all of them.

    The right token costs nothing. A peer that gave it before does not wait for the guesses of others. Neither is asked
    of a session's cookie, which nobody can guess.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_all = _Budget(OF_ALL, clock())
        self._of_one: OrderedDict[str, _Budget] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()

    async def tried(self, address: str, is_right: Callable[[], bool]) -> bool:
        """Whether it is right, once it is its turn. Raises LimitReached, untried, when too many wait already."""
        peer = _network(address)
        budgets = [self._budget(peer)] if peer in self._known else [self._budget(peer), self._of_all]
        now = self._clock()
        if not all(budget.has_room(now) for budget in budgets):
            raise LimitReached("too many wrong tokens were tried; wait ten seconds, then send the right one")
        wait_s = max([budget.take() for budget in budgets])
        if wait_s:
            await anyio.sleep(wait_s)
        right = is_right()
        if right:
            for budget in budgets:
                budget.give_back()
            _remember(self._known, peer, None)
        return right

    def _budget(self, peer: str) -> _Budget:
        found = self._of_one.pop(peer, None) or _Budget(OF_ONE, self._clock())
        _remember(self._of_one, peer, found)
        return found


def _remember(peers: OrderedDict[str, _T], peer: str, value: _T) -> None:
    peers[peer] = value
    peers.move_to_end(peer)
    if len(peers) > PEERS:
        peers.popitem(last=False)


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> IPV6_HOST_BITS)
    return str(parsed)
