"""Sessions of browsers that have shown the token: random, kept in memory only, ended by a logout, a restart or age."""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

LONGEST_S = 30 * 24 * 3600
"""A page need not ask for the token again for so long."""
MOST = 1000
"""Sessions kept at once: the one unused for longest gives way. Only the token opens one, so no stranger can do that."""


@dataclass(slots=True, eq=False)
class Session:
    """One login, until ``until`` on the clock of its sessions. What runs in ``scopes`` ends with it."""

    until: float
    has_ended: bool = False
    scopes: set[anyio.CancelScope] = field(default_factory=set)

    @contextmanager
    def holding(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Cancel the scope if the session ends within the block, or has ended before."""
        if self.has_ended:
            scope.cancel()
        self.scopes.add(scope)
        try:
            yield
        finally:
            self.scopes.discard(scope)


class Sessions:
    """Sessions by a digest of their secret: the memory of the process holds no cookie that could be used."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._open: dict[bytes, Session] = {}

    def open(self) -> str:
        """Begin one; the secret that the browser is to show from now on."""
        self._end_old()
        while len(self._open) >= self._most:
            self._end(next(iter(self._open)))
        secret = secrets.token_urlsafe(32)
        self._open[_digest(secret)] = Session(self._clock() + LONGEST_S)
        return secret

    def find(self, secret: str) -> Session | None:
        """The session that goes with a secret, None when there is none (any more)."""
        self._end_old()
        digest = _digest(secret)
        session = self._open.pop(digest, None)
        if session is not None:
            self._open[digest] = session  # the last one used stands last
        return session

    def end(self, secret: str) -> None:
        """End it, and what runs for it. One that is unknown needs no end."""
        digest = _digest(secret)
        if digest in self._open:
            self._end(digest)

    def __len__(self) -> int:
        return len(self._open)

    def _end_old(self) -> None:
        now = self._clock()
        for digest in [digest for digest, session in self._open.items() if session.until <= now]:
            self._end(digest)

    def _end(self, digest: bytes) -> None:
        session = self._open.pop(digest)
        session.has_ended = True
        for scope in tuple(session.scopes):
            scope.cancel()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
