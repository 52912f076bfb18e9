"""The loader of Git repositories: lists the files of one commit, and reads those whose content is new."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import anyio

from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources.git.objects import Damaged, Objects, explained, missing
from phaseflow.components.sources.git.places import CONNECT_S, Place
from phaseflow.components.sources.git.refs import Tree, wanted_here
from phaseflow.components.sources.git.repositories import FETCH_S, Fetch, Repositories
from phaseflow.components.sources.names import path_of, uri_of
from phaseflow.components.sources.patterns import Globs
from phaseflow.components.sources.reading import Reading
from phaseflow.components.sources.remote.connections import NamedConnection
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.components.workers.recognition import AnyPool
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, TransientError
from phaseflow.domain.remote_sources import GitSource

T = TypeVar("T")

PAGE_SIZE = 1000
MAX_BYTES = 64 * 1024 * 1024
_BLOB = "blob:"
_LFS = b"version https://git-lfs.github.com/spec/"


class GitLoader:
    """Lists the files of a commit and reads one as text. Implements ``Loader``.

    The commit is fetched, without its history, into a copy of the engine's own (``repositories``); of a repository on
    this machine nothing is copied. Files come from the commit's objects: nothing is checked out, no hook runs, links
    and submodules are not followed. A document's stamp is the id of its blob, so that only new content is read.

    ``policy`` decides on each connection (None: all are open). With ``roots``, real paths, a repository on this machine
    must lie below one of them with all that it is made of.
    """

    in_flight = 4
    drops_reads = True

    def __init__(
        self,
        source: GitSource,
        *,
        repositories: Repositories | None = None,
        connection: NamedConnection | None = None,
        policy: AddressPolicy | None = None,
        roots: Sequence[str] | None = None,
        workers: AnyPool | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._source = source
        self._place = Place(source.url)
        self._repositories = repositories or Repositories()
        self._connection = connection
        self._policy = policy
        self._roots = roots
        self._workers: AnyPool = workers or ExtractionPool()
        self._owns_workers = workers is None
        self._max_bytes = max_bytes
        self._held = ExitStack()
        self._opened: Tree | None = None
        self._opening = anyio.Lock()
        self._copy: Path | None = None
        self._has_discarded = False

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the files of the commit in pages of at most 1,000.

        Raises ComponentUnavailable when the repository cannot be read: it is not there, access is denied, it has no
        such ref, it is damaged or not whole; TransientError when it does not answer, or the engine's copy was damaged
        and is fetched anew; RateLimited when it asks to be asked later. Cancelling ends the fetch.
        """
        tree = await self._open()
        found = tree.files(Globs(self._source.include, self._source.exclude))
        while True:
            try:
                page = await _in_thread(partial(_page, found))
            except Damaged as error:
                await self._drop(tree, error)
                raise
            if not page:
                return
            yield page

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged:
        """Read one file.

        Raises DocumentError: ``not_found`` (and ``gone``), ``unreadable`` where the repository lacks it or is damaged,
        ``too_large``, ``unsupported_format`` for what Git LFS keeps
        elsewhere, and what extraction raises; what ``list`` raises. Cancelling leaves nothing behind.
        """
        tree = await self._open()
        try:
            blob = await _in_thread(partial(self._blob, tree, entry))
            stamp = _BLOB + blob.decode()
            if known is not None and known.stamp == stamp and entry.stamp is not None:
                return Unchanged(entry, known.content_hash, stamp)
            data = await _in_thread(partial(self._content, tree, blob, entry))
        except Damaged as error:
            await self._drop(tree, error)
            raise DocumentError(f"{entry.uri} cannot be read: {error}", code="unreadable") from error
        return await Reading(data, stamp).document(self._workers, entry, known)

    async def aclose(self) -> None:
        """Let go of the copy and end the workers made here."""
        self._opened = None
        await _in_thread(self._held.close)
        if self._owns_workers:
            await self._workers.aclose()

    async def _drop(self, tree: Tree, error: Damaged) -> None:
        async with self._opening:
            await self._discard(tree, error)

    async def _discard(self, tree: Tree | None, error: Damaged) -> None:
        """Remove a copy of the engine's own that is damaged, once: raises TransientError, and the next try fetches
        all of it."""
        if self._copy is None:
            return
        if tree is self._opened:
            if self._has_discarded:
                return
            self._has_discarded, self._opened = True, None
            await _in_thread(partial(self._repositories.discard, self._copy))
        raise TransientError(f"{error}. The engine's own copy is meant: it was removed, and is fetched anew") from error

    async def _open(self) -> Tree:
        async with self._opening:
            if self._opened is None:
                self._opened = await self._fetched()
            return self._opened

    async def _fetched(self) -> Tree:
        if self._place.path is not None:
            return await _in_thread(self._local)
        try:
            return await self._fetch()
        except Damaged as error:
            await self._discard(None, error)
            raise
        except DocumentError as error:
            raise ComponentUnavailable(f"{error}; or name another repository") from error

    async def _fetch(self) -> Tree:
        addresses_of = None if self._policy is None else self._policy.for_threads(CONNECT_S)
        client, path = await _in_thread(partial(self._place.client, self._connection, addresses_of))
        place = await _in_thread(partial(self._held.enter_context, self._repositories.using(self._source.url)))
        self._copy = place
        fetch = Fetch(client, path, self._source.ref, self._source.url)
        try:
            with anyio.fail_after(FETCH_S + 5):
                return await _in_thread(partial(self._into, fetch, place))
        except TimeoutError as error:
            raise ComponentUnavailable(f"{self._source.url} did not answer in time; try again later") from error
        finally:
            fetch.stop()

    def _into(self, fetch: Fetch, place: Path) -> Tree:
        with self._repositories.lock(place):
            commit = fetch.run(place)
        with explained(self._source.url):
            repository = self._repositories.open(place)
        return self._tree(repository, commit)

    def _local(self) -> Tree:
        repository = self._place.open_here(self._roots)
        commit = wanted_here(repository, self._source.ref, self._source.url)
        return self._tree(repository, commit)

    def _tree(self, repository: Any, commit: bytes) -> Tree:
        self._held.callback(_close, repository)
        objects, ref = Objects(repository.object_store, self._source.url), self._source.ref
        if commit not in objects:
            if ref is not None and ref.encode() == commit:
                raise ComponentUnavailable(f"{self._source.url} has no commit {ref}; check its id")
            raise Damaged(missing(self._source.url, commit))
        return Tree.of(objects, commit, self._source.url)

    def _blob(self, tree: Tree, entry: Entry) -> bytes:
        if entry.stamp is not None and entry.stamp.startswith(_BLOB):
            blob = entry.stamp.removeprefix(_BLOB).encode()
            if blob in tree.objects:
                return blob
        # Listed before the engine was started anew, and changed since; or asked for by name.
        found = tree.blob_at(path_of(entry.uri))
        if found is None:
            raise DocumentError(f"{entry.uri} is not there any more", code="not_found", counts=False, gone=True)
        return found

    def _content(self, tree: Tree, blob: bytes, entry: Entry) -> bytes:
        data = tree.objects.blob(blob)
        if len(data) > self._max_bytes:
            message = (
                f"{entry.uri} has {len(data):,} bytes, more than the {self._max_bytes:,} that are read; exclude it"
            )
            raise DocumentError(message, code="too_large")
        if data.startswith(_LFS):
            message = f"{entry.uri} is kept by Git LFS, which is not read; exclude it, or give a checkout as a folder"
            raise DocumentError(message, code="unsupported_format", counts=False)
        return data


def _close(repository: Any) -> None:
    with suppress(BufferError):  # an error that somebody still has refers to its pack; it is closed with that
        repository.close()


def _page(found: Iterator[tuple[str, bytes]]) -> list[Entry]:
    return [Entry(uri_of(path), None, _BLOB + blob.decode()) for path, blob in islice(found, PAGE_SIZE)]


async def _in_thread(work: Callable[[], T]) -> T:
    return await call_in_abandonable_thread(work)
