"""``PhaseFlow``: the engine, as an asynchronous context manager inside an asyncio application."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import anyio

from phaseflow.actors.context import Policies
from phaseflow.background_task import BackgroundTask
from phaseflow.components.embedders import EmbedderAdapter
from phaseflow.components.index import EmbeddedIndex, Request
from phaseflow.components.protocols import Chunker, Index, Loader, TextSplitter
from phaseflow.components.uploads import UploadLimits, Uploads
from phaseflow.domain.errors import EngineStopped, InvalidRequest
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.domain.settings import Settings
from phaseflow.domain.status import JobStatusResponse, KnowledgeBase, SearchHits
from phaseflow.flow import inputs
from phaseflow.flow.adopted_uploads import adopt_uploads
from phaseflow.flow.background import Background
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.definitions import Definitions
from phaseflow.flow.job import Job
from phaseflow.flow.outside_index import search_outside
from phaseflow.flow.searching import ranked
from phaseflow.flow.source_loaders import LoaderFor
from phaseflow.flow.source_sync import SourceSync
from phaseflow.flow.starting import Starting
from phaseflow.snapshot import compose
from phaseflow.store.jobs import JobRecord
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord
from phaseflow.store.session import open_session
from phaseflow.store.transaction import Transaction
from phaseflow.supervisor.janitor import KEEP_DAYS
from phaseflow.supervisor.scheduler import Scheduler
from phaseflow.tracker import PhaseTracker, StateHub

T = TypeVar("T")

SLOTS = 2
"""Jobs that run at once; the others wait their turn."""


class PhaseFlow(Starting):
    """Runs ingestion jobs on one database file.

    Entering the block opens the file (creating it if needed), records jobs of a dead process as ``interrupted``, and
    resumes them unless ``auto_resume`` is False. Leaving it stops running jobs after the batch in hand; the next block
    resumes them. Every method is safe to cancel: what it asks for is done completely or not at all. Every method
    raises InvalidRequest, naming the parameter, for a value it cannot use.

    ``loader``, ``chunker``, ``embedder`` and ``index`` replace the built-in components (see ``components.protocols``;
    LangChain's text splitters and embeddings can be passed in as is). ``settings`` are those of new knowledge bases.
    ``slots`` is the number of jobs that run at once (0: none); ``only`` names the knowledge bases whose jobs run here.
    ``check_source`` may raise SourceNotAllowed for a source; ``allow_private`` opens named private addresses
    (``HOST[:PORT]``) to the web source and to embedders that clients choose; ``embedding_url`` is the only address
    that PHASEFLOW_EMBEDDING_API_KEY goes to (default PHASEFLOW_EMBEDDING_URL); ``uploads`` limits uploaded files.
    ``keep_vectors``: days for which vectors are kept that no document uses any more. ``index_servers``: addresses by
    name, over PHASEFLOW_INDEX_SERVERS. Entering raises DatabaseHeld, NotADatabase, NewerDatabase, StoreUnavailable.
    """

    def __init__(
        self,
        path: str | Path = "phaseflow.db",
        *,
        loader: Loader | LoaderFor | None = None,
        chunker: Chunker | TextSplitter | None = None,
        embedder: Any = None,
        index: Index | None = None,
        settings: inputs.SettingsLike | None = None,
        policies: Policies | None = None,
        slots: int = SLOTS,
        auto_resume: bool = True,
        only: Collection[str] | None = None,
        check_source: Callable[[inputs.Source], None] | None = None,
        allow_private: Collection[str] = (),
        uploads: UploadLimits | None = None,
        embedding_url: str | None = None,
        keep_vectors: float = KEEP_DAYS,
        index_servers: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self.settings = inputs.as_settings(settings) or Settings()
        self._uploads = Uploads(self.path, uploads or UploadLimits())
        self._components = ComponentFactory(
            loader=loader, chunker=chunker, embedder=embedder, index=index, check_source=check_source,
            allow_private=inputs.as_names("allow_private", allow_private), uploads=self._uploads,
            embedding_url=embedding_url, index_servers=index_servers,
        )  # fmt: skip
        self._components.index_servers.check(self.settings.index)
        self._definitions = Definitions(self.settings, self._uploads, needs_source=not self._components.has_own_loader)
        self.embedder_access = self._components.access
        self._policies = policies or Policies()
        self.keep_vectors = inputs.as_days("keep_vectors", keep_vectors)
        self._slots = inputs.as_count("slots", slots, 0)
        self._auto_resume = auto_resume
        self._only = None if only is None else inputs.as_names("only", only)
        self._index = EmbeddedIndex()
        self._service: BackgroundTask[tuple[StateHub, Scheduler]] | None = None
        self._running: tuple[StateHub, Scheduler] | None = None
        self._sync: SourceSync | None = None
        self.interrupted: list[str] = []
        self._coming_in: set[str] = set()

    async def __aenter__(self) -> Self:
        if self._service is not None:
            raise EngineStopped("this PhaseFlow has been used; make a new one for each `async with` block")
        self._service = BackgroundTask(self._main)
        self._running = await self._service.__aenter__()
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if self._service is not None:
            await self._service.__aexit__(kind, error, traceback)

    @property
    def is_running(self) -> bool:
        """Inside the ``async with`` block: the database is open and jobs run."""
        return self._running is not None and not self._hub.feed.closed

    @property
    def embedding_calls(self) -> tuple[int, int]:
        """(calls to embedders, how many of them failed) since the start."""
        return self._components.embedding_calls

    @property
    def tracker(self) -> PhaseTracker:
        """The tracker, for jobs of your program's own pipeline."""
        return PhaseTracker(self._hub)

    @property
    def _hub(self) -> StateHub:
        return self._engine()[0]

    async def put_kb(
        self,
        kb_id: str,
        source: inputs.SourceLike | None = None,
        settings: inputs.SettingsLike | None = None,
        *,
        sources: Mapping[str, inputs.SourceLike] | None = None,
    ) -> KnowledgeBase:
        """Create a knowledge base or change it. A running job keeps the sources and settings it started with."""
        check_kb_id(kb_id)
        hub, given = self._hub, await self._components.sources.checked(source, sources)
        chosen, at = inputs.as_settings(settings), hub.clock.now()
        await self._check_stored(kb_id, chosen)

        await hub.database.write(
            lambda tx: self._definitions.put(tx, kb_id, given, chosen, at),
            durable=True,
            then=lambda _: hub.feed.touch(kb_id),
        )
        return await self.kb(kb_id)

    async def _search(self, kb_id: str, request: Request) -> SearchHits:
        outside = self._components.index
        if outside is None:
            return await super()._search(kb_id, request)
        if request.filter is not None:
            raise InvalidRequest("filter", "cannot be used: the index of this program takes none; leave it out")
        _, embedded = await self._query_vector(kb_id, request)
        vector = [] if embedded.vector is None else embedded.vector.tolist()
        found = await search_outside(outside, kb_id, request.query, vector, request.limit)
        return ranked((hit for hit in found if hit.score >= request.min_score), request.mode, embedded)

    async def _main(self, started: Callable[[tuple[StateHub, Scheduler]], None], stop: anyio.Event) -> None:
        async with open_session(self.path) as database:
            await adopt_uploads(database, self._uploads)
            self._components.sources.attach(database)
            hub = await StateHub.attach(database)
            scheduler = Scheduler(
                hub, self._components.components_for, self._policies, slots=self._slots, only=self._only
            )
            if self._slots and self._only is None:  # else this engine does what it was told to, and nothing by itself
                self._sync = SourceSync(database, hub.clock, self._start_in_step, [self.path, self._uploads.root])
            background = Background(hub, self.embedder_access, self.keep_vectors, self._sync)
            self.interrupted = await scheduler.recover_orphans(go_on=self._auto_resume)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(scheduler.run)
                    tasks.start_soon(background.run)
                    started((hub, scheduler))
                    await stop.wait()
                    background.stop()
                    scheduler.stop()
                await background.finish()
            finally:
                hub.feed.close()
                await self._components.aclose()

    def _define(self, tx: Transaction, kb_id: str, at: datetime) -> KnowledgeBaseRecord:
        return self._definitions.to_push(tx, kb_id, at)

    def _job(self, job_id: str, kb_id: str) -> Job:
        return Job(job_id, kb_id, self._hub.feed)

    def _engine(self) -> tuple[StateHub, Scheduler]:
        if self._running is None:
            raise EngineStopped("the engine is not running: use PhaseFlow in an `async with` block")
        return self._running

    async def _read(self, read: Callable[[Transaction], T]) -> T:
        return await self._hub.clock.read_steadily(lambda: self._hub.database.read(read))

    async def _read_long(self, read: Callable[[Transaction], T]) -> T:
        return await self._hub.database.read_long(read)

    async def _read_search(self, read: Callable[[Transaction], T]) -> T:
        return await self._hub.database.search(read)

    async def _composer(self) -> Callable[[JobRecord], JobStatusResponse]:
        return lambda record: compose(record, self._now(), self._hub.database.unwritable)

    def _now(self) -> datetime:
        return self._hub.clock.running_now()

    async def _query_embedder(self, kb: KnowledgeBaseRecord) -> EmbedderAdapter | None:
        return await self._components.query_embedder(kb)
