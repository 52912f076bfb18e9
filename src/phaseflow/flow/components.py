"""Which components do the work: those the program has given, else those that the settings name.

What only jobs need is imported when the first job needs it: a reader has answered by the time that the libraries of all
formats and embedders are imported.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from phaseflow.components.indexes.registry import Indexes
from phaseflow.components.indexes.servers import IndexServers
from phaseflow.domain.errors import TransientError, WorkersDown
from phaseflow.domain.indexed_with import OWN_INDEX, CustomComponent, IndexedWith, LiveIndex, made_by, why_made_again
from phaseflow.domain.log import get_logger
from phaseflow.domain.settings import PostgresIndexSettings, Settings, StaticEmbedderSettings
from phaseflow.domain.vocabulary import WaitingOn
from phaseflow.flow.chosen_workers import chosen_workers, make_workers
from phaseflow.flow.inputs import Source
from phaseflow.store.index_spaces import OWN
from phaseflow.store.jobs import JobRecord
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord

if TYPE_CHECKING:
    from phaseflow.actors.context import Components, OpenIndex
    from phaseflow.components.embedders import EmbedderAccess, EmbedderAdapter
    from phaseflow.components.indexes import Index
    from phaseflow.components.protocols import Chunker, Loader, TextSplitter
    from phaseflow.components.uploads import Uploads
    from phaseflow.components.workers.pool import ExtractionPool
    from phaseflow.components.workers.recognition import RecognisingPool, Recognition
    from phaseflow.domain.indexed_with import StaleSetting
    from phaseflow.flow.inputs import WorkersLike
    from phaseflow.flow.source_loaders import LoaderFor, SourceLoaders
    from phaseflow.store.transaction import Transaction
    from phaseflow.supervisor.preparation import Preparation

_RESOLVED_S = 1.0
"""How long a job waits for the addresses of an embedding server before it begins: each connection is checked again."""


class ComponentFactory:
    """Makes the components of each job. Embedders, one a setting, and workers are kept, and closed with it."""

    def __init__(
        self,
        *,
        loader: "Loader | LoaderFor | None" = None,
        chunker: "Chunker | TextSplitter | None" = None,
        embedder: Any = None,
        index: "Index | None" = None,
        check_source: Callable[[Source], None] | None = None,
        allow_private: Collection[str] = (),
        uploads: "Uploads | None" = None,
        embedding_url: str | None = None,
        index_servers: Mapping[str, str] | None = None,
        workers: "WorkersLike | None" = None,
    ) -> None:
        if loader is not None or index is not None:
            _check(loader, index)
        self._loader = loader
        self._chunker = None if chunker is None else _as_chunker(chunker)
        self._embedder = None if embedder is None else _as_embedder(embedder)
        self._embedding_url = embedding_url
        self._allow_private = allow_private
        self._check_source = check_source
        self._uploads = uploads
        self.index_servers = IndexServers(index_servers)
        self.indexes = Indexes(self.index_servers, index)
        self._embedders: dict[tuple[str, bool], EmbedderAdapter] = {}
        self._chosen_workers = chosen_workers(workers)
        self._recognition: Recognition | None = None
        self._making = anyio.Lock()

    @cached_property
    def access(self) -> "EmbedderAccess":
        """Which addresses embedders may be at, and which of them gets the key."""
        from phaseflow.components.embedders import EmbedderAccess

        return EmbedderAccess(self._embedding_url, self._allow_private)

    @cached_property
    def sources(self) -> "SourceLoaders":
        """What reads the sources."""
        from phaseflow.flow.source_loaders import SourceLoaders

        return SourceLoaders(self._loader, self._check_source, self._allow_private, self._uploads)

    @cached_property
    def _workers(self) -> "ExtractionPool":
        from phaseflow.components.workers.pool import ExtractionPool

        pool = ExtractionPool(make_workers(self._chosen_workers))
        if self._embedder is not None:
            self._embedder.run_in(pool)
        return pool

    @cached_property
    def _rules(self) -> str:
        from phaseflow.components.recipe import rules

        return rules(own_chunker=self._chunker is not None)

    async def open(self) -> None:
        """Get workers elsewhere ready, without waiting for them; processes of this machine come with the first job."""
        if not isinstance(self._chosen_workers, int | None):
            await self._workers.workers.open()

    def check_workers(self) -> None:
        """Raise WorkersDown when no worker can be reached."""
        if not isinstance(self._chosen_workers, int | None) and (why := self._workers.workers.down) is not None:
            raise WorkersDown(f"no worker can be reached: {why}")

    @property
    def has_own_loader(self) -> bool:
        """The program loads documents itself; sources are whatever it takes them for."""
        return self._loader is not None

    @property
    def embedding_calls(self) -> tuple[int, int, int]:
        """(calls to embedders, how many of them failed, characters of those answered) since the start."""
        adapters = [*self._embedders.values(), *([] if self._embedder is None else [self._embedder])]
        calls, errors = sum(each.calls for each in adapters), sum(each.errors for each in adapters)
        return calls, errors, sum(each.characters for each in adapters)

    @asynccontextmanager
    async def components_for(self, record: JobRecord, preparation: "Preparation") -> "AsyncIterator[Components]":
        """The components of one run of a job. Its status says what they wait for.

        Raises ComponentUnavailable when one cannot be made, SourceNotAllowed when its source may not be read any more:
        since the start what is allowed may have changed, or a link been put into its way.
        """
        from phaseflow.actors.context import Components
        from phaseflow.components.chunker import MarkdownChunker

        settings = Settings.model_validate_json(record.settings)
        await self.check_settings(record.settings, _RESOLVED_S)
        server = self._index_server(settings)
        recognising = None if settings.ocr is None else self._recognising()
        async with self.sources.loaders(record, recognising or self._workers, preparation) as loaders:
            yield Components(
                loaders=loaders,
                working_on=None if recognising is None else recognising.progress.words,
                chunker=self._chunker or MarkdownChunker(settings.chunk_size, settings.chunk_overlap),
                embedder=await self._embedder_for(settings),
                open_index=None if server is None else await self._opening(server, preparation),
                index_server=server,
                index_losses=self.indexes.losses,
                has_own_chunker=self._chunker is not None,
                has_own_embedder=self._embedder is not None,
            )

    async def _opening(self, server: str, preparation: "Preparation") -> "OpenIndex":
        """What opens an index for a run. One that cannot be reached now is waited for where it is needed: what comes
        before can be done without it. Raises ComponentUnavailable where it will never be there."""
        try:
            await preparation.wait_for(WaitingOn.INDEX, self.indexes.get(server))
        except TransientError as error:
            get_logger().warning("the index cannot be opened yet", index=server, error=str(error))
        return partial(self.indexes.get, server)

    def _recognising(self) -> "RecognisingPool":
        """What reads documents where text is to be recognised. Without the extra, those that need it fail."""
        from phaseflow.components.workers.recognition import RecognisingPool, Recognition

        self._recognition = self._recognition or Recognition()
        return RecognisingPool(self._workers, self._recognition)

    async def check_settings(self, settings: str, within_s: float | None = None) -> None:
        """Raise SourceNotAllowed or InvalidRequest for an embedder at an address that its client may not choose, and
        for an index server that nobody has set up. ``within_s``: how long to wait for its addresses."""
        wanted = Settings.model_validate_json(settings)
        self.index_servers.check(wanted.index)
        if self._embedder is None:
            await self.access.check(wanted.embedder, within_s)

    async def query_embedder(self, kb: KnowledgeBaseRecord) -> "EmbedderAdapter | None":
        """What embeds queries for the vectors a knowledge base has now; None when nothing here makes such vectors."""
        if kb.model is None or kb.live_settings is None:
            return None
        made_with = made_by(kb.live_settings)
        if isinstance(made_with, CustomComponent):
            embedder = self._embedder
        else:
            embedder = await self._embedder_for(Settings(embedder=made_with))
        if embedder is None:
            return None
        return embedder if kb.model in {embedder.fingerprint, embedder.identity.former} else None

    @asynccontextmanager
    async def trial_embedder(self, settings: Settings) -> "AsyncIterator[EmbedderAdapter]":
        """The embedder that a job with these settings would use, for the length of the block; none is kept.

        Raises what making it raises.
        """
        if self._embedder is not None:
            yield self._embedder
            return
        async with await self._make_embedder(settings) as embedder:
            yield embedder

    def next_with(self, settings: Settings, model: str | None, *, by_rules: bool = True) -> IndexedWith:
        """What a job with these settings would index with; ``model`` is the fingerprint of the vectors there are.

        ``by_rules``: with what phaseflow itself decides, which takes an import that a reader does without.
        """
        own = None
        if self._embedder is not None:
            known = {self._embedder.fingerprint, self._embedder.identity.former}
            own = model if model in known else self._embedder.fingerprint
        return IndexedWith.of(
            settings,
            chunker=None if self._chunker is None else self._chunker.fingerprint,
            embedder=own,
            index=OWN_INDEX if self.indexes.has_own else None,
            rules=self._rules if by_rules else None,
        )

    def older_settings(self, kb: KnowledgeBaseRecord) -> "list[StaleSetting]":
        """Which settings of an index are not those of the next job: known before anything is spent on it."""
        if kb.live_settings is None:
            return []
        following = self.next_with(Settings.model_validate_json(kb.settings), kb.model)
        return LiveIndex.model_validate_json(kb.live_settings).stale(following)

    def makes_again(self, tx: "Transaction", kb: KnowledgeBaseRecord) -> str | None:
        """What a job that is made now is about to make again, in words, as ``made_again`` says it once the job runs.

        Without the size, which would have to be counted: for the transaction that makes the job.
        """
        from phaseflow.store.passages import Scope, SearchablePassages

        found = self.older_settings(kb)
        holds_any = bool(found) and SearchablePassages(tx, Scope(kb.key, kb.index_version)).has_documents()
        return why_made_again(found) if holds_any else None

    def _index_server(self, settings: Settings) -> str | None:
        """Where a job with these settings writes vectors to, beside the database: the program's index comes first."""
        if self.indexes.has_own:
            return OWN
        return settings.index.server if isinstance(settings.index, PostgresIndexSettings) else None

    async def aclose(self) -> None:
        """End the workers, and close the indexes and the embedders made here; embedders given stay open."""
        if "_workers" in self.__dict__:  # else none was ever started
            await self._workers.aclose()
        if self._recognition is not None:
            await self._recognition.aclose()
        await self.indexes.aclose()
        for embedder in self._embedders.values():
            await embedder.aclose()
        self._embedders.clear()

    async def _embedder_for(self, settings: Settings) -> "EmbedderAdapter":
        if self._embedder is not None:
            return self._embedder
        access = self._access_for(settings)
        key = settings.embedder.model_dump_json(), access is None or access.takes_loopback
        async with self._making:
            if key not in self._embedders:
                made = self._embedders[key] = await self._make_embedder(settings)
                if not isinstance(self._chosen_workers, int | None):  # those of this machine embed nothing
                    made.run_in(self._workers)
            return self._embedders[key]

    async def _make_embedder(self, settings: Settings) -> "EmbedderAdapter":
        from phaseflow.components.embedders import make_embedder

        return await anyio.to_thread.run_sync(make_embedder, settings.embedder, self._access_for(settings))

    def _access_for(self, settings: Settings) -> "EmbedderAccess | None":
        """None where no server is asked: its import takes 4 ms of a search from the command line."""
        return None if isinstance(settings.embedder, StaticEmbedderSettings) else self.access


def _check(loader: "Loader | LoaderFor | None", index: "Index | None") -> None:
    from phaseflow.components.protocols import INDEX_CALLS, LOADER_CALLS, check_calls

    if loader is not None and not (callable(loader) and not hasattr(loader, "list")):  # else it makes loaders
        check_calls(loader, "loader", LOADER_CALLS)
    if index is not None:
        check_calls(index, "index", INDEX_CALLS)


def _as_chunker(chunker: "Chunker | TextSplitter") -> "Chunker":
    from phaseflow.components.chunker import as_chunker

    return as_chunker(chunker)


def _as_embedder(embedder: Any) -> "EmbedderAdapter":
    from phaseflow.components.embedders import as_embedder

    return as_embedder(embedder)
