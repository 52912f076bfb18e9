"""The jobs that nobody starts: one is made for what waits in an inbox as soon as no job is open that could take it."""

import uuid
from collections.abc import Callable, Collection
from datetime import datetime

from phaseflow.domain import verbs
from phaseflow.domain.errors import StoreError
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.log import get_logger
from phaseflow.domain.vocabulary import Intent, JobStatus
from phaseflow.store.clock import Clock
from phaseflow.store.inbox import Inboxes
from phaseflow.store.jobs import JobRecord, Jobs, format_time
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.transaction import Transaction
from phaseflow.tracker import Changed, NextJob, StateHub, change_in

_GAVE_WAY = "start"
"""The reason in the log of a job that nobody started, when somebody starts one."""


MakesAgain = Callable[[Transaction, KnowledgeBaseRecord], str | None]
"""Says what a job of a knowledge base that is made now is about to make again, in words; None: nothing."""


class OwnJob:
    """The job of a knowledge base that nobody starts, over a transaction."""

    def __init__(self, tx: Transaction, kb_id: str) -> None:
        self._tx = tx
        self._kb_id = kb_id

    def make(self, at: datetime, makes_again: MakesAgain, *, is_push: bool = False) -> str | None:
        """Make a job for what waits in the inbox; its id, None when there is no need of one.

        It lists no source, so that it takes nothing out, unless it finds that the settings are others than those that
        made the index (``run_start``). After a job that failed or was cancelled one is made only when something is
        pushed (``is_push``): somebody has to see the failure, and can retry it, or wants it to be over.
        """
        kb = KnowledgeBases(self._tx).find(self._kb_id)
        if kb is None or not self.is_due(is_push=is_push):
            return None
        NextJob(self._tx, self._kb_id).dequeue_failed(at)
        state = IngestionState(uuid.uuid4().hex, self._kb_id).queue(Intent.START, at)
        again = makes_again(self._tx, kb)
        Jobs(self._tx).create(
            state, sources=kb.sources, settings=kb.settings, full=False, at=at, lists=False, made_again=again
        )  # fmt: skip
        return state.job_id

    def is_due(self, *, is_push: bool = False) -> bool:
        """Something waits, and no job is open, nor waits for its retry; after a failed or cancelled one: it was
        pushed."""
        latest, inboxes = Jobs(self._tx).latest(self._kb_id), Inboxes(self._tx)
        if latest is None:
            return inboxes.waits_since(self._kb_id, None)
        status = latest.state.get_overall_status()
        if not status.is_terminal or latest.state.intent is not None:
            return False
        if status is JobStatus.COMPLETED:
            return inboxes.waits_since(self._kb_id, None)
        # The push makes its job in its own transaction, so that nobody else ever has to make one here.
        return is_push and inboxes.waits_since(self._kb_id, format_time(latest.completed_at))

    def check_gives_way(self) -> None:
        """Raise JobConflict when the knowledge base has a job that is not over, and that would not give way."""
        if self._open() is None:
            NextJob(self._tx, self._kb_id).check_free()

    def end(self, clock: Clock) -> Changed | None:
        """Cancel it if it is open; what it has taken and not done waits again."""
        found = self._open()
        if found is None:
            return None
        at = clock.now()
        return change_in(self._tx, found.state.job_id, lambda state: verbs.give_way(state, at), clock, _GAVE_WAY)

    def _open(self) -> JobRecord | None:
        latest = Jobs(self._tx).latest(self._kb_id)
        is_own = latest is not None and latest.state.managed and not latest.lists
        return latest if is_own and latest and not latest.state.get_overall_status().is_terminal else None


class OwnJobs:
    """Makes the jobs for what waits in the inboxes of knowledge bases, all or ``only`` some.

    It looks where something was asked for (``note``) or a job has ended, and at the start at all of them.
    """

    def __init__(self, hub: StateHub, only: Collection[str] | None, makes_again: MakesAgain) -> None:
        self._hub = hub
        self._makes_again = makes_again
        self._only = only
        self._noted: set[str] = set()
        self._has_looked = False

    def note(self, kb_id: str) -> None:
        """Something may wait there."""
        self._noted.add(kb_id)

    async def make(self) -> tuple[list[str], bool]:
        """Make the jobs that are due: (their knowledge bases, whether the database could be used)."""
        made: list[str] = []
        noted: set[str] = set()
        try:
            if not self._has_looked:
                self._noted.update(await self._hub.database.read(lambda tx: Inboxes(tx).waiting()))
                self._has_looked = True
            noted, self._noted = self._noted, set()
            for kb_id in sorted(noted):
                if (self._only is None or kb_id in self._only) and await self._make_one(kb_id):
                    made.append(kb_id)
                noted.discard(kb_id)
        except StoreError as error:
            self._noted |= noted
            get_logger().warning("cannot make a job for what was asked for, trying again", error=str(error))
            return made, False
        return made, True

    async def _make_one(self, kb_id: str) -> bool:
        database, at = self._hub.database, self._hub.clock.now()
        if not await database.read(lambda tx: OwnJob(tx, kb_id).is_due()):
            return False
        made = await database.write(lambda tx: OwnJob(tx, kb_id).make(at, self._makes_again), durable=True)
        return made is not None
