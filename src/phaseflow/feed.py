"""The live feed: a subscriber is a cursor on the transition log, plus the latest status of what it watches.

Nothing is queued for anyone, so a slow subscriber costs nothing and misses nothing. Wake-ups are hints; what is told is
read: recent transitions from memory, older ones from the database, statuses always from the database.
"""

import math
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping

import anyio

from phaseflow.background_task import OwnLoop
from phaseflow.domain.errors import EngineStopped
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.domain.status import JobStatusResponse, Transition
from phaseflow.domain.vocabulary import JobPhase, JobStatus, PhaseStatus
from phaseflow.snapshot import compose
from phaseflow.store.clock import Clock
from phaseflow.store.database import Database
from phaseflow.store.jobs import Jobs
from phaseflow.store.transitions import TransitionLog

RECENT = 2000
"""Transitions kept in memory; whoever is further behind reads the database."""
PAGE = 500
"""Transitions read from the database at once."""
STATUS_INTERVAL_S = 0.1
"""A job's progress is told at most this often; its transitions at once."""


class Feed:
    """Fans out what was committed. ``publish`` and ``touch`` are called by the writer, in the order of the commits."""

    def __init__(self, database: Database, clock: Clock, last_seq: int, log_id: str) -> None:
        self._database = database
        self.log_id = log_id
        """Tells its log from that of any other database."""
        self._clock = clock
        self._recent: deque[Transition] = deque(maxlen=RECENT)
        self._floor = last_seq
        self.last_seq = last_seq
        self._changed = anyio.Event()
        self._revisions: dict[str, int] = {}
        self._moved: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._told_at: dict[str, float] = {}
        self._clients = 0
        self._closed = False
        self._loop = OwnLoop()

    @property
    def clients(self) -> int:
        """Subscriptions that are open."""
        return self._clients

    def publish(self, logged: Iterable[Transition]) -> None:
        """Tell transitions that have just been committed."""
        for transition in logged:
            if len(self._recent) == RECENT:
                self._floor = self._recent[0].seq  # of the one that falls out now: from here on, memory has all
            self._recent.append(transition)
            self.last_seq = transition.seq
            self._count(transition.kb_id, moved=True, goes_on=_goes_on(transition))
        self.wake()

    def touch(self, kb_id: str, *, progress_only: bool = False) -> None:
        """Say that the status of a knowledge base may have changed, or nothing but its counts."""
        # Everybody is woken, and looks at the revision of what he watches. An event for each knowledge base would have
        # to be found and kept for each watcher; a look at a number costs less than that.
        self._count(kb_id, moved=not progress_only)
        self.wake()

    def forget(self, kb_id: str) -> None:
        """Say that a knowledge base has been deleted, its part of the log too."""
        # Once, and not by a filter at each read. The floor stays, since its rows are gone from the log as well.
        self._recent = deque((t for t in self._recent if t.kb_id != kb_id), maxlen=RECENT)
        self.touch(kb_id)

    def wake(self) -> None:
        """Let those who wait for the hint look again."""
        self._changed.set()
        self._changed = anyio.Event()

    def close(self) -> None:
        """End all subscriptions at once."""
        self._closed = True
        self.wake()

    @property
    def closed(self) -> bool:
        """No more will be told."""
        return self._closed

    def revision(self, kb_id: str) -> int:
        """Grows whenever the status of a knowledge base may have changed; 0 before this process has told anything."""
        return self._revisions.get(kb_id, 0)

    def revisions(self) -> Mapping[str, int]:
        """The revision of each knowledge base of which this process has told anything. A copy."""
        return dict(self._revisions)

    def has_moved(self, kb_id: str, revision: int) -> bool:
        """Whether more than counts may have changed since a revision: what nobody waits for, however many listen."""
        return self._moved.get(kb_id, 0) > revision

    def told_at(self, kb_id: str) -> float:
        """When somebody was last given a status, in seconds of the loop: nobody is shown an older one after that."""
        return self._told_at.get(kb_id, 0.0)

    def note_told(self, kb_id: str) -> None:
        """Say that somebody is given a status that is read now."""
        self._told_at[kb_id] = anyio.current_time()

    def hint(self) -> anyio.Event:
        """Set at the next wake-up. Take it before looking, wait for it after: nothing is missed in between."""
        return self._changed

    async def since(self, seq: int, kb_id: str | None = None) -> list[Transition]:
        """The next transitions after ``seq``, at most a page; from memory when it reaches back so far."""
        if seq < self._floor:
            return await self._database.read(lambda tx: TransitionLog(tx).after(seq, PAGE, kb_id))
        return [t for t in self._recent if t.seq > seq and kb_id in {None, t.kb_id}][:PAGE]

    async def oldest(self) -> int:
        """The lowest number still in the log; what came before cannot be told any more."""
        return await self._database.read(lambda tx: TransitionLog(tx).oldest())

    async def transitions(self, after: int | None = None, kb_id: str | None = None) -> AsyncIterator[Transition]:
        """Every transition after number ``after``, once and in order: replay, then live. None begins with now.

        Ends when the feed is closed. Cancelling loses nothing: go on with the last number seen. Raises InvalidRequest
        for what no knowledge base can be called.
        """
        self._loop.check()
        if kb_id is not None:
            check_kb_id(kb_id)
        cursor = self.last_seq if after is None else after
        self._clients += 1
        try:
            while True:
                # Taken before the page is read: what comes during the read sets this hint, and is in the next page.
                # ``last`` lets the cursor pass transitions of other knowledge bases, which a filtered page leaves out.
                hint, last = self._changed, self.last_seq
                page = await self.since(cursor, kb_id)
                for transition in page:
                    yield transition
                    cursor = transition.seq
                if page:
                    continue
                cursor = max(cursor, last)
                if self._closed:
                    return
                await hint.wait()
        finally:
            self._clients -= 1

    async def statuses(self, job_id: str, kb_id: str, *, counts: bool = True) -> AsyncIterator[JobStatusResponse]:
        """The status of a job now and after each change, the latest wins; ends with the one in which it is over.

        Without ``counts`` after those changes alone after which it may be over, or paused.
        """
        self._clients += 1
        try:
            while True:
                hint, revision = self._changed, self.revision(kb_id)
                try:
                    status = await self.status_of(job_id)
                except EngineStopped:
                    return  # the database was closed before its turn to read had come
                yield status
                if status.is_over or self._closed:
                    return
                await self._next_status(kb_id, hint, revision, counts=counts)
        finally:
            self._clients -= 1

    async def status_of(self, job_id: str, phase: JobPhase | None = None) -> JobStatusResponse:
        """The status of a job, as the database holds it. Raises JobNotFound.

        With a ``phase``, ``requested`` in it is what is asked of that phase.
        """

        async def read() -> JobStatusResponse:
            record = await self._database.read(lambda tx: Jobs(tx).record(job_id), one_statement=True)
            return compose(record, self._clock.running_now(), self._database.unwritable, phase)

        return await self._clock.read_steadily(read)

    async def _next_status(self, kb_id: str, hint: anyio.Event, revision: int, *, counts: bool) -> None:
        # Two waits in place of a timer for each job: within the interval only a move ends the first; after it, any
        # change, also one that came within it, ends the second at once.
        news = self._moved if counts else self._ended
        with anyio.move_on_after(STATUS_INTERVAL_S if counts else math.inf):
            while news.get(kb_id, 0) <= revision and not self._closed:
                await hint.wait()
                hint = self._changed
            return
        while self.revision(kb_id) == revision and not self._closed:
            await hint.wait()
            hint = self._changed

    def _count(self, kb_id: str, *, moved: bool, goes_on: bool = False) -> None:
        # Numbers of one sequence, not counters: whoever has read a status keeps its revision alone.
        self._revisions[kb_id] = revision = self.revision(kb_id) + 1
        if moved:
            self._moved[kb_id] = revision
            if not goes_on:
                self._ended[kb_id] = revision


def _goes_on(transition: Transition) -> bool:
    """Whether it neither ends nor pauses its job: that is another transition, of the job itself."""
    if transition.phase is None:
        return transition.to_status == JobStatus.RUNNING
    begins = transition.from_status == PhaseStatus.NOT_STARTED and transition.to_status == PhaseStatus.RUNNING
    return begins or transition.to_status == PhaseStatus.COMPLETED
