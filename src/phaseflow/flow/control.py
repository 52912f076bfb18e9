"""The verbs: what a program asks of the newest job of a knowledge base."""

import anyio

from phaseflow.domain import verbs
from phaseflow.domain.phase import BY_USER
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import Action, JobPhase
from phaseflow.flow import inputs
from phaseflow.flow.engine import Engine
from phaseflow.flow.job import Job
from phaseflow.flow.queries import latest_job
from phaseflow.store.jobs import JobRecord, Jobs
from phaseflow.store.transaction import Transaction
from phaseflow.supervisor.own_jobs import OwnJob

VERB_RESPONSE_S = 0.5
"""How long a verb waits for its effect before it answers with ``requested`` still set."""


class Control:
    """Asks the jobs of an engine to pause, to resume, to end, or to try again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def act(
        self, action: Action | str, kb_id: str, phase: JobPhase | str | None
    ) -> tuple[JobStatusResponse, bool]:
        """Store what is asked of the newest job, and wait a moment for its effect."""
        hub, scheduler = self._engine.hub, self._engine.scheduler
        verb = inputs.as_action(action)
        name = None if phase is None else inputs.as_phase(phase)
        record = await self._latest(kb_id)
        change, job_id = verbs.change_for(verb, hub.clock.now(), name), record.state.job_id
        with hub.watching(job_id) as watch:
            changed = await scheduler.apply(record.state, change, reason=BY_USER)
            moved = changed.after != changed.before
            if moved:
                with anyio.move_on_after(VERB_RESPONSE_S):
                    await watch.until(lambda state: state.requested is None and state.intent is None)
        return await hub.feed.status_of(job_id), moved

    async def newest(self, kb_id: str) -> Job:
        """The newest job of a knowledge base."""
        record = await self._latest(kb_id)
        return self.job(record.state.job_id, kb_id)

    async def after(self, job: Job) -> Job | None:
        """The job after one that is over, made where something waits in the inbox; None: there is none."""

        def look(tx: Transaction) -> bool:
            return Jobs(tx).latest_id(job.kb_id) != job.job_id or OwnJob(tx, job.kb_id).is_due()

        if not await self._engine.read(look):
            return None
        _, latest = await self._engine.change_documents(job.kb_id, lambda *_: None)
        return None if latest in {None, job.job_id} else await self.newest(job.kb_id)

    def job(self, job_id: str, kb_id: str) -> Job:
        """A handle on a job that is known."""
        return Job(job_id, kb_id, self._engine.hub.feed)

    async def _latest(self, kb_id: str) -> JobRecord:
        return await self._engine.read(lambda tx: latest_job(tx, kb_id), one_statement=True)
