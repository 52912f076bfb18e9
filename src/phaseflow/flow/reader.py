"""Reading a database beside the process that has it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import anyio

from phaseflow.domain import verbs
from phaseflow.domain.errors import StoreError, StoreUnavailable
from phaseflow.domain.status import JobStatusResponse, SyncState
from phaseflow.domain.sync import SyncSettings, due_at
from phaseflow.domain.vocabulary import Action, JobPhase
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.inputs import as_action, as_path, as_phase
from phaseflow.flow.queries import Queries, latest_job
from phaseflow.flow.readings import Composed
from phaseflow.loop_answer import running_loop
from phaseflow.snapshot import compose
from phaseflow.store import schema
from phaseflow.store.jobs import JobRecord
from phaseflow.store.lock import is_held
from phaseflow.store.read_pool import ReadPool, open_readers
from phaseflow.store.synced import Listing
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    from phaseflow.flow.searching import Searching

T = TypeVar("T")

_SEEN_AFTER = timedelta(seconds=0.25)
"""Running times beside another process are shown as of so long ago: that process may be about to commit the end of one,
and a longer time than it stores is shown by nobody."""


class Reader(Queries):
    """``async with Reader("kb.db") as reader``: read-only, changes nothing, sees what is committed.

    Beside a process that has the file, the answers are those of that process. When none has it, a job that was running
    or queued is shown ``paused``, waiting on ``interrupted``, its clocks stopped at the last commit.

    Raises StoreUnavailable when there is no such file or nothing in it, NotADatabase or NewerDatabase when it cannot
    be read, InvalidRequest for ``index_servers`` (addresses by name) that cannot be used.
    """

    def __init__(self, path: str | Path, *, index_servers: Mapping[str, str] | None = None) -> None:
        self._path = as_path("path", path).absolute()
        self._stack = AsyncExitStack()
        self._components = ComponentFactory(index_servers=index_servers)
        self._file = _File(self._path)
        super().__init__(self._file, self._components, self._first_searching, sees_components=False)

    async def __aenter__(self) -> Self:
        running_loop()
        await anyio.to_thread.run_sync(self._check)
        async with AsyncExitStack() as stack:
            self._file.pool = await stack.enter_async_context(open_readers(self._path))
            await self._file.read(lambda tx: schema.check_for_reading(self._path, tx))
            stack.push_async_callback(self._components.aclose)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._stack.aclose()

    async def check_verb(self, action: Action | str, kb_id: str, phase: JobPhase | str | None = None) -> None:
        """Raise what the engine would answer to a verb on a job that no process runs: JobConflict, JobNotFound, …"""
        verb, name = as_action(action), None if phase is None else as_phase(phase)
        record = await self._file.read(lambda tx: latest_job(tx, kb_id))
        verbs.change_for(verb, self._file.now(), name)(verbs.left_behind(record.state, record.last_signs))

    def _first_searching(self) -> "Searching":
        from phaseflow.components.index import EmbeddedIndex
        from phaseflow.flow.searching import Searching

        return Searching(self._file, self._components, EmbeddedIndex(reads_ahead=False))  # mostly it searches once

    def _check(self) -> None:
        if not self._path.exists():
            raise StoreUnavailable(f"there is no database {self._path}; name it with --db, or ingest something first")
        schema.check_file(self._path)


class _File:
    """What a reader reads: a file that another process may have, by no other clock than the wall's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.pool: ReadPool | None = None

    async def read(self, read: Callable[[Transaction], T], *, one_statement: bool = False) -> T:
        """For everything: a reader has one kind of connections."""
        if self.pool is None:
            raise StoreUnavailable("the reader is not open: use it in an `async with` block")
        return await self.pool.read(read, one_statement=one_statement)

    read_long = look_for_search = read_search = read

    async def composer(self) -> Composed:
        """Once nobody has the file, nothing runs, whatever its last holder left behind."""
        was_held = await anyio.to_thread.run_sync(is_held, self._path)

        def composed(record: JobRecord) -> JobStatusResponse:
            # Asked before and after the record was read: a holder in between is one that has just begun or ended.
            if was_held or is_held(self._path):
                return compose(record, self.now() - _SEEN_AFTER)
            return compose(record._replace(state=verbs.left_behind(record.state, record.last_signs)), self.now())

        return composed

    def now(self) -> datetime:
        """The wall clock's."""
        return datetime.now(UTC)

    def sync_state(self, tx: Transaction, key: str, sync: SyncSettings) -> SyncState:
        """What the rows say: a watch is known only to the process that watches."""
        last = Listing.last(tx, key)
        return SyncState(next_at=due_at(None if last is None else last.at, sync.interval(), self.now()))


async def check_first(path: Path, check: Callable[[Reader], Awaitable[None]]) -> None:
    """Let ``check`` refuse by reading what an engine would refuse once it has recovered and resumed jobs.

    Nothing is checked where a process has the file, or where it cannot be read: the engine says so when it opens it.
    """
    if await anyio.to_thread.run_sync(lambda: is_held(path.absolute())):
        return
    try:
        async with Reader(path) as reader:
            await check(reader)
    except StoreError:
        return
