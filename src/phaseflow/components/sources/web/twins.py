"""Pages that are the same, byte for byte, under several addresses: the one that is found first is the document."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

_REMEMBERED = 100_000
"""Pages of one crawl, by 16 bytes and an address each."""
_MOST_ALIASES = 50
"""Of one page: as many as its metadata name."""


class Twins:
    """Remembers what the pages of a crawl are, by the digest of their bytes."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}
        self._reading: dict[bytes, anyio.Event] = {}
        self._aliases: dict[str, list[str]] = {}
        """By canonical address, those that named it."""
        self._count = 0

    def add_alias(self, canonical: str, url: str) -> None:
        """Remember an address that was left out in favour of another, which may not have been read yet."""
        others = self._aliases.setdefault(canonical, [])
        if len(others) < _MOST_ALIASES and self._count < _REMEMBERED and url not in others:
            others.append(url)
            self._count += 1

    def aliases(self, url: str) -> list[str]:
        """Return the addresses that were left out in favour of this one."""
        return list(self._aliases.get(url, ()))

    @asynccontextmanager
    async def turn(self, digest: bytes, url: str) -> AsyncIterator[str | None]:
        """The address of a page with these bytes that is a document already; None when this one is the first.

        A page with the same bytes waits until the first one is read. The first counts only when its block ends without
        an error.
        """
        while (other := self._reading.get(digest)) is not None:
            await other.wait()
        known = self._first.get(digest)
        if known is not None and known != url:
            yield known
            return
        done = self._reading[digest] = anyio.Event()
        try:
            yield None
            self._first[digest] = url
            if len(self._first) > _REMEMBERED:
                del self._first[next(iter(self._first))]
        finally:
            del self._reading[digest]
            done.set()
