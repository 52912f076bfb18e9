"""A source of several: its documents are named after it, so that no two sources claim one uri."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from phaseflow.components.loader_answers import checked_document
from phaseflow.components.protocols import Document, Entry, Known, Loader, Skipped, Unchanged
from phaseflow.domain.settings import DEFAULT_SOURCE


def source_uris(name: str, uris: Iterable[str]) -> Iterator[str]:
    """The uris that documents of a folder source have in their knowledge base."""
    prefix = "" if name == DEFAULT_SOURCE else f"{name}/"
    return (prefix + uri for uri in uris)


class PrefixedLoader:
    """A loader whose documents have ``NAME/`` before their uri. Implements ``Loader``; the rest is of ``inner``."""

    def __init__(self, inner: Loader, name: str) -> None:
        self._inner = inner
        self._prefix = f"{name}/"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        """What the source has, renamed."""
        async for page in self._inner.list():
            yield [self._renamed(entry) for entry in page]

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged | Skipped:
        """Read a document by the name that its source has for it."""
        asked = replace(entry, uri=entry.uri.removeprefix(self._prefix))
        found = checked_document(self._inner, await self._inner.load(asked, known), asked, known)
        links = tuple(self._renamed(link) for link in found.links)
        return replace(found, entry=entry, links=links)

    def _renamed(self, entry: Entry) -> Entry:
        return replace(entry, uri=self._prefix + entry.uri)


class UnavailableLoader:
    """Stands for a source that cannot be read, and says why. Implements ``Loader``."""

    def __init__(self, error: Exception) -> None:
        self._error: Exception | None = error

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        """Raise why it cannot."""
        if self._error is not None:
            raise self._error
        yield []

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged | Skipped:
        """Raise why it cannot."""
        assert self._error is not None
        raise self._error
