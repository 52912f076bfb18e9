"""The supervisor of one job: owns its four phase state machines, its gates and its cancel scope.

It works by comparing: what is wanted (the state in the database, which the verbs change) with what is (the actors).
Whenever either may have changed it looks at both and makes one move after another until they agree. So it does not
matter what happened in between, or how often it is told.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from phaseflow.actors.actor import Actor
from phaseflow.actors.chunking import ChunkingActor
from phaseflow.actors.context import Plan, RunContext
from phaseflow.actors.embedding import EmbeddingActor
from phaseflow.actors.handoff import Handoff
from phaseflow.actors.indexing import IndexingActor
from phaseflow.actors.loading import LoadingActor
from phaseflow.actors.single_flight import SingleFlight
from phaseflow.domain import verbs
from phaseflow.domain.errors import EngineStopped, JobNotFound, StoreError, StoreUnavailable
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.log import get_logger, log_failure
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.vocabulary import Intent, JobPhase, JobStatus, PhaseStatus
from phaseflow.store import failpoints
from phaseflow.store.states import HANDED_TO
from phaseflow.store.stop_deadline import WRITES_S
from phaseflow.supervisor.clearing import Clearing
from phaseflow.supervisor.draining import Draining
from phaseflow.supervisor.moves import Move, completing, failing, on, pausing, unless_changed
from phaseflow.tracker import StateHub

STOP_S = 1.0
"""How long a stop waits for the batches in hand, before it drops them."""
_SHUTDOWN = "shutdown"
"""The reason in the log when an engine stops in good order."""
_DROPPED = "dropped"
"""The reason in the log when a failed job had to let go of what it had in hand, for a new job."""


class Supervisor:
    """Runs one job from the moment it has a slot until nothing of it can move without someone's word."""

    def __init__(self, hub: StateHub, plan: Plan, single_flight: SingleFlight) -> None:
        self.job_id = plan.attempt.job_id
        self.kb_id = plan.attempt.kb_id
        self._hub = hub
        self.lists, self.ended = plan.lists, anyio.Event()
        self._plan = plan
        self._log = get_logger(job=self.job_id, kb=self.kb_id)
        self._scope = anyio.CancelScope()
        self._stopping = False
        self._verbs = self._verbs_in_progress = 0
        self._is_blocked = False
        self._mail = anyio.create_memory_object_stream[None](1)
        context = RunContext(plan, hub.database, hub.clock, self._touch, single_flight)
        self._actors = self._make_actors(context)
        self._draining = Draining(self._actors)
        self.until_drained = self._draining.until_drained
        self._clearing = Clearing(hub.database, plan, self._not_stored)

    async def run(self) -> None:
        """Oversee the job. Cancelling drops the work in hand; what is committed stays."""
        send, receive = self._mail
        async with send, receive:
            try:
                with self._scope:
                    await self._clearing.purge_leftovers(lambda: self._mail[1].statistics().current_buffer_used > 0)
                    await self._work(receive)
            finally:
                for actor in self._actors:
                    actor.close()
        await self._leave()
        self.ended.set()

    async def _work(self, mail: MemoryObjectReceiveStream[None]) -> None:
        async with anyio.create_task_group() as tasks:
            for actor in self._actors:
                tasks.start_soon(actor.perform)
                tasks.start_soon(actor.tell_what_hangs)
            await self._oversee(mail)
            tasks.cancel_scope.cancel()

    def wake(self) -> None:
        """Look again: what is wanted, or what is, may have changed. Never waits."""
        try:
            self._mail[0].send_nowait(None)
        except (anyio.WouldBlock, anyio.ClosedResourceError):
            return  # a look is due already, or it has ended, and the scheduler looks

    @contextmanager
    def gates_closed(self) -> Iterator[None]:
        """Let nobody into a gate while a verb is written: once anybody can know of a pause, no batch begins."""
        self._verbs += 1
        self._verbs_in_progress += 1
        for actor in self._actors:
            actor.gate.close()
        try:
            yield
        finally:
            self._verbs += 1  # a look that began before the commit ends with what was so before it
            self._verbs_in_progress -= 1
            self.wake()

    def taken_out(self, uris: Sequence[str]) -> None:
        """These documents were skipped or deleted: nothing begins on them any more."""
        self._clearing.taken_out(uris)
        self._drop_taken_out()
        self.wake()

    def abandon(self) -> None:
        """Drop everything in hand at once: the job was cancelled."""
        self._scope.cancel()

    def stop(self) -> None:
        """Finish the batches in hand, then leave the job so that the next engine goes on with it."""
        self._stopping = True
        self.wake()

    def _make_actors(self, context: RunContext) -> list[Actor]:
        attempt = self._plan.attempt
        loaded, chunked, embedded = (Handoff(context.reads, attempt, state) for state in HANDED_TO.values())
        loading = LoadingActor(context, self.wake, None, loaded.sender)
        self.asked, self.hurry = loading.asked, loading.hurry
        chunking = ChunkingActor(context, self.wake, loaded.receiver, chunked.sender)
        embedding = EmbeddingActor(context, self.wake, chunked.receiver, embedded.sender)
        self._drop_taken_out = embedding.taken_out
        return [loading, chunking, embedding, IndexingActor(context, self.wake, embedded.receiver, None)]

    def _touch(self) -> None:
        self._hub.feed.touch(self.kb_id, progress_only=True)
        if self._is_blocked:
            self.wake()  # this may have been the last that could move beside a phase that is held

    async def _oversee(self, mail: MemoryObjectReceiveStream[None]) -> None:
        with anyio.CancelScope() as waiting:
            while not await self._reconcile():
                if self._stopping and waiting.deadline == float("inf"):
                    waiting.deadline = anyio.current_time() + STOP_S
                await mail.receive()

    async def _reconcile(self) -> bool:
        """Make the moves that are due; True when there is nothing left to oversee."""
        left: IngestionState | None = None  # by the move before, where nobody can have changed it since
        while True:
            if self._verbs_in_progress:
                return False  # the end of each wakes this; a look before it would be for nothing
            verbs_before = self._verbs
            try:
                state, left = left or (await self._hub.record(self.job_id)).state, None
            except JobNotFound:  # deleted with its knowledge base
                return True
            if self._verbs != verbs_before:
                continue  # it may be older than a verb that began or ended, and would open a gate that is closed by it
            if self._clearing.is_due and state.get_overall_status() is JobStatus.RUNNING:
                await self._clearing.take_out()
                self._drop_taken_out()  # again: it may have looked before
                continue
            self._set_gates(state)
            if not self._stopping and await self._draining.beside_failure():
                continue
            if (move := self._next_move(state)) is None:
                return self._is_settled(state)
            after = await self._make(move, state)
            left = after if self._verbs == verbs_before and after.blocked is None else None  # blocked: counts decide

    async def _make(self, move: Move, seen: IngestionState) -> IngestionState:
        """Make a move that was right for the state ``seen``; none, when a verb has come in between. What it left."""
        steps = unless_changed(move, seen, self._hub.clock.now())
        hub = self._hub
        made = await hub.database.until_stored(lambda: hub.change_in_steps(self.job_id, steps), self._not_stored)
        for actor in self._actors:
            if made[-1].after[actor.phase].held:
                actor.hold_reason = None  # it is written down now
        for logged in (logged for changed in made for logged in changed.logged):
            self._log.info(
                "transition", phase=logged.phase, before=logged.from_status, after=logged.to_status,
                reason=logged.reason, error=logged.error,
            )  # fmt: skip
            failpoints.hit(f"supervisor.{logged.to_status}")
        return made[-1].after

    def _not_stored(self, error: StoreUnavailable) -> None:
        if self._stopping:
            raise error
        self._touch()
        self._log.warning("cannot write the state of the job, trying again", error=str(error))

    def _set_gates(self, state: IngestionState) -> None:
        self._is_blocked = state.blocked is not None
        for actor in self._actors:
            running = state[actor.phase].status is PhaseStatus.RUNNING
            # While a verb is being written, a gate left open would let one more paid call begin.
            if running and self._may_run(state, actor) and not self._verbs_in_progress:
                actor.gate.open()
            else:
                actor.gate.close()

    def _may_run(self, state: IngestionState, actor: Actor) -> bool:
        has_failure = any(a.failure is not None for a in self._actors)  # it is written with those that it holds
        return state.may_run(actor.phase) and actor.hold_reason is None and not (self._stopping or has_failure)

    def _next_move(self, state: IngestionState) -> Move | None:
        if state.intent is Intent.RESUME and not (self._stopping or state.cancelled):
            return [
                (lambda found: verbs.take_turn(found, self._hub.clock.now()), "resumed")
            ]  # it still has its slot; through the queue, its run would end first
        # A paused job is quiet: whatever its actors have come to meanwhile waits for a resume.
        if self._stopping or state.cancelled or state.get_overall_status() is JobStatus.PAUSED:
            return None
        # A guard's hold first: it is part of the pause, and would be written after that was reported.
        for actor in sorted(self._actors, key=lambda actor: actor.hold_reason is None):
            if move := self._move_of(actor, state):
                return move
        return None

    def _move_of(self, actor: Actor, state: IngestionState) -> Move | None:
        phase = state[actor.phase]
        if actor.failure is not None:
            return self._failing(actor, phase, state)
        if (reason := actor.hold_reason) is not None:
            return on(actor.phase, lambda p: p.hold(reason), reason)
        if phase.status is PhaseStatus.RUNNING:
            return self._move_of_running(actor, phase, state)
        if phase.status is PhaseStatus.NOT_STARTED and self._may_run(state, actor) and self._has_work(actor, state):
            return self._starting(actor.phase)
        return None

    def _starting(self, phase: JobPhase) -> Move:
        return on(phase, lambda p: p.start(self._hub.clock.now()))

    def _move_of_running(self, actor: Actor, phase: PhaseState, state: IngestionState) -> Move | None:
        # Before pausing: else a phase with nothing left to do would need a resume only to say so.
        if self._has_ended(actor, state) and not state.get_overall_status().is_terminal:
            return completing(actor.phase, self._hub.clock.now())
        if not self._is_to_pause(actor, state):
            return None
        reason = state.why_paused(actor.phase)
        # All that are quiet, so that nobody sees a job half paused; by reason, for the log has one a step.
        quiet = [a.phase for a in self._actors if self._is_to_pause(a, state)]
        together = [name for name in quiet if state.why_paused(name) == reason]
        return pausing(together, reason, self._hub.clock.now())

    def _is_to_pause(self, actor: Actor, state: IngestionState) -> bool:
        running = state[actor.phase].status is PhaseStatus.RUNNING and actor.failure is None
        ends = self._has_ended(actor, state) and not state.get_overall_status().is_terminal
        return running and not ends and not self._may_run(state, actor) and actor.gate.is_drained

    def _has_work(self, actor: Actor, state: IngestionState) -> bool:
        return actor.gate.has_waiters or self._has_ended(actor, state)

    def _has_ended(self, actor: Actor, state: IngestionState) -> bool:
        before = actor.phase.before  # phases complete in order, and an actor may be done before this one is
        return actor.has_finished and (before is None or state[before].status is PhaseStatus.COMPLETED)

    def _failing(self, actor: Actor, phase: PhaseState, state: IngestionState) -> Move | None:
        assert actor.failure is not None
        if phase.is_active():
            log_failure(self._log, "phase failed", actor.failure, phase=actor.phase)
            quiet = [a.phase for a in self._actors if self._is_to_pause(a, state)]
            return failing(actor.phase, text_of(actor.failure), quiet, self._hub.clock.now())
        if phase.status is PhaseStatus.NOT_STARTED and not state.get_overall_status().is_terminal:
            return self._starting(actor.phase)  # only what runs can fail: the next look makes that move
        return None

    def _is_settled(self, state: IngestionState) -> bool:
        if state.cancelled:
            return True
        if self._stopping:
            return all(actor.gate.is_drained for actor in self._actors)
        running = any(phase.status is PhaseStatus.RUNNING for phase in state.phases)
        return not running and state.get_overall_status() is not JobStatus.RUNNING

    async def _leave(self) -> None:
        """All actors have ended, so nothing runs: say so where it does not say so yet, and go on later if it may."""
        now = self._hub.clock.now()
        reason = _SHUTDOWN if self._stopping else _DROPPED

        def failed(error: StoreUnavailable) -> None:
            self._log.warning("cannot write that nothing of the job runs, trying again", error=str(error))

        def change(state: IngestionState) -> IngestionState:
            return verbs.interrupt(state, now, go_on=True, reason=reason)

        database, given_up = self._hub.database, "the file did not answer in time"
        with database.ending.limit(WRITES_S):
            try:
                with suppress(JobNotFound):  # deleted with its knowledge base
                    await database.until_stored(lambda: self._hub.change(self.job_id, change, reason=reason), failed)
                given_up = ""
            except (StoreError, EngineStopped) as error:
                if not self._stopping:
                    raise
                given_up = str(error)
        if given_up:
            self._log.warning("the next start will find the job interrupted", error=given_up)
