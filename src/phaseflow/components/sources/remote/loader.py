"""The loader of what fsspec reaches: lists it, and reads only what has changed."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources.names import path_of
from phaseflow.components.sources.patterns import Globs
from phaseflow.components.sources.reading import Reading
from phaseflow.components.sources.remote.connections import NamedConnection
from phaseflow.components.sources.remote.filesystem import ANSWER_S, OBJECT_STORES, NoAnswer, RemoteFileSystem
from phaseflow.components.sources.remote.listing import Listing, size_of, stamp_of
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.components.workers.recognition import AnyPool
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, TransientError
from phaseflow.domain.remote_sources import FsspecSource

T = TypeVar("T")

MAX_BYTES = 64 * 1024 * 1024
TOTAL_S = 60.0
_SLOWEST_RATE = 65_536
"""Bytes a second: a large file gets the time that it takes at this rate on top of ``TOTAL_S``."""
_PIECE = 1 << 20
_BLOCK = 8 << 20
"""What is asked for at a time."""
_SLOW_TRIES = 2


class FsspecLoader:
    """Lists the files below an address and reads one as text. Implements ``Loader``.

    What ``include`` and ``exclude`` mean, and that hidden names and links are skipped, is as for a folder; there are no
    ``.gitignore`` files. A document's uri is its path below the address. ``connection`` has options and credentials;
    ``policy`` decides on each connection of http addresses (None: all are open).

    An unchanged file is not read: its ETag or checksum, else its size and time of change, are those of last time.
    """

    drops_reads = True

    def __init__(
        self,
        source: FsspecSource,
        *,
        connection: NamedConnection | None = None,
        policy: AddressPolicy | None = None,
        workers: AnyPool | None = None,
        max_bytes: int = MAX_BYTES,
        total_s: float = TOTAL_S,
    ) -> None:
        """Blocking: it imports the file system. Raises InvalidRequest where that is missing."""
        self._source = source
        self._files = RemoteFileSystem(source, connection, policy)
        self._workers: AnyPool = workers or ExtractionPool()
        self._owns_workers = workers is None
        self._max_bytes = max_bytes
        self._total_s = total_s
        self._slow: Counter[str] = Counter()
        self.in_flight = 8 if self._files.takes_many else 1

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the files in pages of at most 1,000. Of a folder that its server does not list in pages, all names are
        in memory at a time.

        Raises ComponentUnavailable when the source cannot be read: there is nothing of that name, or access is denied;
        TransientError when it does not answer, RateLimited when it asks to be asked later. A folder that the one above
        it names, and that cannot be listed, is an entry itself, which ``hides_others``.
        """
        try:
            async for page in Listing(
                self._files, self._source.url, Globs(self._source.include, self._source.exclude)
            ).pages():
                yield page
        except DocumentError as error:
            raise ComponentUnavailable(f"{error}; or name another address") from error

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged:
        """Read one file.

        Raises DocumentError: ``not_found`` (and ``gone``), ``unreadable``, ``too_large``, ``too_slow``,
        ``changed_while_reading``, ``source_not_allowed``, and what extraction raises; TransientError, RateLimited;
        SourceDown when the server cannot be reached; ComponentUnavailable when the whole source is not there any more.
        Cancelling abandons the thread that reads.
        """
        try:
            found = await self._load(entry, known)
        except DocumentError as error:
            if error.gone:
                await self._check_there()
            raise
        except NoAnswer as error:
            self._slow[entry.uri] += 1
            if self._slow[entry.uri] < _SLOW_TRIES:
                raise
            del self._slow[entry.uri]
            raise DocumentError(f"{error}; gave up after {counted(_SLOW_TRIES, 'attempt')}", code="too_slow") from error
        self._slow.pop(entry.uri, None)
        return found

    async def aclose(self) -> None:
        """Close the connections and end the workers made here."""
        await self._files.aclose()
        if self._owns_workers:
            await self._workers.aclose()

    async def _load(self, entry: Entry, known: Known | None) -> Document | Unchanged:
        if entry.uri.endswith("/"):  # file systems take it for the name without the slash, which another may have
            if entry.size is None:  # a folder that was not there when it was listed
                await self._call(entry, lambda fs, place: dict(fs.info(place.rstrip("/"))), ANSWER_S)
                message = f"the folder {entry.uri} cannot be listed; check the rights to read it, or exclude it"
                raise DocumentError(message, code="unreadable")
            why = "its name ends in a slash, as those of folders do"
            raise DocumentError(f"{entry.uri} cannot be read: {why}; rename it there, or exclude it", code="unreadable")
        stamp = entry.stamp
        if stamp is None:  # where a list says nothing of a file, the file may
            info = await self._call(entry, lambda fs, place: dict(fs.info(place)), ANSWER_S)
            self._check_size(entry, size_of(info))
            stamp = stamp_of(info, datetime.now(UTC))
            if known is not None and stamp is not None and known.stamp == stamp:
                return Unchanged(entry, known.content_hash, stamp)
        reading = Reading(await self._read(entry), stamp)
        return await reading.document(self._workers, entry, known)

    async def _check_there(self) -> None:
        """That a document is not there says nothing where nothing of the source is: a disk may not be mounted. In a
        store of objects nothing has to be there for a name to be known to be free."""
        if self._files.protocol in OBJECT_STORES:
            return
        try:
            await self._files.call(lambda fs, top: dict(fs.info(top)), self._source.url)
        except DocumentError as error:
            if error.gone:
                raise ComponentUnavailable(
                    f"there is nothing at {self._source.url} any more; run again when it is there"
                ) from error

    async def _read(self, entry: Entry) -> bytes:
        self._check_size(entry, entry.size)
        size = self._max_bytes if entry.size is None else entry.size
        limit_s = self._total_s + size / _SLOWEST_RATE
        until = time.monotonic() + limit_s
        return await self._call(entry, lambda fs, place: self._content(fs, place, entry, until), limit_s)

    async def _call(self, entry: Entry, work: Callable[[Any, str], T], limit_s: float) -> T:
        """Do some work with the place of a document. The source may be this one file itself."""
        path = path_of(entry.uri)
        try:
            return await self._files.call(lambda fs, top: work(fs, _below(top, path)), entry.uri, limit_s)
        except DocumentError as error:
            if not error.gone or path != self._source.url.rstrip("/").rpartition("/")[2]:
                raise
        return await self._files.call(work, entry.uri, limit_s)

    def _content(self, fs: Any, place: str, entry: Entry, until: float) -> bytes:
        pieces: list[bytes] = []
        count = 0
        with fs.open(place, "rb", block_size=_BLOCK) as file:
            while piece := file.read(_PIECE):
                pieces.append(piece)
                count += len(piece)
                self._check_size(entry, count)
                if time.monotonic() > until:
                    return b""  # nobody waits any more
            said = getattr(file, "size", None)
        if isinstance(said, int) and said != count:
            raise TransientError(f"{entry.uri} has {said:,} bytes, and {count:,} came")
        return b"".join(pieces)

    def _check_size(self, entry: Entry, size: int | None) -> None:
        if size is not None and size > self._max_bytes:
            message = f"{entry.uri} has more than the {self._max_bytes:,} bytes that are read; split it, or exclude it"
            raise DocumentError(message, code="too_large")


def _below(top: str, path: str) -> str:
    return f"{top.rstrip('/')}/{path}" if top else path
