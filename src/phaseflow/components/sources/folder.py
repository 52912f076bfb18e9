"""The folder source: files under a folder, or one file."""

import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

import anyio
import anyio.to_thread

from phaseflow.components.extraction import Extracted, extract, needs_worker
from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources import archive
from phaseflow.components.sources.names import path_of, uri_of
from phaseflow.components.sources.patterns import Globs
from phaseflow.components.sources.tree import Found, Tree
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from phaseflow.domain.settings import FolderSource, as_given

_T = TypeVar("_T")

PAGE_SIZE = 1000
MAX_BYTES = 64 * 1024 * 1024
RACY_NS = 2_000_000_000
"""FAT keeps modification times to two seconds; other file systems are finer. A file younger than this could change
again and keep its stamp."""
_READ_ONLY = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


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
    the epoch.
    """

    def __init__(
        self,
        source: FolderSource,
        *,
        max_bytes: int = MAX_BYTES,
        limiter: anyio.CapacityLimiter | None = None,
        workers: ExtractionPool | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._source = source
        self._workers = workers or ExtractionPool()
        self._owns_workers = workers is None
        self._opens_archives = source.archives
        self._max_bytes = max_bytes
        self._limiter = limiter
        self._clock = clock

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the files in pages of at most 1,000, each folder in the order of names. Memory does not grow with them.

        A list that ends is complete. Raises ComponentUnavailable when the folder, or any folder below that counts,
        cannot be read. Cancelling it abandons the look-up in hand.
        """
        entries = self._entries()
        while page := await self._in_thread(lambda: list(islice(entries, PAGE_SIZE))):
            yield page

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged:
        """Read one file: text in one visit to a worker thread, a binary format or mail in a worker process.

        Raises DocumentError: ``not_found`` (and ``gone``), ``unreadable``, ``too_large``, ``changed_while_reading``,
        and what extraction raises. Cancelling it abandons the thread, whose result is dropped, and kills the process.
        """
        found = await self._in_thread(partial(self._load, entry, known))
        if not isinstance(found, _Unread):
            return found
        return found.document(entry, await self._workers.extract(found.data, entry.uri))

    async def aclose(self) -> None:
        """End the workers made here; those given go on."""
        if self._owns_workers:
            await self._workers.aclose()

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)

    def _entries(self) -> Iterator[Entry]:
        for found in _files(Path(self._root), self._source):
            if self._opens_archives and archive.is_archive(found.path):
                yield from self._members(found.path, found.size)
            else:
                yield Entry(uri_of(found.path), found.size, self._stamp(found.size, found.mtime_ns))

    def _members(self, path: str, size: int) -> Iterator[Entry]:
        uri = uri_of(path)
        try:
            with _opened(self._place(uri), uri) as file:
                members = archive.members(file, uri)
        except DocumentError:
            # To read the archive itself will say what is wrong with it, where it counts.
            yield Entry(uri, size)
        else:
            yield from (Entry(uri_of(f"{path}/{member.name}"), member.size) for member in members)

    @cached_property
    def _root(self) -> str:
        return os.path.realpath(self._source.path)

    def _load(self, entry: Entry, known: Known | None) -> "Document | Unchanged | _Unread":
        reading = self._read(entry.uri) or self._read(entry.uri)
        if reading is None:
            message = f"{entry.uri} changed while it was read, twice; run again when it is written"
            raise DocumentError(message, code="changed_while_reading")
        stamp = self._stamp(len(reading.data), reading.mtime_ns)
        digest = hashlib.blake2b(reading.data, digest_size=16).digest()
        if known is not None and known.content_hash == digest:
            return Unchanged(entry, digest, stamp)
        if self._opens_archives and archive.is_archive(entry.uri):
            archive.members(BytesIO(reading.data), entry.uri)
        unread = _Unread(reading.data, digest, stamp)
        if needs_worker(reading.data, entry.uri):
            return unread
        return unread.document(entry, extract(reading.data, entry.uri))

    def _read(self, uri: str) -> "_Reading | None":
        inside = archive.split(path_of(uri)) if self._opens_archives else None
        if inside is None or not os.path.isfile(self._place(uri_of(inside[0]))):
            return _read(self._place(uri), uri, self._max_bytes)
        with _opened(self._place(uri_of(inside[0])), uri) as file:
            data = archive.read(file, inside[1], uri, self._max_bytes)
        if data is None:
            raise _not_found(uri)
        return _Reading(data, None)

    def _stamp(self, size: int, mtime_ns: int | None) -> str | None:
        return f"{size}:{mtime_ns}" if mtime_ns is not None and mtime_ns < self._clock() - RACY_NS else None

    def _place(self, uri: str) -> str:
        """Return the real path of a document; a URI can be hostile, and a link can have been put in its way."""
        name = path_of(uri)
        if "\0" in name or not name:
            raise _not_found(uri)
        if not os.path.isdir(self._root):
            return _sole_file(self._root, self._source, uri)
        # Strings, since pathlib would cost more here than reading the file.
        place = os.path.realpath(os.path.join(self._root, name))
        if not place.startswith(os.path.join(self._root, "")) or ".." in name.split("/"):
            raise DocumentError(f"{uri} lies outside the folder and is not read", code="outside_folder")
        return place


