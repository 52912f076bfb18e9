"""What a status says to a person: functions from values to lines of text, and to commands that work from here."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from phaseflow.cli.next_command import completed, next_command
from phaseflow.cli.plain_text import one_line
from phaseflow.domain.counting import counted, form
from phaseflow.domain.deletions import WOULD_DELETE
from phaseflow.domain.messages import notes, waiting_words
from phaseflow.domain.vocabulary import JobPhase, JobStatus, PhaseStatus, WaitingOn

if TYPE_CHECKING:
    from phaseflow.domain.status import Failure, JobStatusResponse, PhaseDetail

FIRST_FEW = 5
"""Failures that a summary shows; the rest are a command away."""

CANCELLED = "cancelled"
ON_HOLD = "on hold"


def shown_status(status: "JobStatusResponse", phase: "PhaseDetail") -> str:
    """The status of a phase in words. What a cancel ended has not failed, whatever its row is to say by contract."""
    is_cancelled = status.status is JobStatus.CANCELLED and phase.status is PhaseStatus.FAILED
    return CANCELLED if is_cancelled else phase.status.replace("_", " ")


def _waiting(phase: JobPhase, reason: WaitingOn | None) -> str:
    """Why a phase does not move, in words; empty when it moves."""
    if reason is None:
        return ""
    return ON_HOLD if reason is WaitingOn.PAUSE else waiting_words(phase, reason)


def _duration(seconds: float) -> str:
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


def items(phase: "PhaseDetail") -> str:
    """Items done of the total: ``105 / 150 documents``, or what is done so far while the total is unknown.

    The total decides about the noun, and what failed is said by ``failed``.
    """
    done, total = phase.items_processed + phase.items_failed, phase.items_total
    if total is None:
        return f"{done:,} {form(done, phase.name.item)}"
    return f"{done:,} / {total:,} {form(total, phase.name.item)}"


def failed(phase: "PhaseDetail") -> str:
    """How many of the items done have failed; empty when none has."""
    return f"{phase.items_failed:,} failed" if phase.items_failed else ""


def note(status: "JobStatusResponse", phase: "PhaseDetail") -> str:
    """What is special about a phase now: its end, its error, its pause, or why it waits."""
    if shown_status(status, phase) == CANCELLED:
        return CANCELLED
    if phase.error:
        return one_line(phase.error)
    if phase.status is PhaseStatus.PAUSED:
        return "paused" if phase.waiting_on is WaitingOn.PAUSE else _waiting(phase.name, phase.waiting_on)
    return _waiting(phase.name, phase.waiting_on)


def headline(status: "JobStatusResponse") -> str:
    """One line on the job: what it does and how long that may take."""
    left = "" if status.eta_seconds is None else f", about {_duration(status.eta_seconds)} left"
    return f"{status.kb_id}: {one_line(completed(status.message, status.kb_id))}{left}"


def changes(before: "JobStatusResponse | None", after: "JobStatusResponse") -> Iterator[str]:
    """One line for each phase that has another status than before."""
    earlier = {} if before is None else {phase.name: phase.status for phase in before.phase_details}
    for phase in after.phase_details:
        if phase.status is not earlier.get(phase.name, PhaseStatus.NOT_STARTED):
            yield _change(after, phase)


def _change(job: "JobStatusResponse", phase: "PhaseDetail") -> str:
    line = f"{job.kb_id}: {phase.name} {shown_status(job, phase)}"
    if phase.error and not line.endswith(CANCELLED):
        return f"{line}: {one_line(phase.error)}"
    if phase.status is PhaseStatus.RUNNING and not phase.items_processed:
        return line
    spent = f" in {_duration(phase.active_seconds)}" if phase.status is PhaseStatus.COMPLETED else ""
    lost = f", {failed(phase)}" if phase.items_failed else ""
    return f"{line}, {items(phase)}{lost}{spent}"


def summary(status: "JobStatusResponse") -> Iterator[str]:
    """The lines at the end of a run in the foreground: how it ended and what it did."""
    done = status.metrics
    parts = [f"{counted(done.documents_loaded, 'document')} new or changed", f"{done.documents_unchanged:,} unchanged"]
    if done.documents_deleted:
        parts.append(f"{done.documents_deleted:,} deleted")
    parts.append(f"{counted(done.chunks_indexed, 'chunk')} indexed")
    parts.extend(_span(status))
    lead = f"{status.kb_id}: {status.status}"
    if status.status is JobStatus.CANCELLED:
        lead += "; what was indexed stays searchable"
    elif status.status is not JobStatus.COMPLETED or status.error:  # one that went on without a source
        lead += f": {one_line(status.error or completed(status.message, status.kb_id))}"
    yield lead
    yield f"  {', '.join(parts)}"
    if status.status is JobStatus.COMPLETED:
        yield from (f"  {line}" for line in beside(status))


def beside(status: "JobStatusResponse") -> Iterator[str]:
    """What else is to be said of a completed job: of documents that are left out, or stay. Its error is said apart."""
    found = notes(status.message)
    if status.error:
        found = found.removeprefix(status.error).removeprefix("; ")
    if found:
        yield one_line(completed(found, status.kb_id))


def _span(status: "JobStatusResponse") -> Iterator[str]:
    seconds = _run_seconds(status)
    if seconds is not None:
        yield _duration(seconds)


def _run_seconds(status: "JobStatusResponse") -> float | None:
    """How long a job that is over has worked, in seconds, without the time in which none of its phases ran.

    A retry the next morning did not take all night. A break is what all phases have in common that were interrupted,
    unless it does not fit beside those that ran from their start to their end.
    """
    if not status.status.is_terminal or status.completed_at is None:
        return None
    spans = [
        (p.started_at.timestamp(), (p.completed_at or status.completed_at).timestamp(), p.active_seconds)
        for p in status.phase_details
        if p.started_at is not None
    ]
    idle = [end - start - active for start, end, active in spans]
    whole = _covered([(start, end) for (start, end, _), rest in zip(spans, idle, strict=True) if rest < _NO_BREAK_S])
    covered = _covered([(start, end) for start, end, _ in spans])
    pause = min((rest for rest in idle if rest >= _NO_BREAK_S), default=0.0)
    return covered - pause if spans and pause <= covered - whole else covered if spans else None


_NO_BREAK_S = 1.0
"""A phase that ran all the time from its start to its end, but for the moments between two commits."""


def _covered(spans: "Sequence[tuple[float, float]]") -> float:
    """Seconds that lie in at least one of the spans."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def failures(status: "JobStatusResponse", first: "Sequence[Failure]", command: str) -> Iterator[str]:
    """How many documents failed, the first few of them, and the command that lists them all."""
    count = max(status.metrics.documents_failed, len(first))
    if not count:
        return
    yield f"{counted(count, 'document')} failed:"
    for one in first[:FIRST_FEW]:
        yield "  " + failure(one)
    yield f"  all of them: {command}"


def failure(one: "Failure") -> str:
    """One line on a failed document."""
    tries = f" ({counted(one.attempts, 'attempt')})" if one.attempts > 1 else ""
    return f"{one_line(one.uri)}: {one.phase}: {one_line(' '.join(one.error.split()))}{tries}"


def asks_to_delete(status: "JobStatusResponse") -> bool:
    """The job is paused because it would take out most of a source."""
    return status.status is JobStatus.PAUSED and WOULD_DELETE in status.message


def advice(status: "JobStatusResponse", again: str | None = None) -> Iterator[str]:
    """What to type next when a job is not completed, if there is anything to go on with. ``again``: what goes on with a
    paused job, where that is not ``resume``."""
    verbs = ("retry", "resume", "cancel", "start")
    retry, resume, cancel, start = (next_command(verb, status.kb_id) for verb in verbs)
    if status.status is JobStatus.FAILED:
        yield f"{retry} tries what failed again; after a change of settings, {start} makes a job with the new ones"
    elif status.status.is_terminal:
        return
    elif asks_to_delete(status):
        yield f"paused; {resume} takes them out, {cancel} keeps them. --allow-deletes says yes beforehand"
    else:
        yield f"paused; {again or resume} goes on"
