"""The scheduler: gives slots to queued jobs, first come first served, and carries the verbs to them.

A verb is one transaction on the job's row; then whoever runs the job is told to look. The queue is in the database,
so it outlives the process like everything else.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime

import anyio
from anyio.abc import TaskGroup

from phaseflow.actors.context import Components, Plan, Policies
from phaseflow.actors.single_flight import SingleFlight
from phaseflow.background_task import only_error
from phaseflow.domain import tracing, verbs
from phaseflow.domain.errors import EngineStopped, JobNotFound, StoreError, StoreUnavailable
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.log import get_logger, log_failure
from phaseflow.domain.phase import BY_INTERRUPTION
from phaseflow.domain.vocabulary import JobPhase, JobStatus, PhaseStatus
from phaseflow.store import failpoints
from phaseflow.store.database import STORE_RETRY_S
from phaseflow.store.jobs import JobRecord, Jobs
from phaseflow.store.progress import RunningTimes
from phaseflow.supervisor.own_jobs import OwnJobs
from phaseflow.supervisor.preparation import Preparation
from phaseflow.supervisor.run_start import prepare_run, start_run
from phaseflow.supervisor.supervisor import Supervisor
from phaseflow.tracker import Change, Changed, StateHub, Step

_ComponentsFor = Callable[[JobRecord, Preparation], AbstractAsyncContextManager[Components]]
_ORIGINS = 1000
"""Requests that are remembered for the traces, of jobs that wait for their turn."""


class Scheduler:
    """Runs at most ``slots`` jobs at once, of all knowledge bases or ``only`` some. ``components_for`` makes what does
    the work of a job."""

    def __init__(
        self,
        hub: StateHub,
        components_for: _ComponentsFor,
        policies: Policies,
        own_jobs: OwnJobs,
        *,
        slots: int,
        only: Collection[str] | None = None,
    ) -> None:
        self._hub = hub
        self._components_for = components_for
        self._policies = policies
        self._slots = slots
        self._only = only
        self._single_flight = SingleFlight()
        self._own_jobs = own_jobs
        self._supervisors: dict[str, Supervisor | None] = {}
        self._busy_kbs: dict[str, str] = {}
        self._origins: dict[str, tracing.Origin] = {}
        self._woken = anyio.Event()
        self._stopping = False
        self._log = get_logger()
        hub.then = self._hear

    async def recover_orphans(self, *, go_on: bool) -> list[str]:
        """Pause what a dead process left running, and queue it again when ``go_on``; the ids of those jobs."""
        records = await self._hub.database.read(lambda tx: Jobs(tx).unfinished())
        if any(phase.status is PhaseStatus.RUNNING for record in records for phase in record.state.phases):
            await self._hub.database.write(lambda tx: RunningTimes(tx).settle())
        found = []
        for record in records:
            if changed := await self._recover_one(record, go_on=go_on):
                self._log.info("interrupted job found", job=changed.after.job_id, kb=changed.after.kb_id, goes_on=go_on)
                found.append(record.state.job_id)
        return found

    async def _recover_one(self, record: JobRecord, *, go_on: bool) -> Changed | None:
        if record.state.lease is not None:
            return None  # its program runs elsewhere, and its lease says how long
        now, managed = self._hub.clock.now(), record.state.managed

        def change(state: IngestionState) -> IngestionState:
            if managed:
                return verbs.interrupt(state, now, go_on=go_on, reason=BY_INTERRUPTION)
            return state.each(lambda p: p.pause(now) if p.status is PhaseStatus.RUNNING else p)

        changed = await self._hub.change(record.state.job_id, change, reason=BY_INTERRUPTION)
        failpoints.hit("scheduler.recovered")
        return changed if changed.after != changed.before else None

    async def run(self) -> None:
        """Fill the slots until ``stop``; ends when all jobs are quiet."""
        async with anyio.create_task_group() as tasks:
            while not self._stopping:
                wake = self._woken
                await self._make_own_jobs(tasks)
                await self._fill(tasks)
                await wake.wait()
            for supervisor in self._supervisors.values():
                if supervisor is not None:
                    supervisor.stop()

    def stop(self) -> None:
        """Start nothing more; running jobs finish the batches in hand."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """The queue may have changed."""
        self._woken.set()
        self._woken = anyio.Event()

    def asked(self, kb_id: str) -> None:
        """Something has come into the inbox of a knowledge base: the open job may take it, else a new one is due."""
        if (supervisor := self.supervisor_of(kb_id)) is not None:
            supervisor.asked()  # at its end it is looked again: pushes beside a job are no looks at the queue
            return
        self._own_jobs.note(kb_id)
        self.wake()

    async def apply(self, found: IngestionState, change: Change, *, reason: str | None = None) -> Changed:
        """Carry out a verb on a job ``found`` so; who runs it is told with its commit, even if the caller is gone then.

        What is refused, or is so already, closes no gate, which would break off a batch.
        """
        if change(found) == found:
            return Changed(found, found)
        job_id = found.job_id
        supervisor = self._supervisors.get(job_id)
        with nullcontext() if supervisor is None else supervisor.gates_closed():
            origin = tracing.origin()
            return await self._hub.change(
                job_id, change, reason=reason, then=lambda changed: self._obey(changed, origin)
            )

    def note_origin(self, job_id: str, origin: tracing.Origin | None) -> None:
        """Whose request a job runs for next, for the traces."""
        if origin is not None:
            self._origins[job_id] = origin
            if len(self._origins) > _ORIGINS:
                del self._origins[next(iter(self._origins))]

    def _obey(self, changed: Changed, origin: tracing.Origin | None) -> None:
        self.note_origin(changed.after.job_id, origin)
        failpoints.hit("scheduler.applied")
        supervisor = self._supervisors.get(changed.after.job_id)
        if supervisor is not None and changed.after.cancelled:
            supervisor.abandon()
        elif supervisor is not None:
            supervisor.wake()
        self.wake()

    def _hear(self, changed: Changed) -> None:
        """A job that its program ran is over: what came in meanwhile has waited for that."""
        if not changed.after.managed and changed.after.get_overall_status().is_terminal:
            self.asked(changed.after.kb_id)

    def abandon(self, kb_id: str) -> None:
        """Drop what a failed job of this knowledge base still has in hand: a new job takes its place."""
        supervisor = self.supervisor_of(kb_id)
        if supervisor is not None:
            supervisor.abandon()

    def supervisor_of(self, kb_id: str) -> Supervisor | None:
        """Who runs the job of a knowledge base now."""
        return self._supervisors.get(self._busy_kbs.get(kb_id, ""))

    async def _fill(self, tasks: TaskGroup) -> None:
        if len(self._supervisors) >= self._slots:
            return
        try:
            queue = await self._hub.database.read(lambda tx: Jobs(tx).queued(), one_statement=True)
        except StoreError as error:
            self._log.warning("cannot read the queue, trying again", error=str(error))
            tasks.start_soon(self._wake_later)
            return
        for job_id, kb_id in queue:
            wanted = self._only is None or kb_id in self._only
            if wanted and len(self._supervisors) < self._slots and kb_id not in self._busy_kbs:
                # The slot is taken here and not by the task, which runs later: a second look at the queue before that
                # would give the same slot away twice. One slot for each knowledge base: a large one cannot keep all the
                # others waiting.
                self._supervisors[job_id] = None
                self._busy_kbs[kb_id] = job_id
                preparation = Preparation(self._hub, job_id)
                tasks.start_soon(preparation.show_when_late)
                tasks.start_soon(self._supervise, job_id, kb_id, preparation)

    async def _make_own_jobs(self, tasks: TaskGroup) -> None:
        if not self._slots:
            return
        made, is_done = await self._own_jobs.make()
        for kb_id in made:
            self.abandon(kb_id)
            self._hub.feed.touch(kb_id)
        if not is_done:
            tasks.start_soon(self._wake_later)

    async def _wake_later(self) -> None:
        await self._hub.database.ending.sleep(STORE_RETRY_S)
        self.wake()

    async def _supervise(self, job_id: str, kb_id: str, preparation: Preparation) -> None:
        try:
            await self._run_job(job_id, preparation)
        except Exception as error:  # noqa: BLE001  # whatever it is becomes a failed phase: nobody is left waiting
            cause = only_error(error)
            if self._stopping and isinstance(cause, StoreError | EngineStopped):
                self._log.warning("the job waits for a start that can go on", job=job_id, error=str(cause))
            else:
                await self._fail(job_id, cause)
        finally:
            preparation.end()
            del self._supervisors[job_id]
            del self._busy_kbs[kb_id]
            self._own_jobs.note(kb_id)  # for what it has not taken
            self.wake()

    async def _run_job(self, job_id: str, preparation: Preparation) -> None:
        record = await self._hub.record(job_id)
        async with self._components_for(record, preparation) as components:
            begun = await self._hub.database.until_stored(
                lambda: self._start_run(job_id, components), lambda error: self._not_stored(record.state.kb_id, error)
            )
            preparation.end()
            if begun is None:
                return
            # The supervisor exists only after the commit. A verb that comes before that finds None here, needs to wake
            # nobody, and is seen by the first look of the supervisor.
            supervisor = Supervisor(self._hub, begun[0], self._single_flight)
            self._supervisors[job_id] = supervisor
            if self._stopping:
                supervisor.stop()
            with tracing.root("job", self._origins.pop(job_id, None), job=job_id, kb=record.state.kb_id):
                await supervisor.run()

    async def _start_run(self, job_id: str, components: Components) -> tuple[Plan, Changed] | None:
        again = await prepare_run(self._hub.database, job_id, components)
        await self._hub.follow_clock()
        return await self._hub.database.write(
            lambda tx: start_run(tx, job_id, components, self._policies, self._hub.clock, again),
            durable=True,
            then=self._tell_started,
        )

    def _not_stored(self, kb_id: str, error: StoreUnavailable) -> None:
        if self._stopping:
            raise error
        self._hub.feed.touch(kb_id)  # the status says why nothing moves
        self._log.warning("cannot write the start of a run, trying again", error=str(error))

    def _tell_started(self, begun: tuple[Plan, Changed] | None) -> None:
        if begun is not None:
            self._hub.tell(begun[1])

    async def _fail(self, job_id: str, error: BaseException) -> None:
        log_failure(self._log, "job failed", error, job=job_id)
        now, text = self._hub.clock.now(), text_of(error)
        steps: list[Step] = [
            (lambda state: _with_running_phase(state, now), None),
            (lambda state: _failed(state, text, now), None),
        ]
        while not self._stopping:
            try:
                await self._hub.change_in_steps(job_id, steps)
            except JobNotFound:
                return  # deleted with its knowledge base
            except StoreError as unavailable:
                self._log.warning("cannot write that the job failed, trying again", error=str(unavailable))
                await self._hub.database.ending.sleep(STORE_RETRY_S)
            else:
                return


def _with_running_phase(state: IngestionState, now: datetime) -> IngestionState:
    """A state in which a phase runs, so that it can fail: what could not even begin has failed in its next phase."""
    if _running(state):
        return state.queue(None, now)
    if state.intent is None and state.get_overall_status() is not JobStatus.RUNNING:
        return state  # a verb came first
    state = verbs.take_turn(state, now)
    if _running(state):
        return state
    phase = state[state.get_current_phase()]
    return state.with_phase(phase.resume(now) if phase.is_active() else phase.start(now))


def _failed(state: IngestionState, error: str, now: datetime) -> IngestionState:
    running = _running(state)
    if not running or state.get_overall_status().is_terminal:
        return state
    failed = state.with_phase(state[running[0]].fail(error, now))
    return failed.each(lambda p: p.pause(now), running[1:])


def _running(state: IngestionState) -> list[JobPhase]:
    return [phase.name for phase in state.phases if phase.status is PhaseStatus.RUNNING]
