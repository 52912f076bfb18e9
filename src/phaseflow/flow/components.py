"""Which components do the work: those the program has given, else those that the settings name."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import anyio

from phaseflow.actors.context import Components
from phaseflow.components.chunker import MarkdownChunker, as_chunker
from phaseflow.components.embedders import EmbedderAccess, EmbedderAdapter, as_embedder, make_embedder
from phaseflow.components.protocols import Chunker, Index, Loader, TextSplitter
from phaseflow.components.sources import FolderLoader
from phaseflow.components.sources.beneath import HasRoots
from phaseflow.components.sources.engine_files import EngineFiles
from phaseflow.components.sources.web import WebLoader
from phaseflow.components.sources.web import check_source as check_web_source
from phaseflow.components.uploads import Uploads
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest
from phaseflow.domain.indexed_with import CustomComponent, IndexedWith
from phaseflow.domain.settings import SOURCE, FolderSource, Settings, UploadSource, WebSource, anchored, as_given
from phaseflow.flow.inputs import Source, SourceLike, as_source
from phaseflow.store.jobs import JobRecord
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord

LoaderFor = Callable[[Source], Loader]
CLOSE_S = 2.0
"""How long a web loader may take to close its connections, seconds."""


class ComponentFactory:
    """Makes the components of each job. Embedders, one a setting, and workers are kept, and closed with it."""

    def __init__(
        self,
        *,
        loader: Loader | LoaderFor | None = None,
        chunker: Chunker | TextSplitter | None = None,
        embedder: Any = None,
        index: Index | None = None,
        check_source: Callable[[Source], None] | None = None,
        allow_private: Collection[str] = (),
        uploads: Uploads | None = None,
        embedding_url: str | None = None,
    ) -> None:
        self._loader = loader
        self._chunker = None if chunker is None else as_chunker(chunker)
        self._embedder = None if embedder is None else as_embedder(embedder)
        self.index = index
        self._check_source = check_source
        self._allow_private = allow_private
        self._uploads = uploads
        self.access = EmbedderAccess(embedding_url, allow_private)
        self._embedders: dict[tuple[str, bool], EmbedderAdapter] = {}
        self._engine_files = EngineFiles(uploads.database if uploads is not None else None)
        self._workers = ExtractionPool()
        self._making = anyio.Lock()

    @property
    def has_own_loader(self) -> bool:
        """The program loads documents itself; sources are whatever it takes them for."""
        return self._loader is not None

    @property
    def embedding_calls(self) -> tuple[int, int]:
        """(calls to embedders, how many of them failed) since the start."""
        ports = [*self._embedders.values(), *([] if self._embedder is None else [self._embedder])]
        return sum(port.calls for port in ports), sum(port.errors for port in ports)

    @asynccontextmanager
    async def components_for(self, record: JobRecord) -> AsyncIterator[Components]:
        """The components of one run of a job. Raises ComponentUnavailable when one cannot be made.

        Raises SourceNotAllowed when its source may not be read any more: since the start what is allowed may have
        changed, or a link been put into its way.
        """
        settings = Settings.model_validate_json(record.settings)
        if record.source is not None and self._check_source is not None and not self.has_own_loader:
            await anyio.to_thread.run_sync(self._check_source, SOURCE.validate_json(record.source))
        await self.check_embedder(record.settings)
        loader = self._loader_for(record)
        try:
            yield Components(
                loader=loader,
                chunker=self._chunker or MarkdownChunker(settings.chunk_size, settings.chunk_overlap),
                embedder=await self._embedder_for(settings),
                index=self.index,
                has_own_chunker=self._chunker is not None,
                has_own_embedder=self._embedder is not None,
            )
        finally:
            if isinstance(loader, WebLoader):
                with anyio.move_on_after(CLOSE_S, shield=True):
                    await loader.aclose()

    async def checked(self, source: SourceLike | None) -> str | None:
        """A source as it is stored, JSON; None for none. Raises InvalidRequest or SourceNotAllowed."""
        if source is None:
            return None
        value = as_source(source)
        if not self.has_own_loader:
            if self._check_source is not None:  # first: whoever may not read a folder learns not even whether it exists
                await anyio.to_thread.run_sync(self._check_source, value)
            value = await self._absolute(value)
        return SOURCE.dump_json(value).decode()

    async def check_stored_source(self, source: str) -> None:
        """Raise SourceNotAllowed or InvalidRequest for a stored source that may not be read any more."""
        if not self.has_own_loader:
            await self.checked(SOURCE.validate_json(source))

    async def check_embedder(self, settings: str) -> None:
        """Raise SourceNotAllowed or InvalidRequest for an embedder at an address that its client may not choose."""
        if self._embedder is None:
            await self.access.check(Settings.model_validate_json(settings).embedder)

    async def _absolute(self, source: Source) -> Source:
        """A source as it is stored: a folder by a path that holds. Raises InvalidRequest or SourceNotAllowed."""
        if isinstance(source, WebSource):
            await check_web_source(source, self._allow_private)
            return source
        if isinstance(source, UploadSource):
            return source
        try:
            path = await anyio.Path(source.path).expanduser()
            found = await path.exists()
        except (OSError, RuntimeError, ValueError):  # a name that is too long, an unknown user, a NUL
            found = False
        if not found:
            raise InvalidRequest("source.path", f"there is no folder {as_given(source.path)!r}; check the name")
        return replace(source, path=anchored(PurePath(path), PurePath(await anyio.Path.cwd())))

    async def query_embedder(self, kb: KnowledgeBaseRecord) -> EmbedderAdapter | None:
        """What embeds queries for the vectors a knowledge base has now; None when nothing here makes such vectors."""
        if kb.model is None or kb.live_settings is None:
            return None
        made_by = IndexedWith.model_validate_json(kb.live_settings).embedder
        if isinstance(made_by, CustomComponent):
            embedder = self._embedder
        else:
            embedder = await self._embedder_for(Settings(embedder=made_by))
        if embedder is None:
            return None
        return embedder if kb.model in {embedder.fingerprint, embedder.identity.former} else None

    def next_with(self, settings: Settings, model: str | None) -> IndexedWith:
        """What a job with these settings would index with; ``model`` is the fingerprint of the vectors there are."""
        own = None
        if self._embedder is not None:
            known = {self._embedder.fingerprint, self._embedder.identity.former}
            own = model if model in known else self._embedder.fingerprint
        return IndexedWith.of(
            settings, chunker=None if self._chunker is None else self._chunker.fingerprint, embedder=own
        )

    async def aclose(self) -> None:
        """End the workers, and close the embedders made here; those given stay open."""
        await self._workers.aclose()
        for embedder in self._embedders.values():
            await embedder.aclose()
        self._embedders.clear()

    async def _embedder_for(self, settings: Settings) -> EmbedderAdapter:
        if self._embedder is not None:
            return self._embedder
        key = settings.embedder.model_dump_json(), self.access.takes_loopback
        async with self._making:
            if key not in self._embedders:
                self._embedders[key] = await anyio.to_thread.run_sync(make_embedder, settings.embedder, self.access)
            return self._embedders[key]

    def _loader_for(self, record: JobRecord) -> Loader:
        if isinstance(self._loader, Loader):
            return self._loader
        if record.source is None:
            raise ComponentUnavailable("the knowledge base has no source; start it with one")
        source = SOURCE.validate_json(record.source)
        if self._loader is not None:
            return self._loader(source)
        if isinstance(source, FolderSource):
            # What was checked by its path may lead elsewhere when it is opened: it is opened below a root.
            roots = self._check_source.roots if isinstance(self._check_source, HasRoots) else None
            return FolderLoader(source, workers=self._workers, engine_files=self._engine_files, roots=roots)
        if isinstance(source, UploadSource):
            return self._upload_loader(record.state.kb_id)
        return WebLoader(source, allow_private=self._allow_private, workers=self._workers)

    def _upload_loader(self, kb_id: str) -> Loader:
        if self._uploads is None:
            raise ComponentUnavailable("uploaded documents are read by the engine that keeps them; use PhaseFlow")
        folder = FolderSource(str(self._uploads.existing(kb_id)))
        return FolderLoader(folder, max_bytes=self._uploads.limits.file_bytes, workers=self._workers, engine_files=None)
