"""Why nothing moves, and what happens, in one word and in one sentence: derived from the state alone."""

import re
import shlex
from collections.abc import Sequence
from typing import Final

from phaseflow.domain.counting import counted, counted_of, form
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import BY_START, PhaseState
from phaseflow.domain.verbs import released
from phaseflow.domain.vocabulary import Action, Intent, JobPhase, JobStatus, PhaseStatus, WaitingOn

_DOING = {
    JobPhase.LOADING: "Loading",
    JobPhase.CHUNKING: "Chunking",
    JobPhase.EMBEDDING: "Embedding",
    JobPhase.INDEXING: "Indexing",
}
WAITING = {
    WaitingOn.UPSTREAM: "waiting for {before}",
    WaitingOn.RATE_LIMIT: "{server} asked us to slow down",
    WaitingOn.RETRY: "a temporary fault, trying again",
    WaitingOn.PAUSE: "paused",
    WaitingOn.QUEUE: "waiting for a free slot",
    WaitingOn.WORKERS: "the workers cannot be reached, trying again",
    WaitingOn.INDEX: "the index cannot be reached, trying again",
    WaitingOn.COMPONENT: "waiting for a component to answer",
    WaitingOn.INTERRUPTED: "its process has ended",
}
"""The only place for these words: those of the dashboard and of the docs are compared with them by a test."""


def waiting_words(phase: JobPhase, reason: WaitingOn) -> str:
    """Why a phase does not move, to a person."""
    server = "the source" if phase is JobPhase.LOADING else "the embedding server"
    return WAITING[reason].format(before=phase.before or "the source", server=server)


def phase_waiting_on(state: IngestionState, phase: PhaseState) -> WaitingOn | None:
    """Why this phase does not move, or None."""
    if phase.status in {PhaseStatus.COMPLETED, PhaseStatus.FAILED} or state.get_overall_status().is_terminal:
        return None
    is_held = _stays_held(state, phase)
    if phase.status is PhaseStatus.PAUSED or (phase.status is PhaseStatus.NOT_STARTED and is_held):
        return WaitingOn.PAUSE if is_held else _at_rest(state, phase)
    if phase.status is PhaseStatus.NOT_STARTED:
        return _not_started(state, phase)
    return phase.waiting_on or (WaitingOn.UPSTREAM if _is_starved(state, phase) else None)


def _stays_held(state: IngestionState, phase: PhaseState) -> bool:
    """It is held, also when the job gets the slot that it waits for: a resume ends holds as soon as it is asked for."""
    queued = state.managed and state.intent is Intent.RESUME
    return (released(state)[phase.name] if queued else phase).held


def _not_started(state: IngestionState, phase: PhaseState) -> WaitingOn | None:
    if not state.managed:
        return None
    if phase.name.before is not None:
        return WaitingOn.UPSTREAM
    return _job_rests_for(state) if state.intent or state.held else None


def _at_rest(state: IngestionState, phase: PhaseState) -> WaitingOn:
    """Of a phase that is paused with its job, or because one before it is and it has done all that it had."""
    rests_for = _job_rests_for(state)
    follows = rests_for is WaitingOn.PAUSE and not state.held and _is_starved(state, phase)
    return WaitingOn.UPSTREAM if follows else rests_for


def _job_rests_for(state: IngestionState) -> WaitingOn:
    if state.intent and state.managed:
        return state.waits_before_its_run or WaitingOn.QUEUE
    return WaitingOn.INTERRUPTED if state.is_interrupted else WaitingOn.PAUSE


def _is_starved(state: IngestionState, phase: PhaseState) -> bool:
    before = phase.name.before
    if before is None or not state.managed or state[before].status is PhaseStatus.COMPLETED:
        return False
    return phase.items_done >= phase.items_available


