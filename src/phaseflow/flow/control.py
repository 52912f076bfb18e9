"""The verbs: what a program asks of the newest job of a knowledge base."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TypeVar

import anyio

from phaseflow.components.embedders import EmbedderAccess
from phaseflow.domain import verbs
from phaseflow.domain.phase import BY_USER
from phaseflow.domain.status import JobStatusResponse, Transition
from phaseflow.domain.vocabulary import Action, JobPhase
from phaseflow.flow.document_verbs import DocumentVerbs
from phaseflow.flow.inputs import as_action, as_count, as_phase, as_text
from phaseflow.flow.job import Job
from phaseflow.flow.kb_notes import KbNotes
from phaseflow.flow.kept_files import KeptFiles
from phaseflow.flow.queries import latest_job
from phaseflow.flow.webhooks import Webhooks
from phaseflow.store import jobs
from phaseflow.store.jobs import JobRecord
from phaseflow.store.transaction import Transaction
from phaseflow.supervisor.own_jobs import is_own_job_due, make_own_job
from phaseflow.supervisor.scheduler import Scheduler
from phaseflow.tracker import StateHub

T = TypeVar("T")

VERB_RESPONSE_S = 0.5
"""How long a verb waits for its effect before it answers with ``requested`` still set."""


class Control(DocumentVerbs):
    """The part of the engine that pauses, resumes, cancels and retries."""

    embedder_access: EmbedderAccess
    _coming_in: set[str]

    @property
    def webhooks(self) -> Webhooks:
        """Who is told what becomes of jobs and documents."""
        return Webhooks(self._engine()[0], self.embedder_access)

    @property
    def files(self) -> KeptFiles:
        """Files that were sent and belong to no knowledge base yet."""
        return KeptFiles(self._engine()[0], self._uploads.limits, self._coming_in)

    @property
    def notes(self) -> KbNotes:
        """What a face keeps about knowledge bases, and lists of them in the order that it needs."""
        return KbNotes(self._engine()[0])

    @abstractmethod
    def _engine(self) -> tuple[StateHub, Scheduler]: ...

    async def pause(self, kb_id: str, phase: JobPhase | str | None = None) -> JobStatusResponse:
        """Pause the job, or one phase of it, after the batch in hand."""
        return (await self.act(Action.PAUSE, kb_id, phase))[0]

    async def resume(self, kb_id: str, phase: JobPhase | str | None = None) -> JobStatusResponse:
        """Resume the job, or one phase, exactly where it stopped."""
        return (await self.act(Action.RESUME, kb_id, phase))[0]

    async def cancel(self, kb_id: str) -> JobStatusResponse:
        """End the job now; what was indexed stays searchable."""
        return (await self.act(Action.CANCEL, kb_id))[0]

    async def retry(self, kb_id: str) -> JobStatusResponse:
        """Continue a failed job: failed and held-back phases run again, finished work is kept."""
        return (await self.act(Action.RETRY, kb_id))[0]

    async def act(
        self, action: Action, kb_id: str, phase: JobPhase | str | None = None
    ) -> tuple[JobStatusResponse, bool]:
        """Carry out a verb on the newest job: (its status, whether anything changed).

        It is stored, then this waits up to ``VERB_RESPONSE_S`` for its effect, and returns with ``requested`` still set
        if that takes longer. Raises JobConflict, naming the status and the allowed actions, when the verb cannot apply;
        JobNotFound, KnowledgeBaseNotFound; StoreUnavailable.
        """
        hub, scheduler = self._engine()
        verb = as_action(action)
        name = None if phase is None else as_phase(phase)
        record = await self._latest(kb_id)
        change = verbs.change_for(verb, hub.clock.now(), name)
        changed = await scheduler.apply(record.state.job_id, change, reason=BY_USER)
        moved = changed.after != changed.before
        if moved:
            await self._settle(record.state.job_id)
        return await hub.feed.status_of(record.state.job_id), moved

    def transitions(self, after: int | None = None, kb_id: str | None = None) -> AsyncIterator[Transition]:
        """Every transition after number ``after``, once and in order: replay, then live. None begins with now."""
        at = None if after is None else as_count("after", after, 0)
        return self._engine()[0].feed.transitions(at, None if kb_id is None else as_text("kb_id", kb_id))

    async def _change_documents(self, kb_id: str, change: Callable[[Transaction, datetime], T]) -> tuple[T, str | None]:
        hub, scheduler = self._engine()
        at = hub.clock.now()

        def write(tx: Transaction) -> tuple[T, str | None, bool]:
            value, made = change(tx, at), make_own_job(tx, kb_id, at)
            return value, made or jobs.latest_id(tx, kb_id), made is not None

        def written(result: tuple[T, str | None, bool]) -> None:
            hub.feed.touch(kb_id)
            if result[2]:
                scheduler.abandon(kb_id)
            scheduler.asked(kb_id)

        value, job_id, _ = await hub.database.write(write, durable=True, then=written)
        return value, job_id

    async def job(self, kb_id: str) -> Job:
        """A handle on the newest job."""
        record = await self._latest(kb_id)
        return Job(record.state.job_id, kb_id, self._engine()[0].feed)

    async def next_job(self, job: Job) -> Job | None:
        """The job after ``job``, which is over; made now where something waits in the inbox. None: there is none."""

        def look(tx: Transaction) -> bool:
            return jobs.latest_id(tx, job.kb_id) != job.job_id or is_own_job_due(tx, job.kb_id)

        if not await self._read(look):
            return None
        _, latest = await self._change_documents(job.kb_id, lambda *_: None)
        return None if latest in {None, job.job_id} else await self.job(job.kb_id)

    async def _latest(self, kb_id: str) -> JobRecord:
        return await self._read(lambda tx: latest_job(tx, kb_id))

    async def _settle(self, job_id: str) -> None:
        feed = self._engine()[0].feed
        with anyio.move_on_after(VERB_RESPONSE_S):
            while True:
                hint = feed.hint()
                state = (await self._engine()[0].record(job_id)).state
                if state.requested is None and state.intent is None:
                    return
                await hint.wait()
