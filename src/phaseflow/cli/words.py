"""What a status says to a person: pure functions from values to lines of text."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from phaseflow.cli.plain_text import one_line
from phaseflow.domain.vocabulary import JobPhase, JobStatus, PhaseStatus, WaitingOn

if TYPE_CHECKING:
    from phaseflow.domain.status import Failure, JobStatusResponse, PhaseDetail

FIRST_FEW = 5
"""Failures that a summary shows; the rest are a command away."""

_WAITING = {
    WaitingOn.RATE_LIMIT: "the embedding server asked for a break",
    WaitingOn.RETRY: "a fault that may pass; trying again",
    WaitingOn.PAUSE: "on hold",
    WaitingOn.QUEUE: "waiting for a free slot",
    WaitingOn.INTERRUPTED: "its process has ended",
}


def waiting(phase: JobPhase, reason: WaitingOn | None) -> str:
    """Why a phase does not move, in words; empty when it moves."""
    if reason is None:
        return ""
    if reason is WaitingOn.UPSTREAM:
        return f"waiting for {phase.before or 'the source'}"
    return _WAITING[reason]


def duration(seconds: float) -> str:
    """A length of time as one reads it: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def rate(items_per_second: float | None) -> str:
    """Items a second, with as many digits as mean something; empty when unknown."""
    if items_per_second is None:
        return ""
    return f"{items_per_second:,.0f}/s" if items_per_second >= 10 else f"{items_per_second:.1f}/s"


def amount(phase: "PhaseDetail") -> str:
    """Items done of the total: ``105 / 150``, or what is done so far while the total is unknown."""
    done = phase.items_processed + phase.items_failed
    return f"{done:,}" if phase.items_total is None else f"{done:,} / {phase.items_total:,}"


def note(phase: "PhaseDetail") -> str:
    """What is special about a phase now: its error, its pause, or why it waits."""
    if phase.error:
        return one_line(phase.error)
    if phase.status is PhaseStatus.PAUSED:
        return "paused" if phase.waiting_on is WaitingOn.PAUSE else waiting(phase.name, phase.waiting_on)
    return waiting(phase.name, phase.waiting_on)


def headline(status: "JobStatusResponse") -> str:
    """One line on the job: what it does and how long that may take."""
    left = "" if status.eta_seconds is None else f", about {duration(status.eta_seconds)} left"
    return f"{status.kb_id}: {one_line(status.message)}{left}"


def changes(before: "JobStatusResponse | None", after: "JobStatusResponse") -> Iterator[str]:
    """One line for each phase that has another status than before."""
    earlier = {} if before is None else {phase.name: phase.status for phase in before.phase_details}
    for phase in after.phase_details:
        if phase.status is not earlier.get(phase.name, PhaseStatus.NOT_STARTED):
            yield _change(after.kb_id, phase)


def _change(kb_id: str, phase: "PhaseDetail") -> str:
    line = f"{kb_id}: {phase.name} {phase.status.replace('_', ' ')}"
    if phase.error:
        return f"{line}: {one_line(phase.error)}"
    if phase.status is PhaseStatus.RUNNING and not phase.items_processed:
        return line
    spent = f" in {duration(phase.active_seconds)}" if phase.status is PhaseStatus.COMPLETED else ""
    return f"{line}, {amount(phase)} {phase.name.unit}{spent}"


def summary(status: "JobStatusResponse") -> Iterator[str]:
    """The lines at the end of a run in the foreground: how it ended and what it did."""
    done = status.metrics
    parts = [f"{done.documents_loaded:,} documents new or changed", f"{done.documents_unchanged:,} unchanged"]
    if done.documents_deleted:
        parts.append(f"{done.documents_deleted:,} deleted")
    parts.append(f"{done.chunks_indexed:,} chunks indexed")
    parts.extend(_span(status))
    lead = f"{status.kb_id}: {status.status}"
    if status.status is not JobStatus.COMPLETED:
        lead += f": {one_line(status.error or status.message)}"
    yield lead
    yield f"  {', '.join(parts)}"


def _span(status: "JobStatusResponse") -> Iterator[str]:
    if status.started_at is not None and status.completed_at is not None:
        yield duration((status.completed_at - status.started_at).total_seconds())


def failures(status: "JobStatusResponse", first: "Sequence[Failure]", command: str) -> Iterator[str]:
    """How many documents failed, the first few of them, and the command that lists them all."""
    count = max(status.metrics.documents_failed, len(first))
    if not count:
        return
    yield f"{count:,} document{'' if count == 1 else 's'} failed:"
    for one in first[:FIRST_FEW]:
        yield "  " + failure(one)
    yield f"  all of them: {command}"


def failure(one: "Failure") -> str:
    """One line on a failed document."""
    tries = f" ({one.attempts} attempts)" if one.attempts > 1 else ""
    return f"{one_line(one.uri)}: {one.phase}: {one_line(' '.join(one.error.split()))}{tries}"


def how_to_go_on(status: "JobStatusResponse", again: str, retry: str) -> str | None:
    """What to type next when a job is not completed; None when there is nothing to go on with."""
    if status.status is JobStatus.FAILED:
        return f"{retry} tries what failed again"
    if status.status.is_over:
        return None
    return f"paused; {again} goes on"