def job_waiting_on(state: IngestionState) -> WaitingOn | None:
    """Why the job does not move: the reason of its phases when none of them moves, else None."""
    status = state.get_overall_status()
    if status is JobStatus.FAILED and state.intent and state.managed:
        return _job_rests_for(state)
    if status.is_terminal or (status is JobStatus.PENDING and not state.managed):
        return None
    if status in {JobStatus.PENDING, JobStatus.PAUSED}:
        return _job_rests_for(state)
    reasons = [phase_waiting_on(state, p) for p in state.phases if p.status is PhaseStatus.RUNNING]
    if not reasons or None in reasons:
        return None
    upstream = WaitingOn.PAUSE if _paused_phases(state) else WaitingOn.UPSTREAM
    return next((reason for reason in reasons if reason is not WaitingOn.UPSTREAM), upstream)


def _paused_phases(state: IngestionState) -> list[PhaseState]:
    """Those that someone has to resume: paused, or held before they have started."""
    return [p for p in state.phases if p.status is PhaseStatus.PAUSED or (p.held and p.status is _NOT_STARTED)]


_NOT_STARTED = PhaseStatus.NOT_STARTED


def source_down(name: str) -> str:
    """What the status of a job says before the reason, of a source that the job has gone on without."""
    return f"the source {name!r} could not be read"


def displaced(name: str, holder: str | None, number: int, uri: str) -> str:
    """What a status says of documents of a source that have the uris of others, which ``holder`` has; None: pushed."""
    left_out, which = ("is", "") if number == 1 else ("are", ", for example")
    some = f"{counted(number, 'document')} of the source {name!r} {left_out} left out, since"
    if holder is None:
        return f"{some} {'another was' if number == 1 else 'others were'} pushed under the same name{which}: {uri}"
    theirs = "one under the same name" if number == 1 else "documents under the same names"
    return f"{some} the source {holder!r} has {theirs}{which}: {uri}"


def by_canonical(name: str, number: int, uri: str) -> str:
    """What a status says of pages of a source that name another as their canonical address."""
    why = "is left out, since it names" if number == 1 else "are left out, since they name"
    which = "" if number == 1 else ", for example"
    return f"{counted(number, 'page')} of the source {name!r} {why} another as canonical{which}: {uri}"


def kept(kb_id: str, name: str, number: int, pages: Sequence[str], why: str | None) -> str:
    """What a status says of documents that a source was not found to have, and that stay searchable: nobody knows that
    they are gone while ``pages``, or something else of the source (``why``), cannot be read."""
    stay = form(number, "was not found and stays", others="were not found and stay")
    some = f"{counted(number, 'document')} of the source {name!r} {stay}"
    if not pages:
        return f"{some} until all of it can be read" + (f": {why}" if why else "")
    page, *others = pages
    if others:
        return (
            f"{some} until {page} and others can be read, or are skipped: phaseflow failures {kb_id} lists them,"
            f" phaseflow skip {kb_id} URI leaves one out"
        )
    return f"{some} until {page} can be read, or is skipped: phaseflow skip {kb_id} {shlex.quote(page)}"


def message(state: IngestionState, documents_failed: int = 0) -> str:
    """One sentence on what the job does. A job that is over says how many of its documents failed."""
    status, phase = state.get_overall_status(), state[state.get_current_phase()]
    if status is JobStatus.CANCELLED:
        is_replaced = state.hold_reason == BY_START
        why = f"{BY_START}, which does what was left" if is_replaced else "Cancelled by user"
        return f"{why}; what was indexed stays searchable"
    if status is JobStatus.FAILED:
        cause = next(p for p in state.phases if p.status is PhaseStatus.FAILED)
        return f"{_DOING[cause.name]} failed: {cause.error}"
    if status is JobStatus.COMPLETED:
        failed = f"; {counted(documents_failed, 'document')} failed" if documents_failed else ""
        return f"Completed: {_counted(state[JobPhase.INDEXING])} indexed{failed}"
    if status in {JobStatus.PENDING, JobStatus.PAUSED} and state.intent and (reason := state.waits_before_its_run):
        return f"Starting: {waiting_words(phase.name, reason)}"
    if status is JobStatus.PENDING:
        return "Waiting for a free slot" if state.managed else "Not started"
    if status is JobStatus.PAUSED:
        return _paused(state, phase)
    return _running(state)