@dataclass(frozen=True, slots=True)
class _Reading:
    data: bytes
    mtime_ns: int | None
    """None for a file inside an archive: it is read and hashed every time."""


@dataclass(frozen=True, slots=True)
class _Unread:
    """A file whose bytes are here, and not its text yet."""

    data: bytes
    digest: bytes
    stamp: str | None

    def document(self, entry: Entry, found: Extracted) -> Document:
        return Document(entry, found.text, found.title, found.media_type, self.digest, self.stamp, found.parts)


def _files(root: Path, source: FolderSource) -> Iterator[Found]:
    info = _stat_root(root, source.path)
    if stat.S_ISDIR(info.st_mode):
        yield from Tree(root, Globs(source.include, source.exclude)).walk()
    elif stat.S_ISREG(info.st_mode):
        yield Found(Path(source.path).name, info.st_size, info.st_mtime_ns)
    else:
        raise ComponentUnavailable(f"{as_given(source.path)} is neither a folder nor a file; give the path of one")


def _stat_root(root: Path, given: str) -> os.stat_result:
    try:
        return root.stat()
    except FileNotFoundError as error:
        raise ComponentUnavailable(f"there is no folder {as_given(given)}; check the path, or mount it") from error
    except OSError as error:
        raise ComponentUnavailable(f"cannot read {as_given(given)} ({error.strerror}); mend its permissions") from error
    except ValueError as error:
        raise ComponentUnavailable(f"cannot read {as_given(given)} ({error}); check the path") from error


def _sole_file(root: str, source: FolderSource, uri: str) -> str:
    _stat_root(Path(root), source.path)
    if uri_of(Path(source.path).name) != uri:
        raise _not_found(uri)
    return root


def _read(path: str, uri: str, max_bytes: int) -> _Reading | None:
    """Return the file as it was at one moment, or None when it changed meanwhile."""
    with _opened(path, uri) as file:
        before = os.fstat(file.fileno())
        _check(before, uri, max_bytes)
        data = file.read(before.st_size + 1)
        after = os.fstat(file.fileno())
    same = before.st_mtime_ns == after.st_mtime_ns and len(data) == before.st_size == after.st_size
    return _Reading(data, before.st_mtime_ns) if same else None


@contextmanager
def _opened(path: str, uri: str) -> Iterator[BinaryIO]:
    try:
        with open(os.open(path, _READ_ONLY), "rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_found(uri) from error
    except OSError as error:
        message = f"cannot read {uri} ({error.strerror}); mend its permissions and retry"
        raise DocumentError(message, code="unreadable") from error


def _check(info: os.stat_result, uri: str, max_bytes: int) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise DocumentError(f"{uri} is no regular file and is not read", code="unreadable")
    if info.st_size > max_bytes:
        message = f"{uri} has {info.st_size:,} bytes, more than the {max_bytes:,} that are read; split it or exclude it"
        raise DocumentError(message, code="too_large")


def _not_found(uri: str) -> DocumentError:
    return DocumentError(f"{uri} is not there any more", code="not_found", counts=False, gone=True)
