"""The two tables that say which moves are legal. An illegal move is a missing key; a final state has no row.

The moves of a phase are caused by an event. The status of a job is not moved at all: it follows from the joint state
of its phases (``job_status``), and ``JOB_MOVES`` says which changes of it may be seen.
"""

from collections.abc import Sequence
from enum import StrEnum

from phaseflow.domain.errors import InvalidTransition
from phaseflow.domain.vocabulary import PHASES, JobStatus, PhaseStatus


class PhaseMove(StrEnum):
    """What can happen to a phase."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    FAIL = "fail"
    RETRY = "retry"


PHASE_MOVES: dict[PhaseStatus, dict[PhaseMove, PhaseStatus]] = {
    PhaseStatus.NOT_STARTED: {PhaseMove.START: PhaseStatus.RUNNING},
    PhaseStatus.RUNNING: {
        PhaseMove.PAUSE: PhaseStatus.PAUSED,
        PhaseMove.COMPLETE: PhaseStatus.COMPLETED,
        PhaseMove.FAIL: PhaseStatus.FAILED,
    },
    PhaseStatus.PAUSED: {PhaseMove.RESUME: PhaseStatus.RUNNING, PhaseMove.FAIL: PhaseStatus.FAILED},
    PhaseStatus.FAILED: {PhaseMove.RETRY: PhaseStatus.RUNNING},
    PhaseStatus.COMPLETED: {},
}

JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.PAUSED, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.PAUSED, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.PAUSED: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.FAILED: frozenset({JobStatus.RUNNING}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


def move_phase(phase: str, status: PhaseStatus, move: PhaseMove) -> PhaseStatus:
    """The status after ``move``. Raises InvalidTransition when the table has no such move."""
    after = PHASE_MOVES[status].get(move)
    if after is None:
        raise InvalidTransition(f"phase {phase}", status, move)
    return after


def check_job_move(before: JobStatus, after: JobStatus) -> None:
    """Raise InvalidTransition unless a job may be seen to go from one status to the other, or stays as it is."""
    if before != after and after not in JOB_MOVES[before]:
        raise InvalidTransition("job", before, f"become {after}")


def job_status(phases: Sequence[PhaseStatus], *, cancelled: bool, held: bool, next_held: bool) -> JobStatus:
    """The status of a job from those of its four phases, in the order of the contract.

    ``held``: the job is held by its user. ``next_held``: so is the first phase that has not started.
    """
    if cancelled:
        return JobStatus.CANCELLED
    if PhaseStatus.FAILED in phases:
        return JobStatus.FAILED
    if phases.count(PhaseStatus.COMPLETED) == len(phases):
        return JobStatus.COMPLETED
    if PhaseStatus.RUNNING in phases:
        return JobStatus.RUNNING
    if PhaseStatus.PAUSED in phases or held or next_held:
        return JobStatus.PAUSED
    if phases.count(PhaseStatus.NOT_STARTED) == len(phases):
        return JobStatus.PENDING
    return JobStatus.RUNNING


def state_diagram() -> str:
    """Both tables as Mermaid state diagrams, for the docs."""
    phase = [f"    {before} --> {after}: {move}" for before, row in PHASE_MOVES.items() for move, after in row.items()]
    job = [f"    {before} --> {after}" for before, row in JOB_MOVES.items() for after in JobStatus if after in row]
    return "\n".join(
        [
            f"A phase ({', '.join(PHASES)}):",
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> not_started",
            *phase,
            "    completed --> [*]",
            "```",
            "",
            "A job (its status follows from its phases):",
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> pending",
            "    [*] --> paused: first phase held",
            *job,
            "    completed --> [*]",
            "    cancelled --> [*]",
            "```",
        ]
    )