_COUNTS: Final = re.compile(r"Completed: [\d,]+ \w+ indexed(?:; [\d,]+ \w+ failed)?(?:; )?")


def notes(message: str) -> str:
    """What the message of a completed job says beside its counts: of sources that could not be read, of documents that
    are left out or stay. Empty for nothing, and for another message."""
    found = _COUNTS.match(message)
    return "" if found is None else message[found.end() :]


def _paused(state: IngestionState, phase: PhaseState) -> str:
    if state.intent and not state.is_silent:
        phase = next((state[name] for name in state.intent_phases if not state[name].is_terminal()), phase)
        when = "a slot is free" if state.managed else "its program does"
        return f"{_DOING[phase.name]} goes on when {when}"
    if state.is_interrupted:
        return f"Interrupted in {phase.name}: {_counted(phase)} done; {_how_to_go_on(state)}"
    if not state.held and state.blocked is not None:
        phase = state.blocked
    reason = state.why_paused(phase.name)
    because = f" ({reason})" if reason and reason != "user" else ""
    return f"Paused in {phase.name}{because}: {_counted(phase)} done"


def _how_to_go_on(state: IngestionState) -> str:
    if state.managed:
        return f"phaseflow resume {state.kb_id} goes on with it"
    return "start the program that runs it again to go on with it"


def _running(state: IngestionState) -> str:
    """What moves, and what does not because someone has paused it. When nothing moves: who has to do what."""
    running = [p for p in state.phases if p.status is PhaseStatus.RUNNING]
    moving = [p for p in running if phase_waiting_on(state, p) is None]
    phase = next(iter([*moving, *running]), state[state.get_current_phase()])
    doing = f"{_DOING[phase.name]} {_counted(phase)}" + (f": {phase.note}" if phase.note else "")
    if state.requested is Action.PAUSE:
        phase = next((p for p in running if state.requested_of(p.name) is Action.PAUSE), phase)
        return f"Pausing while {_DOING[phase.name].lower()}: {_counted(phase)} done"
    reason = job_waiting_on(state)
    paused = _paused_phases(state)
    if reason is WaitingOn.PAUSE and paused:
        return _stopped_by(paused[0])
    if reason:
        cause = next((p for p in running if phase_waiting_on(state, p) is reason), phase)
        named = cause.note if reason is WaitingOn.COMPONENT else None  # which document, say
        doing = f"{_DOING[cause.name]} {_counted(cause)}: {named or waiting_words(cause.name, reason)}"
    return doing + _also_paused(state)


def _stopped_by(phase: PhaseState) -> str:
    """A phase holds up all that come after it, and those before it are done."""
    because = f" ({phase.hold_reason})" if phase.hold_reason not in {None, "user"} else ""
    if phase.status is PhaseStatus.NOT_STARTED:
        return f"{_DOING[phase.name]} is on hold{because}; resume it to go on"
    return f"{_DOING[phase.name]} is paused{because} at {_counted(phase)}; resume it to go on"


def _also_paused(state: IngestionState) -> str:
    """Said while other phases run, too: somebody has to end it, most of all where nobody asked for it."""
    words = []
    for phase in _paused_phases(state):
        because = f" ({phase.hold_reason})" if phase.hold_reason not in {None, "user"} else ""
        words.append(f"{phase.name} is {'paused' if phase.status is PhaseStatus.PAUSED else 'on hold'}{because}")
    return "".join(f"; {each}" for each in words)


def _counted(phase: PhaseState) -> str:
    if phase.items_total is None or phase.status is PhaseStatus.COMPLETED:
        return counted(phase.items_processed, phase.name.item)
    return counted_of(phase.items_done, phase.items_total, phase.name.item)
