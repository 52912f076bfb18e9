"""The folder source: files under a folder, or one file."""

import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import PurePath
from typing import BinaryIO, TypeVar

import anyio
import anyio.to_thread

from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.extraction import Extracted, extract
from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources import archive
from phaseflow.components.sources.beneath import Place, opened
from phaseflow.components.sources.engine_files import EngineFiles
from phaseflow.components.sources.file_reading import FileReading, not_found, read_file, told_of
from phaseflow.components.sources.names import path_of, uri_of
from phaseflow.components.sources.patterns import Globs
from phaseflow.components.sources.tree import Found, Tree
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.components.workers.recognition import AnyPool
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from phaseflow.domain.settings import FolderSource, as_given

_T = TypeVar("_T")

PAGE_SIZE = 1000
MAX_BYTES = 64 * 1024 * 1024
_RACY_NS = 2_000_000_000
"""FAT keeps modification times to two seconds; other file systems are finer. A file younger than this could change
again and keep its stamp."""
_ANY_ENGINE = EngineFiles()


class FolderLoader:
    """Lists the files under a folder and reads one as text. Implements ``Loader``.

    Skipped: hidden files and folders (a leading dot; but not the folder ``.github``, which holds guides
    for readers); what a ``.gitignore`` in the folder or below leaves out; FIFOs,
    sockets and devices; links that lead out of the folder or in a circle. ``include`` and ``exclude`` are globs as in
    ``.gitignore``: ``*.md`` matches at any depth, ``/notes.md`` at the root only, ``docs/**`` everything below
    ``docs``; an ``include`` means only these, and ``exclude`` wins. Neither brings back what is hidden or ignored.

    ``source.path`` may also name one file: then that file is the only document, whatever its name.
    ``max_bytes`` is the largest file that is read. Works in threads of ``limiter`` (default: anyio's own); nothing
    blocks the event loop. Binary formats and mail are read by ``workers`` (default: a pool of its own, ended by
    ``aclose``). With ``source.archives``, the files inside ZIP archives take the place of these, as
    ``guide.zip/page.md``; one level deep, whatever ``include`` says of them. ``clock`` gives nanoseconds since
    the index_version.

    With ``roots``, real paths of folders, the source must lie below one of them. Nothing outside the source (and, with
    ``roots``, outside these) is ever read, whoever swaps folders for links meanwhile. ``engine_files`` are never
    documents; the default knows databases of phaseflow and what lies beside them, None lets them in.
    """

    def __init__(
        self,
        source: FolderSource,
        *,
        max_bytes: int = MAX_BYTES,
        limiter: anyio.CapacityLimiter | None = None,
        workers: AnyPool | None = None,
        clock: Callable[[], int] = time.time_ns,
        roots: Sequence[str] | None = None,
        engine_files: EngineFiles | None = _ANY_ENGINE,
    ) -> None:
        self._source = source
        self._workers: AnyPool = workers or ExtractionPool()
        self._owns_workers = workers is None
        self._opens_archives = source.archives
        self._max_bytes = max_bytes
        self._limiter = limiter
        self._clock = clock
        self._roots = roots
        self._engine_files = engine_files
        self._listed: os.stat_result | None = None

    @property
    def in_flight(self) -> int:
        """As many documents at once as the workers are kept busy by."""
        return self._workers.in_flight

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the files in pages of at most 1,000, each folder in the order of names. Memory does not grow with them.

        A list that ends is complete. Raises ComponentUnavailable when the folder, or any folder below that counts,
        cannot be read, or when the folder was removed or replaced meanwhile. An archive that cannot be opened is an
        entry itself, which ``hides_others``. Cancelling abandons the look-up in hand.
        """
        entries = self._entries()
        while page := await self._in_thread(lambda: list(islice(entries, PAGE_SIZE))):
            yield page

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged:
        """Read one file: text in one visit to a worker thread, a binary format or mail in a worker process.

        Raises DocumentError: ``not_found`` (and ``gone``), ``unreadable``, ``too_large``, ``changed_while_reading``,
        and what extraction raises; ComponentUnavailable when the folder was removed or replaced since it was listed.
        Cancelling it abandons the thread, whose result is dropped, and kills the process.
        """
        found = await self._in_thread(partial(self._load, entry, known))
        if not isinstance(found, _Unread):
            return found
        return found.document(entry, await self._workers.extract(found.data, entry.uri))

    async def read(self, entry: Entry) -> bytes:
        """The bytes of one file, in a worker thread. Raises DocumentError as ``load`` does."""
        reading = await self._in_thread(partial(self._settled, entry.uri))
        return reading.data

    async def aclose(self) -> None:
        """End the workers made here; those given go on."""
        if self._owns_workers:
            await self._workers.aclose()

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        if self._limiter is not None:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        return await call_in_abandonable_thread(work)  # for half of what the trip costs

    def _entries(self) -> Iterator[Entry]:
        globs = Globs(self._source.include, self._source.exclude)
        with self._opened() as place:
            self._listed = os.fstat(place.folder.fd)
            if place.name is None:
                found = Tree(place.folder, globs).walk()
            else:
                info = place.folder.stat(place.name)
                # The name as it was given, which may be that of a link.
                found = iter([Found(PurePath(self._source.path).name, info.st_size, info.st_mtime_ns)])
            for file in found:
                if self._opens_archives and archive.is_archive(file.path):
                    yield from self._members(place, file.path, file.size)
                else:
                    yield Entry(uri_of(file.path), file.size, self._stamp(file.size, file.mtime_ns))
            if place.name is None:
                self._check_unmoved(place)

    def _check_unmoved(self, place: Place) -> None:
        """What was listed must still be the folder of that name: one that was moved away may have lost its files first,
        and a list of what was left of it would take all other documents out."""
        try:
            is_same = os.path.samestat(os.stat(self._source.path), os.fstat(place.folder.fd))
        except OSError:
            is_same = False
        if not is_same:
            raise self._was_moved("while it was listed")

    def _was_moved(self, when: str) -> ComponentUnavailable:
        given = as_given(self._source.path)
        return ComponentUnavailable(f"{given} was removed or replaced {when}; run again when it is there")

    def _members(self, place: Place, path: str, size: int) -> Iterator[Entry]:
        uri = uri_of(path)
        try:
            with self._file(place, path, uri) as file:
                members = archive.members(file, uri)
        except DocumentError:
            # To read the archive itself will say what is wrong with it, where it counts.
            yield Entry(uri, size, hides_others=True)
        else:
            yield from (Entry(uri_of(f"{path}/{member.name}"), member.size) for member in members)

    def _opened(self) -> AbstractContextManager[Place]:
        return opened(self._source.path, self._roots, self._engine_files)

    def _load(self, entry: Entry, known: Known | None) -> "Document | Unchanged | _Unread":
        reading = self._settled(entry.uri)
        if reading.is_archive:
            archive.members(BytesIO(reading.data), entry.uri)
            message = f"{entry.uri} could not be opened when its folder was listed, and can be now; run again"
            raise DocumentError(message, code="changed_while_reading")
        stamp = self._stamp(len(reading.data), reading.mtime_ns)
        digest = hashlib.blake2b(reading.data, digest_size=16).digest()
        if known is not None and known.content_hash == digest:
            return Unchanged(entry, digest, stamp)
        unread = _Unread(reading.data, digest, stamp)
        if self._workers.takes(reading.data, entry.uri):
            return unread
        return unread.document(entry, extract(reading.data, entry.uri))

    def _settled(self, uri: str) -> FileReading:
        reading = self._read(uri) or self._read(uri)
        if reading is None:
            message = f"{uri} changed while it was read, twice; run again when it is written"
            raise DocumentError(message, code="changed_while_reading")
        return reading

    def _read(self, uri: str) -> FileReading | None:
        name = path_of(uri)
        with self._opened() as place, self._unless_moved(place):
            paths = archive.splits(name) if self._opens_archives else ()
            if inside := next((each for each in paths if _is_file(place, each[0], uri)), None):
                with self._file(place, inside[0], uri) as file:
                    data = archive.read(file, inside[1], uri, self._max_bytes)
                if data is None:
                    raise not_found(uri)
                return FileReading(data, None)
            with self._file(place, name, uri) as file:
                return read_file(
                    file, uri, self._max_bytes, is_archive=self._opens_archives and archive.is_archive(name)
                )

    @contextmanager
    def _unless_moved(self, place: Place) -> Iterator[None]:
        """What is not there says nothing in a folder other than the one that was listed: a disk may not be mounted."""
        try:
            yield
        except DocumentError as error:
            if not error.gone or self._listed is None:
                raise
            if not os.path.samestat(self._listed, os.fstat(place.folder.fd)):
                raise self._was_moved("after it was listed") from error
            raise

    def _stamp(self, size: int, mtime_ns: int | None) -> str | None:
        return f"{size}:{mtime_ns}" if mtime_ns is not None and mtime_ns < self._clock() - _RACY_NS else None

    @contextmanager
    def _file(self, place: Place, path: str, uri: str) -> Iterator[BinaryIO]:
        """Open a document; a URI can be hostile, and a link can have been put in its way."""
        if place.name is not None:
            if path != PurePath(self._source.path).name:
                raise not_found(uri)
            path = place.name
        if "\0" in path or not path:
            raise not_found(uri)
        with told_of(uri), open(place.folder.open_file(path), "rb") as file:
            yield file


@dataclass(frozen=True, slots=True)
class _Unread:
    """A file whose bytes are here, and not its text yet."""

    data: bytes
    digest: bytes
    stamp: str | None

    def document(self, entry: Entry, found: Extracted) -> Document:
        return Document(
            entry,
            found.text,
            found.title,
            found.media_type,
            self.digest,
            self.stamp,
            found.parts,
            metadata=found.metadata,
            size=len(self.data),
            read_as=found.read_as,
        )


def _is_file(place: Place, path: str, uri: str) -> bool:
    with told_of(uri):
        return place.folder.is_file(place.name or path)
