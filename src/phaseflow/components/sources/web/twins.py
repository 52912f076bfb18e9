"""Pages that are the same, byte for byte, under several addresses: one is the document.

It is the one that the knowledge base has already, else the one that is read first. The engine gives the document the
shortest of the addresses when the crawl ends (``store.twins``), so that none is taken out only to come back.
"""

from collections.abc import AsyncIterator, Sequence
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
        self._expected: dict[bytes, str] = {}
        self._reading: dict[bytes, anyio.Event] = {}
        self._aliases: dict[str, list[str]] = {}
        """By canonical address, those that named it."""
        self._count = 0

    def expect(self, documents: Sequence[tuple[str, bytes]]) -> None:
        """Remember documents of an earlier crawl (address, digest): whether they still stand is to be asked."""
        for url, digest in documents[: max(0, _REMEMBERED - len(self._expected))]:
            self._expected[digest] = url

    def expected(self, digest: bytes) -> str | None:
        """The address that was the document with these bytes in an earlier crawl."""
        return self._expected.get(digest)

    def agree(self, digest: bytes, url: str) -> None:
        """The page at ``url`` is the document with these bytes, in this crawl too."""
        self._first[digest] = url

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
            self._first.setdefault(digest, url)
            if len(self._first) > _REMEMBERED:
                del self._first[next(iter(self._first))]
        finally:
            del self._reading[digest]
            done.set()
