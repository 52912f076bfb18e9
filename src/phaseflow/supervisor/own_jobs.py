"""The jobs that nobody starts: one is made for what waits in an inbox as soon as no job is open that could take it."""

import uuid
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

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
from phaseflow.tracker import Changed, StateHub, change_in, dequeue_failed_job, ensure_no_active_job

_GAVE_WAY = "start"
"""The reason in the log of a job that nobody started, when somebody starts one."""


MakesAgain = Callable[[Transaction, KnowledgeBaseRecord], str | None]
"""Says what a job of a knowledge base that is made now is about to make again, in words; None: nothing."""


def make_own_job(
    tx: Transaction, kb_id: str, at: datetime, makes_again: MakesAgain, *, is_push: bool = False
) -> str | None:
    """Make a job for what waits in the inbox of a knowledge base; its id, None when there is no need of one.

    It lists no source, so that it takes nothing out, unless it finds that the settings are others than those that made
    the index (``run_start``). After a job that failed or was cancelled one is made only when something is pushed
    (``is_push``): somebody has to see the failure, and can retry it, or wants it to be over.
    """
    kb = KnowledgeBases(tx).find(kb_id)
    if kb is None or not is_own_job_due(tx, kb_id, is_push=is_push):
        return None
    dequeue_failed_job(tx, kb_id, at)
    state = IngestionState(uuid.uuid4().hex, kb_id).queue(Intent.START, at)
    again = makes_again(tx, kb)
    Jobs(tx).create(
        state, sources=kb.sources, settings=kb.settings, full=False, at=at, lists=False, made_again=again
    )  # fmt: skip
    return state.job_id


def refuse_beside_a_job(tx: Transaction, kb_id: str) -> None:
    """Raise JobConflict when a knowledge base has a job that is not over, and that would not give way."""
    if _open_own_job(tx, kb_id) is None:
        ensure_no_active_job(tx, kb_id)


def end_own_job(tx: Transaction, kb_id: str, clock: Clock) -> Changed | None:
    """Cancel the open job of a knowledge base if nobody started it; what it has taken and not done waits again."""
    found = _open_own_job(tx, kb_id)
    if found is None:
        return None
    at = clock.now()
    return change_in(tx, found.state.job_id, lambda state: verbs.give_way(state, at), clock, _GAVE_WAY)


def _open_own_job(tx: Transaction, kb_id: str) -> JobRecord | None:
    latest = Jobs(tx).latest(kb_id)
    is_own = latest is not None and latest.state.managed and not latest.lists
    return latest if is_own and latest and not latest.state.get_overall_status().is_terminal else None


def is_own_job_due(tx: Transaction, kb_id: str, *, is_push: bool = False) -> bool:
    """Something waits, and no job is open, nor waits for its retry; after a failed or cancelled one: it was pushed."""
    latest = Jobs(tx).latest(kb_id)
    if latest is None:
        return Inboxes(tx).waits_since(kb_id, None)
    status = latest.state.get_overall_status()
    if not status.is_terminal or latest.state.intent is not None:
        return False
    if status is JobStatus.COMPLETED:
        return Inboxes(tx).waits_since(kb_id, None)
    # The push makes its job in its own transaction, so that nobody else ever has to make one here.
    return is_push and Inboxes(tx).waits_since(kb_id, format_time(latest.completed_at))


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
        if not await database.read(partial(is_own_job_due, kb_id=kb_id)):
            return False
        make = partial(make_own_job, kb_id=kb_id, at=at, makes_again=self._makes_again)
        return await database.write(make, durable=True) is not None
