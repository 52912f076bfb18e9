"""The engine's hub of state changes: what a job's state becomes is decided, stored, logged and told here."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import anyio

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.status import Transition
from phaseflow.feed import Feed
from phaseflow.store.clock import Clock
from phaseflow.store.database import Database
from phaseflow.store.jobs import JobRecord, Jobs
from phaseflow.store.progress import RunningTimes
from phaseflow.store.transaction import Transaction
from phaseflow.store.transitions import TransitionLog

Change = Callable[[IngestionState], IngestionState]
Step = tuple[Change, str | None]  # and its reason, for the log


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change found, and what it left."""

    before: IngestionState
    after: IngestionState
    logged: tuple[Transition, ...] = ()


class _StateWatch:
    """What has become of one job since somebody began to watch it: its state after each commit, without a look at the
    database for each batch that is stored meanwhile."""

    def __init__(self) -> None:
        self._latest: IngestionState | None = None
        self._changed = anyio.Event()

    async def until(self, holds: Callable[[IngestionState], bool]) -> None:
        """Wait for a state, committed since the watch began, for which ``holds`` is true."""
        while self._latest is None or not holds(self._latest):
            await self._changed.wait()

    def see(self, state: IngestionState) -> None:
        """This was committed."""
        self._latest = state
        self._changed.set()
        self._changed = anyio.Event()


class StateHub:
    """The database of one engine with its clock and its feed, and every change of a job's state.

    A change is committed when the call returns, and told after that, in the order of the commits. Cancelling a call
    does not undo it once it was accepted.
    """

    def __init__(self, database: Database, feed: Feed, clock: Clock) -> None:
        self.database = database
        self.feed = feed
        self.clock = clock
        self.lease_granted = anyio.Event()
        """Set, and replaced, when a lease was given or changed."""
        self.then: Callable[[Changed], None] = lambda _: None
        """Who else is told of each change: the scheduler."""
        self._watches: dict[_StateWatch, str] = {}

    @classmethod
    async def attach(cls, database: Database) -> Self:
        """The hub of an open database."""
        clock = Clock()
        identity = await database.read(lambda tx: TransitionLog(tx).identity())
        last_seq = await database.read(lambda tx: TransitionLog(tx).last())
        return cls(database, Feed(database, clock, last_seq, identity), clock)

    async def record(self, job_id: str) -> JobRecord:
        """The job as the database holds it. Raises JobNotFound."""
        return await self.database.read(lambda tx: Jobs(tx).record(job_id), one_statement=True)

    @contextmanager
    def watching(self, job_id: str) -> Iterator[_StateWatch]:
        """Watch a job for the length of the block."""
        watch = _StateWatch()
        self._watches[watch] = job_id
        try:
            yield watch
        finally:
            del self._watches[watch]

    async def change(
        self,
        job_id: str,
        change: Change,
        *,
        reason: str | None = None,
        then: Callable[[Changed], None] | None = None,
    ) -> Changed:
        """Replace the state of a job by ``change(state)``, log what moved, commit, then tell.

        ``change`` is pure; what it raises changes nothing and is raised here. ``then`` is called right after it,
        also when whoever asked has been cancelled meanwhile.
        """

        def write(tx: Transaction) -> Changed:
            return change_in(tx, job_id, change, self.clock, reason)

        def committed(changed: Changed) -> None:
            self.tell(changed)
            if then is not None:
                then(changed)

        await self.follow_clock()
        return await self.database.write(write, durable=True, then=committed)

    async def change_in_steps(self, job_id: str, steps: Sequence[Step]) -> list[Changed]:
        """Several changes, one after the other, each logged, in one transaction: all of them or none."""
        await self.follow_clock()

        def write(tx: Transaction) -> list[Changed]:
            return [change_in(tx, job_id, change, self.clock, reason) for change, reason in steps]

        def committed(all_changed: list[Changed]) -> None:
            for changed in all_changed:
                self.tell(changed)

        return await self.database.write(write, durable=True, then=committed)

    async def follow_clock(self) -> None:
        """When the wall clock has stepped, move the beginnings of what is running."""
        if self.clock.step():
            await self.database.write(lambda tx: RunningTimes(tx).follow(self.clock))

    def tell(self, changed: Changed, *, progress_only: bool = False) -> None:
        """Pass on what was committed."""
        if changed.logged:
            self.feed.publish(changed.logged)
        elif changed.after != changed.before:
            self.feed.touch(changed.after.kb_id, progress_only=progress_only)
        for watch, job_id in self._watches.items():
            if job_id == changed.after.job_id:
                watch.see(changed.after)
        self.then(changed)

    def tell_lease(self) -> None:
        """Let whoever waits for the end of leases look again."""
        self.lease_granted.set()
        self.lease_granted = anyio.Event()


def change_in(tx: Transaction, job_id: str, change: Change, clock: Clock, reason: str | None = None) -> Changed:
    """The body of ``StateHub.change``, inside a transaction that does more."""
    # Read in the transaction that writes: no state that was read earlier is ever written back, so two changes at the
    # same time are one after the other, and neither undoes the other.
    before = Jobs(tx).record(job_id).state
    after = change(before)
    if after == before:
        return Changed(before, after)
    after = after.measured(before, clock.end_of_stretches(tx))
    return Changed(before, after, tuple(Jobs(tx).save(before, after, reason=reason, at=clock.now())))
