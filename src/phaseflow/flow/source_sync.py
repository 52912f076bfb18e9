"""Keeps knowledge bases in step with their sources: jobs start when they are due, and when a watched folder changes."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Protocol

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import TaskGroup

from phaseflow.components.sources.changed_files import ANYTHING, ChangedFiles
from phaseflow.components.sources.watching import FolderGone, watch_folder
from phaseflow.domain.errors import ComponentUnavailable, EngineStopped, JobConflict, PhaseflowError, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.domain.settings import SOURCES, FolderSource, Settings
from phaseflow.domain.status import SyncState
from phaseflow.domain.sync import SyncSettings, due_at
from phaseflow.store.clock import Clock
from phaseflow.store.database import Database
from phaseflow.store.synced import Listing, Synced

LOOK_S = 0.5
"""How often it is looked which jobs are due, and whether one that was in the way is over."""
RETRY_S = 30.0
"""When a start was refused, or a folder could not be watched, it is tried again after so long."""
_GONE_S = 0.5
"""A folder that is not there is looked for as often as one that is watched: a look costs one call."""
_MOST_WATCHES = 256
"""Folders watched at once: a thread each, that sleeps."""
_BUSY_JOBS = 10
_BUSY_ASKS = 30
CALM_S = 30.0
"""After so many jobs that list, or that read what has changed, in a minute, changes are collected for so long:
something writes all the time."""


_Shown = tuple[frozenset[tuple[str, str | None]], str | None]
"""What is shown of a knowledge base: its folders that are watched or cannot be, and why no job could be started."""
_NOTHING: _Shown = (frozenset(), None)


class InStep(Protocol):
    """What brings a knowledge base in step with its sources, which go by their names."""

    async def start_in_step(self, kb_id: str, sources: Collection[str] | None) -> object:
        """Start a job on some sources, on all of them for None."""

    async def ask_in_step(self, kb_id: str, changes: Mapping[str, ChangedFiles]) -> Collection[str]:
        """Ask for these documents to be loaded; the sources that have to be listed instead, of which nothing was."""


@dataclass(slots=True)
class _Watch:
    source: FolderSource
    stop: Event = field(default_factory=Event)
    has_begun: bool = False
    has_ended: bool = False
    error: str | None = None
    retry_at: float = 0.0


@dataclass(slots=True)
class _Kept:
    """What is remembered of a knowledge base: only hints, which a restart makes up for with one job."""

    changed: dict[str, ChangedFiles] = field(default_factory=dict)
    not_before: float = 0.0
    error: str | None = None
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=_BUSY_JOBS))
    asks: deque[float] = field(default_factory=lambda: deque(maxlen=_BUSY_ASKS))
    last: Listing | None = None
    last_s: float | None = None
    """When the last listing began, by a clock that never steps. None where only the wall clock has
    told, which was ahead then."""

    def see(self, last: Listing | None, now: datetime) -> None:
        """The newest listing, as the rows have it: from now on its age is known, however the wall clock steps."""
        if last is None or last == self.last:
            return
        self.last, ago_s = last, (now - last.at).total_seconds()
        self.last_s = time.monotonic() - ago_s if ago_s >= 0 else None

    def age(self, last: Listing | None) -> timedelta | None:
        """How long ago a listing was; None where that is not known."""
        if last is None or last != self.last or self.last_s is None:
            return None
        return timedelta(seconds=time.monotonic() - self.last_s)

    def note(self, changes: Mapping[str, ChangedFiles]) -> None:
        """More has changed, by source."""
        for name, found in changes.items():
            before = self.changed.get(name)
            self.changed[name] = found if before is None else ChangedFiles.merged([before, found])

    def count(self, times: deque[float]) -> None:
        """A job has been asked for. Where that happens all the time, the next ones wait for more."""
        times.append(anyio.current_time())
        if len(times) == times.maxlen and times[-1] - times[0] < 60:
            self.not_before = anyio.current_time() + CALM_S


class SourceSync:
    """Runs beside the jobs. A knowledge base with a job that is open, paused or not, is left alone.

    ``own``: files whose changes are the engine's. ``tell`` is called with the name of one that is shown otherwise now:
    another of its folders is watched, or something else is wrong.
    """

    def __init__(
        self, database: Database, clock: Clock, in_step: InStep, own: Collection[Path], tell: Callable[[str], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._in_step = in_step
        self._own = own
        self._tell = tell
        self._told: dict[str, _Shown] = {}
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._kept: dict[str, _Kept] = {}
        self._woken = anyio.Event()
        self._scope = anyio.CancelScope()
        self._limiter: anyio.CapacityLimiter | None = None

    def stop(self) -> None:
        """End at once; jobs that were started go on."""
        self._scope.cancel()
        for watch in self._watches.values():
            watch.stop.set()

    async def run(self) -> None:
        """Until ``stop``. Cancelling is the same."""
        self._limiter = anyio.CapacityLimiter(_MOST_WATCHES)
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    while True:
                        await self._look(tasks)
                        with anyio.move_on_after(LOOK_S):
                            await self._woken.wait()
                        self._woken = anyio.Event()
        finally:
            for watch in self._watches.values():
                watch.stop.set()

    def state(self, key: str) -> SyncState:
        """How a knowledge base keeps in step now, but for the time of its next job."""
        mine = {name: watch for (kb, name), watch in self._watches.items() if kb == key}
        errors = [watch.error for watch in mine.values() if watch.error is not None]
        kept = self._kept.get(key)
        return SyncState(
            watching=sorted(name for name, watch in mine.items() if watch.has_begun and watch.error is None),
            error="; ".join([*errors, *([kept.error] if kept is not None and kept.error else [])]) or None,
        )

    def age(self, key: str, last: Listing | None) -> timedelta | None:
        """How long ago a listing of a knowledge base was, by a clock that never steps; None where it is not known."""
        kept = self._kept.get(key)
        return None if kept is None else kept.age(last)

    def has_failed(self, key: str) -> bool:
        """Whether a folder of a knowledge base cannot be watched."""
        return any(kb == key and watch.error is not None for (kb, _), watch in self._watches.items())

    async def _look(self, tasks: TaskGroup) -> None:
        try:
            found = await self._database.read(Synced.all)
        except EngineStopped:
            return
        except StoreError as error:
            get_logger().warning("cannot read what is to be kept in step, trying again", error=str(error))
            return
        settings = {kb.key: Settings.model_validate_json(kb.settings).sync or SyncSettings() for kb in found}
        self._watch(tasks, found, settings)
        for gone in self._kept.keys() - settings.keys():
            del self._kept[gone]
        for kb in found:
            await self._start_if_due(kb, settings[kb.key])
        self._tell_changes(found)

    def _tell_changes(self, found: list[Synced]) -> None:
        """Say whose ``state`` is another one than at the last look; before the first, nothing was watched or wrong."""
        watched = defaultdict[str, set[tuple[str, str | None]]](set)
        for (key, name), watch in self._watches.items():
            if watch.has_begun or watch.error is not None:
                watched[key].add((name, watch.error))
        before, self._told = self._told, {}
        for kb in found:
            kept = self._kept.get(kb.key)
            shown = self._told[kb.key] = (frozenset(watched.get(kb.key, ())), kept.error if kept else None)
            if shown != before.get(kb.key, _NOTHING):
                self._tell(kb.name)

    def _watch(self, tasks: TaskGroup, found: list[Synced], settings: dict[str, SyncSettings]) -> None:
        wanted = {
            (kb.key, name): source
            for kb in found
            if settings[kb.key].watch
            for name, source in SOURCES.validate_json(kb.sources).items()
            if isinstance(source, FolderSource)
        }
        for key, watch in list(self._watches.items()):
            if wanted.get(key) != watch.source:
                watch.stop.set()
                del self._watches[key]
        for key, source in wanted.items():
            old = self._watches.get(key)
            if old is not None and not (old.has_ended and anyio.current_time() >= old.retry_at):
                continue
            watch = self._watches[key] = _Watch(source, error=None if old is None else old.error)
            if len(self._watches) > _MOST_WATCHES:
                watch.error = f"more than {_MOST_WATCHES} folders cannot be watched at once"
                watch.has_ended, watch.retry_at = True, anyio.current_time() + RETRY_S
            else:
                tasks.start_soon(self._run_watch, key, watch)

    async def _run_watch(self, key: tuple[str, str], watch: _Watch) -> None:
        def began() -> None:
            anyio.from_thread.run_sync(self._note_began, key, watch)

        def changed(found: ChangedFiles) -> None:
            anyio.from_thread.run_sync(self._note_change, key, found)

        try:
            await anyio.to_thread.run_sync(
                watch_folder, watch.source, self._own, changed, began, watch.stop,
                abandon_on_cancel=False, limiter=self._limiter,
            )  # fmt: skip
            watch.retry_at = 0.0
        except ComponentUnavailable as error:
            if watch.error != str(error):
                get_logger().warning("cannot watch a folder", source=key[1], error=str(error))
            wait_s = _GONE_S if isinstance(error, FolderGone) else RETRY_S
            watch.error, watch.retry_at = str(error), anyio.current_time() + wait_s
        finally:
            watch.has_ended = True
            self._woken.set()

    def _note_began(self, key: tuple[str, str], watch: _Watch) -> None:
        """What has changed before, nobody has seen: one job makes up for it, at once if the last one that could not
        start, as it cannot without its folder, is what it would wait for."""
        watch.has_begun, watch.error = True, None
        kept = self._kept.get(key[0])
        if kept is not None and kept.error is not None:
            kept.error, kept.not_before = None, 0.0
        self._note_change(key, ANYTHING)

    def _note_change(self, key: tuple[str, str], found: ChangedFiles) -> None:
        self._kept.setdefault(key[0], _Kept()).note({key[1]: found})
        self._woken.set()

    async def _start_if_due(self, kb: Synced, sync: SyncSettings) -> None:
        kept = self._kept.setdefault(kb.key, _Kept())
        now = self._clock.now()
        kept.see(kb.last, now)
        if anyio.current_time() < kept.not_before:
            return
        last_at = None if kb.last is None else kb.last.at
        due = due_at(last_at, sync.interval(watch_failed=self.has_failed(kb.key)), now, kept.age(kb.last))
        is_due = due is not None and due <= now
        # Taken before the first wait: what changes from here on is a change of its own. Where no job is started, it is
        # put back below, so that a change is never lost and at worst looked at twice.
        taken, kept.changed = kept.changed, {}
        try:
            if taken and kb.is_indexed and not is_due and all(each.is_all for each in taken.values()):
                taken = await self._ask(kb.name, taken, kept)
            if not kb.is_open and (is_due or taken):
                await self._in_step.start_in_step(kb.name, None if is_due or not kb.is_whole else taken.keys())
                taken = {}
                kept.count(kept.starts)
            kept.error = None
        except JobConflict:
            pass  # somebody was faster; what has changed since waits for the end of that job
        except PhaseflowError as error:
            kept.error, kept.not_before = f"cannot start a job: {error}", anyio.current_time() + RETRY_S
            get_logger().warning("cannot keep a knowledge base in step", kb=kb.name, error=str(error))
        finally:
            later, kept.changed = kept.changed, taken
            kept.note(later)

    async def _ask(self, kb_id: str, changes: dict[str, ChangedFiles], kept: "_Kept") -> dict[str, ChangedFiles]:
        """Ask for what has changed, whatever job is open; what is left for a job that lists."""
        listed = await self._in_step.ask_in_step(kb_id, changes)
        if len(listed) < len(changes):
            kept.count(kept.asks)
        return dict.fromkeys(listed, ANYTHING)
