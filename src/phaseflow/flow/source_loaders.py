"""The sources of a knowledge base: checked before they are stored, and the loaders that read them."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

import anyio

from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.protocols import Loader
from phaseflow.components.sources import FolderLoader
from phaseflow.components.sources.engine_files import EngineFiles
from phaseflow.components.sources.patterns import Globs
from phaseflow.components.sources.prefixed import PrefixedLoader, UnavailableLoader
from phaseflow.components.sources.pushed import PushLoader
from phaseflow.components.uploads import Uploads
from phaseflow.components.workers.recognition import AnyPool
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest, SourceNotAllowed
from phaseflow.domain.remote_sources import FsspecSource, GitSource
from phaseflow.domain.settings import (
    DEFAULT_SOURCE,
    SOURCES,
    FolderSource,
    UploadSource,
    WebSource,
    anchored,
    as_given,
)
from phaseflow.domain.vocabulary import WaitingOn
from phaseflow.flow.inputs import Source, SourceLike, as_sources
from phaseflow.flow.remote_sources import RemoteSources
from phaseflow.store.catalogue import PUSH
from phaseflow.store.database import Database
from phaseflow.store.jobs import JobRecord
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord
from phaseflow.store.stop_deadline import PARTS_S
from phaseflow.supervisor.preparation import Preparation

if TYPE_CHECKING:  # imported when a source of the kind is read: most jobs read folders
    from phaseflow.components.sources.git import GitLoader
    from phaseflow.components.sources.remote import FsspecLoader
    from phaseflow.components.sources.web import WebLoader

    _Closeable = WebLoader | FsspecLoader | GitLoader

LoaderFor = Callable[[Source], Loader]
_CLOSE_S = 2.0
"""How long the loaders of a job may take to close their connections, seconds."""


@runtime_checkable
class _HasRoots(Protocol):
    """A check of sources that also says below which folders they lie."""

    @property
    def roots(self) -> Sequence[str]:
        """Real paths."""
        ...


class SourceLoaders:
    """``loader``: the program loads documents itself; sources are whatever it takes them for, and not checked."""

    def __init__(
        self,
        loader: Loader | LoaderFor | None,
        check_source: Callable[[Source], None] | None,
        allow_private: Collection[str],
        uploads: Uploads | None,
    ) -> None:
        self._loader = loader
        self._check_source = check_source
        self._allow_private = allow_private
        self._uploads = uploads
        self.remote = RemoteSources(
            roots=check_source.roots if isinstance(check_source, _HasRoots) else None,
            allow_private=allow_private,
            database=None if uploads is None else uploads.database,
        )
        self.engine_files = EngineFiles(uploads.database if uploads is not None else None)
        self._database: Database | None = None

    def attach(self, database: Database) -> None:
        """Read what was pushed from this database from now on."""
        self._database = database

    @asynccontextmanager
    async def loaders(
        self, record: JobRecord, workers: AnyPool, preparation: Preparation
    ) -> AsyncIterator[dict[str, Loader]]:
        """The loaders of a job, one a source, by name, for the length of the block; and ``push``, of what was pushed.
        ``workers`` read their documents.

        Raises SourceNotAllowed when its only source may not be read any more: since the start what is allowed may have
        changed, or a link been put into its way. One of several then fails by itself.
        """
        found: dict[str, Loader] = {PUSH: self._push_loader(record, workers)}
        made: list[_Closeable] = []
        try:
            if isinstance(self._loader, Loader):
                yield found | {DEFAULT_SOURCE: self._loader}
                return
            if record.sources is None and record.lists and not record.attempt:  # else it has what was pushed to read
                raise ComponentUnavailable("the knowledge base has no source; start it with one")
            sources = {} if record.sources is None else SOURCES.validate_json(record.sources)
            for name, source in sources.items():
                if isinstance(source, UploadSource):
                    continue
                try:
                    loader = await preparation.wait_for(WaitingOn.UPSTREAM, self._loader_for(source, workers))
                # Of several, one that cannot be read must not keep the others from being read; it fails when its turn
                # comes, and the status says so. Alone, there is nothing else to do, and the job says it at once.
                except (SourceNotAllowed, ComponentUnavailable) as error:
                    if len(sources) == 1 and record.lists:
                        raise
                    loader = UnavailableLoader(error)
                if not isinstance(source, FolderSource) and _has_connections(loader):
                    made.append(loader)
                is_prefixed = not isinstance(source, WebSource) and name != DEFAULT_SOURCE
                found[name] = PrefixedLoader(loader, name) if is_prefixed else loader
            yield found
        finally:
            await self._close(made)

    async def _close(self, loaders: "Sequence[_Closeable]") -> None:
        """All at once: at the end of an engine they share the time that its deadline leaves them."""
        assert self._database is not None
        with self._database.ending.limit(PARTS_S), anyio.move_on_after(_CLOSE_S):
            async with anyio.create_task_group() as tasks:
                for loader in loaders:
                    tasks.start_soon(loader.aclose)

    async def checked(
        self, source: SourceLike | None, sources: Mapping[str, SourceLike] | None, kb: KnowledgeBaseRecord | None
    ) -> str | None:
        """Sources by name as they are stored, JSON; None for none. Raises InvalidRequest or SourceNotAllowed.

        One that the knowledge base has already, unchanged, may be away while another can be read: as in
        ``check_stored``, the job finds that out.
        """
        given = as_sources(source, sources)
        if given is None:
            return None
        if self._loader is None:
            stored = {} if kb is None or kb.sources is None else SOURCES.validate_json(kb.sources)
            given = await self._checked_beside(given, stored)
        return SOURCES.dump_json(given).decode()

    async def _checked_beside(self, given: Mapping[str, Source], stored: Mapping[str, Source]) -> dict[str, Source]:
        found: dict[str, Source] = {}
        refused: list[Exception] = []
        for name, each in given.items():
            try:
                found[name] = await self._checked(each)
            except (SourceNotAllowed, InvalidRequest) as error:
                if name not in stored or await call_in_abandonable_thread(partial(_anchored, each)) != stored[name]:
                    raise
                found[name] = stored[name]
                refused.append(error)
        if refused and len(refused) == len(found):
            raise refused[0]
        return found

    async def check_stored(self, sources: str) -> None:
        """Raise SourceNotAllowed or InvalidRequest when none of the stored sources may be read any more.

        One of several is found out by the job, which goes on with the others.
        """
        if self._loader is not None:
            return
        refused: list[Exception] = []
        for source in SOURCES.validate_json(sources).values():
            try:
                await self._checked(source)
            except (SourceNotAllowed, InvalidRequest) as error:
                refused.append(error)
            else:
                return
        raise refused[0]

    async def _checked(self, source: Source) -> Source:
        await self.check_allowed(source)  # first: whoever may not read a folder learns not even whether it exists
        return await self._absolute(source)

    @property
    def roots(self) -> Sequence[str] | None:
        """Real paths of the folders that sources must lie below; None where the program has not said."""
        return self._check_source.roots if isinstance(self._check_source, _HasRoots) else None

    async def check_allowed(self, source: Source) -> None:
        """Raise SourceNotAllowed for a source that may not be read."""
        check = self._check_source
        if check is not None:
            await call_in_abandonable_thread(lambda: check(source))

    async def _absolute(self, source: Source) -> Source:
        """A source as it is stored: a folder by a path that holds. Raises InvalidRequest or SourceNotAllowed."""
        if isinstance(source, WebSource):
            from phaseflow.components.sources.web import check_source as check_web_source

            await check_web_source(source, self._allow_private)
            return source
        if isinstance(source, UploadSource):
            return source
        if isinstance(source, FsspecSource | GitSource):
            await self.remote.check(source)
            return source
        found, anchored_source = await call_in_abandonable_thread(lambda: (_is_there(source.path), _anchored(source)))
        Globs.check(source.include, source.exclude)
        if not found:
            raise InvalidRequest("source.path", f"there is no folder {as_given(source.path)!r}; check the name")
        return anchored_source

    async def _loader_for(self, source: Source, workers: AnyPool) -> Loader:
        if self._loader is not None:
            assert not isinstance(self._loader, Loader)
            return self._loader(source)
        await self.check_allowed(source)
        if isinstance(source, FolderSource):
            # What was checked by its path may lead elsewhere when it is opened: it is opened below a root.
            return FolderLoader(source, workers=workers, engine_files=self.engine_files, roots=self.roots)
        if isinstance(source, FsspecSource | GitSource):
            return await self.remote.loader(source, workers)
        assert isinstance(source, WebSource)
        from phaseflow.components.sources.web import WebLoader

        return WebLoader(source, allow_private=self._allow_private, workers=workers)

    def _push_loader(self, record: JobRecord, workers: AnyPool) -> Loader:
        assert self._uploads is not None
        assert self._database is not None
        return PushLoader(self._database.read_long, record.seq, record.state.kb_id, self._uploads, workers)


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # a name that is too long, an unknown user, a NUL
        return False


def _anchored(source: Source) -> Source:
    """A source with the path of a folder as it is stored, whether or not it is there."""
    if not isinstance(source, FolderSource):
        return source
    try:
        path = Path(source.path).expanduser()
    except RuntimeError:  # an unknown user
        return source
    return replace(source, path=anchored(path, Path.cwd()))


def _has_connections(loader: Loader) -> "TypeGuard[_Closeable]":
    from phaseflow.components.sources.git import GitLoader
    from phaseflow.components.sources.remote import FsspecLoader
    from phaseflow.components.sources.web import WebLoader

    return isinstance(loader, WebLoader | FsspecLoader | GitLoader)
