"""``Engine``: what the parts of ``PhaseFlow`` share, how it begins, and how it ends."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import anyio

from phaseflow.actors.context import Policies
from phaseflow.background_task import BackgroundTask
from phaseflow.components.index import EmbeddedIndex
from phaseflow.components.operator_file import CONNECTIONS, EMBEDDERS, is_named
from phaseflow.components.uploads import Uploads
from phaseflow.domain.errors import EngineStopped
from phaseflow.domain.settings import Settings
from phaseflow.domain.status import SyncState
from phaseflow.domain.sync import SyncSettings, due_at
from phaseflow.flow import inputs
from phaseflow.flow.adopted_uploads import adopt_uploads
from phaseflow.flow.background import Background
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.definitions import Definitions
from phaseflow.flow.readings import Composed
from phaseflow.flow.searching import Searching
from phaseflow.flow.source_sync import InStep, SourceSync
from phaseflow.snapshot import compose
from phaseflow.store.index_spaces import Spaces
from phaseflow.store.jobs import Jobs
from phaseflow.store.session import open_session
from phaseflow.store.stop_deadline import PARTS_S, WRITES_S
from phaseflow.store.synced import Listing
from phaseflow.store.transaction import Transaction
from phaseflow.supervisor.index_keeper import IndexKeeper
from phaseflow.supervisor.own_jobs import OwnJob, OwnJobs
from phaseflow.supervisor.scheduler import Scheduler
from phaseflow.tracker import StateHub

T = TypeVar("T")

SLOTS = 2
"""Jobs that run at once; the others wait their turn."""


class _Running(NamedTuple):
    hub: StateHub
    scheduler: Scheduler
    sync: SourceSync | None


class Engine:
    """The database, the scheduler and the components of one ``PhaseFlow``; it answers as ``Readings`` do.

    Runs in a task of its own from ``begin`` to ``end``; outside of that everything raises EngineStopped. Once it has
    begun, ``interrupted`` are the jobs that a dead process had left running.
    """

    def __init__(
        self,
        path: Path,
        components: ComponentFactory,
        uploads: Uploads,
        settings: Settings,
        policies: Policies,
        *,
        keep_vectors: float,
        slots: int,
        auto_resume: bool,
        only: Collection[str] | None,
    ) -> None:
        components.index_servers.check_with_driver()
        components.index_servers.check(settings.index)
        _read_operator_files(components)
        self.path = path
        self.components = components
        self.uploads = uploads
        self.definitions = Definitions(settings, uploads, needs_source=not components.has_own_loader)
        self.coming_in: set[str] = set()
        self.index = EmbeddedIndex()
        self.keep_vectors = inputs.as_days("keep_vectors", keep_vectors)
        self.interrupted: list[str] = []
        self._policies = policies
        self._slots = inputs.as_count("slots", slots, 0)
        self._auto_resume = inputs.as_flag("auto_resume", auto_resume)
        self._only = None if only is None else inputs.as_names("only", only)
        self._service: BackgroundTask[_Running] | None = None
        self._running: _Running | None = None

    async def begin(self, in_step: InStep) -> None:
        """Open the database and run jobs. ``in_step`` begins those that keep a knowledge base in step."""
        if self._service is not None:
            raise EngineStopped("this PhaseFlow has been used; make a new one for each `async with` block")

        async def main(started: Callable[[_Running], None], stop: anyio.Event) -> None:
            await self._main(in_step, started, stop)

        self._service = BackgroundTask(main)
        self._running = await self._service.__aenter__()

    async def end(self, *error: Any) -> None:
        """Stop after the batches in hand, and close the database. ``error``: as ``__aexit__`` is given it."""
        if self._service is not None:
            await self._service.__aexit__(*error)

    def searching(self) -> Searching:
        """What searches its database, with its components."""
        return Searching(self, self.components, self.index)

    @property
    def is_running(self) -> bool:
        """The database is open and jobs run."""
        return self._running is not None and not self._running.hub.feed.closed

    @property
    def hub(self) -> StateHub:
        """The database with its clock, its feed, and the states of its jobs."""
        return self._parts.hub

    @property
    def scheduler(self) -> Scheduler:
        """Who runs jobs."""
        return self._parts.scheduler

    @property
    def _parts(self) -> _Running:
        if self._running is None:
            raise EngineStopped("the engine is not running: use PhaseFlow in an `async with` block")
        return self._running

    async def change_documents(
        self,
        kb_id: str,
        change: Callable[[Transaction, datetime], T],
        *,
        is_push: bool = False,
        taken_out: Callable[[T], Sequence[str]] | None = None,
    ) -> tuple[T, str | None]:
        """Write durably, and make a job for what waits in the inbox where one is due: (the value, the newest job).

        ``taken_out`` tells from the value which documents were taken out.

        After a failed or cancelled job one is due only for what is pushed; all else waits for that, or for a start.
        """
        hub, scheduler = self.hub, self.scheduler
        at = hub.clock.now()

        def write(tx: Transaction) -> tuple[T, str | None, bool]:
            # In one transaction: after a crash between two, documents would wait in the inbox with no job to take them.
            value = change(tx, at)
            made = OwnJob(tx, kb_id).make(at, self.components.makes_again, is_push=is_push)
            return value, made or Jobs(tx).latest_id(kb_id), made is not None

        def written(result: tuple[T, str | None, bool]) -> None:
            # A push beside a job changes no more than counts: those who watch need not look again for each of them.
            hub.feed.touch(kb_id, progress_only=taken_out is None and not result[2])
            if result[2]:
                scheduler.abandon(kb_id)
            supervisor = scheduler.supervisor_of(kb_id)
            if supervisor is not None and taken_out is not None:
                supervisor.taken_out(taken_out(result[0]))
            scheduler.asked(kb_id)

        value, job_id, _ = await hub.database.write(write, durable=True, then=written)
        return value, job_id

    async def read(self, read: Callable[[Transaction], T], *, one_statement: bool = False) -> T:
        """For what is short; by one clock, also when the wall clock steps meanwhile."""
        hub = self.hub
        return await hub.clock.read_steadily(lambda: hub.database.read(read, one_statement=one_statement))

    async def read_long(self, read: Callable[[Transaction], T]) -> T:
        """For what may take long."""
        return await self.hub.database.read_long(read)

    async def look_for_search(self, read: Callable[[Transaction], T]) -> T:
        """For what a search looks up first."""
        return await self.hub.database.look_for_search(read)

    async def read_search(self, read: Callable[[Transaction], T]) -> T:
        """For a search."""
        return await self.hub.database.search(read)

    async def composer(self) -> Composed:
        """What makes a status of a record; it says so when the database cannot be written."""
        database = self.hub.database
        return lambda record: compose(record, self.now(), database.unwritable)

    def now(self) -> datetime:
        """The time by which what is running is shown."""
        return self.hub.clock.running_now()

    def sync_state(self, tx: Transaction, key: str, sync: SyncSettings) -> SyncState:
        """How a knowledge base is kept in step: what the rows say, and what is being watched."""
        keeper = self._parts.sync
        interval = sync.interval(watch_failed=keeper is not None and keeper.has_failed(key))
        state = SyncState() if keeper is None else keeper.state(key)
        last = Listing.last(tx, key)
        age = None if keeper is None else keeper.age(key, last)
        return state.model_copy(
            update={"next_at": due_at(None if last is None else last.at, interval, self.now(), age)}
        )

    async def check(self) -> None:
        """Raise StoreUnavailable when the database cannot be written, WorkersDown when no worker can be reached."""
        await self.hub.database.check()
        self.components.check_workers()

    async def _main(self, in_step: InStep, started: Callable[[_Running], None], stop: anyio.Event) -> None:
        async with open_session(self.path) as database:
            await adopt_uploads(database, self.uploads)
            self.components.sources.attach(database)
            await database.write(lambda tx: Spaces(tx).part_from_copies())
            self.components.indexes.owner = await database.read(lambda tx: Spaces(tx).owner())
            hub = await StateHub.attach(database)
            own_jobs = OwnJobs(hub, self._only, self.components.makes_again)
            scheduler = Scheduler(
                hub, self.components.components_for, self._policies, own_jobs, slots=self._slots, only=self._only
            )
            sync = None
            if self._slots and self._only is None:  # else this engine does what it was told to, and nothing by itself
                own = [self.path, self.uploads.root]
                sync = SourceSync(database, hub.clock, in_step, own, partial(hub.feed.touch, progress_only=True))
            keeper = IndexKeeper(database, hub.clock, self.components.indexes, self._only)
            background = Background(hub, self.components.access, self.keep_vectors, sync, keeper)
            self.interrupted = await scheduler.recover_orphans(go_on=self._auto_resume)
            if self._slots:
                await self.components.open()
            try:
                with database.ending.limit(WRITES_S, shield=False):
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(scheduler.run)
                        tasks.start_soon(background.run)
                        started(_Running(hub, scheduler, sync))
                        await stop.wait()
                        # The deadline before the stops: whatever they wait for from here on must count against it.
                        database.ending.begin()
                        background.stop()
                        scheduler.stop()
                await background.finish()
            finally:
                database.ending.begin()  # where it ends by an error
                hub.feed.close()
                with database.ending.limit(PARTS_S):
                    await self.components.aclose()


def _read_operator_files(components: ComponentFactory) -> None:
    """Read each file that a variable names, now and not when a job needs it. Raises InvalidRequest. Blocking."""
    if is_named(EMBEDDERS):
        components.access.known()
    if is_named(CONNECTIONS):  # else the modules of remote sources are not needed yet
        components.sources.remote.read_connections()
