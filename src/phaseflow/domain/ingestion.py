"""The state of a whole job: four phases, what its user holds, and what it waits for in the queue."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from phaseflow.domain.lease import Lease
from phaseflow.domain.phase import BY_INTERRUPTION, PhaseState
from phaseflow.domain.transitions import job_status
from phaseflow.domain.vocabulary import PHASES, Action, Intent, JobPhase, JobStatus, PhaseStatus, WaitingOn


def _fresh() -> tuple[PhaseState, ...]:
    return tuple(PhaseState(phase) for phase in PHASES)


@dataclass(frozen=True, slots=True)
class IngestionState:
    """One job. ``held``: its user wants no phase to run. ``intent``: what it is queued for, since ``queued_at``.

    ``intent_phases`` limits a queued resume to some phases; empty means all. ``managed`` is False for the job of a
    program with its own pipeline, which no engine runs. ``lease``: that program reports over the wire.
    """

    job_id: str
    kb_id: str
    phases: tuple[PhaseState, ...] = field(default_factory=_fresh)
    cancelled: bool = False
    held: bool = False
    hold_reason: str | None = None
    intent: Intent | None = None
    intent_phases: tuple[JobPhase, ...] = ()
    queued_at: datetime | None = None
    managed: bool = True
    lease: Lease | None = None

    def __post_init__(self) -> None:
        if tuple(phase.name for phase in self.phases) != PHASES:
            raise ValueError("a job has all four phases, in order")

    def __getitem__(self, phase: JobPhase) -> PhaseState:
        return self.phases[phase.position]

    def get_overall_status(self) -> JobStatus:
        """The job's status, derived from its phases."""
        waiting = next((p for p in self.phases if p.status is PhaseStatus.NOT_STARTED), None)
        return job_status(
            [phase.status for phase in self.phases],
            cancelled=self.cancelled,
            held=self.held,
            next_held=waiting is not None and waiting.held,
        )

    def get_current_phase(self) -> JobPhase:
        """The first phase that is running or paused, else the first not started, else the last."""
        active = (p.name for p in self.phases if p.is_active())
        waiting = (p.name for p in self.phases if p.status is PhaseStatus.NOT_STARTED)
        return next(active, None) or next(waiting, None) or PHASES[-1]

    def get_overall_progress(self) -> float:
        """The mean of the four phases, 0–100."""
        return sum(phase.progress for phase in self.phases) / len(self.phases)

    @property
    def requested(self) -> Action | None:
        """PAUSE while a pause was asked for and a batch in hand is still being finished.

        RESUME and RETRY while a program that runs elsewhere has yet to do so; PAUSE, too, while such a program has not
        begun a phase that is held, and has nothing that it could pause.
        """
        if self.is_silent:
            return None
        if self.intent is not None and not self.managed:
            return Action(self.intent)
        if self.get_overall_status().is_terminal:
            return None
        if any(p.status is PhaseStatus.RUNNING and (p.held or self.held) for p in self.phases):
            return Action.PAUSE
        active = any(p.is_active() for p in self.phases)
        return None if self.managed or active else self.requested_of(self.get_current_phase())

    def requested_of(self, phase: JobPhase) -> Action | None:
        """The same for one phase: what is asked of others is not asked of it, and what it has done no more.

        PAUSE of one that has not started asks a program that runs elsewhere not to begin it yet. Of one that is over
        such a program is told what is asked of the whole job, and with none begun, of the one that comes next.
        """
        one = self[phase]
        if self.is_silent:
            return None
        if not self.managed and one.status is PhaseStatus.COMPLETED:
            follows = self.held or not any(p.is_active() for p in self.phases)
            return self.requested if follows else None
        if not self.managed and phase in self.asked_to_run:
            return self._asked_to_run(one)
        if self.get_overall_status().is_terminal:
            return None
        held = one.held or (self.held and not self.is_held_by_interruption)
        begins = one.status is PhaseStatus.NOT_STARTED and not self.managed
        return Action.PAUSE if held and (begins or one.status is PhaseStatus.RUNNING) else None

    @property
    def asked_to_run(self) -> tuple[JobPhase, ...]:
        """The phases that a resume or a retry is about that has yet to take effect."""
        return () if self.intent is None else self.intent_phases or PHASES

    def _asked_to_run(self, phase: PhaseState) -> Action | None:
        if phase.status is PhaseStatus.FAILED:
            return Action.RETRY if self.intent is Intent.RETRY else None
        if self.intent is Intent.RETRY:  # it ends the pause of the job, and none of a phase
            return Action.RESUME if phase.status is PhaseStatus.PAUSED and not phase.held else None
        begins = phase.status is PhaseStatus.NOT_STARTED and (phase.held or self.held)
        return Action.RESUME if begins or phase.status is PhaseStatus.PAUSED else None

    @property
    def is_held_somewhere(self) -> bool:
        """A phase is paused or held, so that a resume would change something."""
        return self.held or any(p.held or p.status is PhaseStatus.PAUSED for p in self.phases)

    def allowed_actions(self) -> tuple[Action, ...]:
        """The verbs that would be obeyed now. A job that no engine runs can only be cancelled, unless its program
        reports over the wire, and so learns what is asked of it. Once it is over, an engine may start the next."""
        status = self.get_overall_status()
        if not self.managed:
            return self._allowed_elsewhere(status)
        extra = (Action.RESUME,) if status is JobStatus.RUNNING and self.is_held_somewhere else ()
        return _ALLOWED[status] + extra

    def _allowed_elsewhere(self, status: JobStatus) -> tuple[Action, ...]:
        is_heard = self.lease is not None and not self.is_silent
        if status.is_terminal:
            can_retry = is_heard and self.lease is not None and self.lease.can_retry
            return tuple(action for action in _ALLOWED[status] if can_retry or action is not Action.RETRY)
        if not is_heard:
            return (Action.CANCEL,)
        if status is JobStatus.PAUSED:
            return (Action.RESUME, Action.CANCEL)
        withdrawing = (Action.RESUME,) if status is JobStatus.RUNNING and self.is_held_somewhere else ()
        return (Action.PAUSE, Action.CANCEL, *withdrawing)

    def may_run(self, phase: JobPhase) -> bool:
        """Nobody holds this phase, its job, or any part of it by a failure, and something of the job can move."""
        return not (self.held or self[phase].held or self.get_overall_status().is_terminal or self.is_stalled)

    @property
    def is_interrupted(self) -> bool:
        """It is held because the process that ran it has ended, and not because somebody wanted it to stop."""
        return self.is_held_by_interruption or self.is_silent

    @property
    def is_silent(self) -> bool:
        """Its program runs elsewhere, and has not been heard of for longer than its lease: it can be asked nothing."""
        return self.lease is not None and self.lease.expired

    @property
    def is_held_by_interruption(self) -> bool:
        """The hold of the whole job is that of an interruption."""
        return self.held and self.hold_reason == BY_INTERRUPTION

    @property
    def blocked(self) -> PhaseState | None:
        """The first phase that is paused, or has not started, until somebody resumes it, when there is one."""
        return next((p for p in self.phases if p.held and p.status in _AT_REST), None)

    @property
    def is_stalled(self) -> bool:
        """A phase is blocked, and no other has anything left to do until that one goes on."""
        return self.blocked is not None and not any(self._can_move(p) for p in self.phases)

    def _can_move(self, phase: PhaseState) -> bool:
        if phase.status is PhaseStatus.RUNNING:
            return phase.held or self._has_more(phase)  # held: it is about to pause, and may hand over more before that
        return phase.status is PhaseStatus.NOT_STARTED and not phase.held and self._has_more(phase)

    def _has_more(self, phase: PhaseState) -> bool:
        """It has something in hand, or its own end to make."""
        before = phase.name.before
        ends = before is None or self[before].status is PhaseStatus.COMPLETED
        return ends or phase.items_done < phase.items_available

    def why_paused(self, phase: JobPhase) -> str | None:
        """The reason why a phase that does not run any more was paused, for the log and the message."""
        failed = next((p.name for p in self.phases if p.status is PhaseStatus.FAILED), None)
        if failed is not None:
            return f"{failed} failed"
        reason = self[phase].hold_reason or self.hold_reason
        return reason or (self.blocked.hold_reason if self.blocked is not None else None)

    def begun(self, at: datetime) -> Self:
        """The same job, with the phases started for which work waits, where it would be paused otherwise.

        A paused job is quiet, so what they have to do is begun in the commit that would pause it.
        """
        if self.get_overall_status() is not JobStatus.PAUSED:
            return self
        due = [p.name for p in self.phases if p.status is PhaseStatus.NOT_STARTED and p.items_done < p.items_available]
        return self.each(lambda p: p.start(at), filter(self.may_run, due))

    def with_phase(self, phase: PhaseState) -> Self:
        """The same job with one phase replaced."""
        return self.each(lambda p: phase if p.name is phase.name else p)

    def each(self, change: Callable[[PhaseState], PhaseState], only: Iterable[JobPhase] = PHASES) -> Self:
        """The same job with ``change`` applied to each of the phases named."""
        chosen = frozenset(only)
        return replace(self, phases=tuple(change(p) if p.name in chosen else p for p in self.phases))

    def measured(self, before: Self, now: datetime) -> Self:
        """The same job, come from ``before``, with the running times of its phases measured by ``now``."""
        phases = zip(before.phases, self.phases, strict=True)
        return replace(self, phases=tuple(after.measured(was, now) for was, after in phases))

    def unqueued(self) -> Self:
        """The same job waiting for no slot, and asked to run no more than it does."""
        return replace(self.without_preparation(), intent=None, intent_phases=(), queued_at=None)

    def queue(self, intent: Intent | None, at: datetime, phases: tuple[JobPhase, ...] = ()) -> Self:
        """The same job waiting for a slot, or for none."""
        if intent is None:
            return self.unqueued()
        return replace(self, intent=intent, intent_phases=phases, queued_at=at)

    def waiting_before_its_run(self, reason: WaitingOn) -> Self:
        """The same job, which has got its slot and waits for what its run needs. Unchanged when it is queued no more.

        It stands with the first phase that there is something to do for, which does not run: so it is found by a reader
        beside this process, like the reasons of running phases.
        """
        phase = next((p for p in self.phases if p.status is not PhaseStatus.COMPLETED), None)
        if self.intent is None or phase is None or any(p.status is PhaseStatus.RUNNING for p in self.phases):
            return self
        return self.without_preparation().with_phase(replace(phase, waiting_on=reason))

    def without_preparation(self) -> Self:
        """The same job waiting for nothing before its run, for instance because its process has ended."""
        return self.each(lambda p: p if p.status is PhaseStatus.RUNNING else replace(p, waiting_on=None))

    @property
    def waits_before_its_run(self) -> WaitingOn | None:
        """What it waits for that has got its slot, as ``waiting_before_its_run`` has noted it."""
        reasons = (p.waiting_on for p in self.phases if p.status is not PhaseStatus.RUNNING)
        return next((reason for reason in reasons if reason), None)


_AT_REST = {PhaseStatus.PAUSED, PhaseStatus.NOT_STARTED}
_ALLOWED: dict[JobStatus, tuple[Action, ...]] = {
    JobStatus.PENDING: (Action.PAUSE, Action.CANCEL),
    JobStatus.RUNNING: (Action.PAUSE, Action.CANCEL),
    JobStatus.PAUSED: (Action.RESUME, Action.CANCEL),
    JobStatus.FAILED: (Action.RETRY, Action.START),
    JobStatus.COMPLETED: (Action.START,),
    JobStatus.CANCELLED: (Action.START,),
}
