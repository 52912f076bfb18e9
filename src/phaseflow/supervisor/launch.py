"""The beginning of a run: a queued job takes its turn, and what it will write is settled, in one transaction."""

from dataclasses import replace
from datetime import datetime

from phaseflow.actors.workshop import Components, Plan, Policies
from phaseflow.domain import verbs
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.vocabulary import Intent, JobPhase, PhaseStatus
from phaseflow.store import documents, entries, faults, jobs, knowledge_bases, vectors
from phaseflow.store.documents import Staging
from phaseflow.store.jobs import JobRecord
from phaseflow.store.progress import Run
from phaseflow.store.transaction import Transaction
from phaseflow.tracker import Changed

EXTRACTION = "1"
"""Grows when the same bytes are extracted as another text: documents are then made again."""
DISCARD = 40
"""Documents of older jobs removed in one transaction; a verb waits for one (200 took 130 ms)."""


def begin(
    tx: Transaction, job_id: str, components: Components, policies: Policies, at: datetime
) -> tuple[Plan, Changed] | None:
    """Take the turn of a queued job: a new run, its target, its phases moved; on a retry failed documents come back.

    None, and nothing changed, when a verb has taken the job out of the queue since it was given its slot.
    """
    record = jobs.record(tx, job_id)
    before = record.state
    if before.intent is None:
        return None
    epoch, model = _target(tx, record, components.embedder.fingerprint)
    run = jobs.begin_run(tx, job_id)
    state = _forgiven(tx, record) if before.intent is Intent.RETRY else before
    faults.reach(f"launch.{before.intent}")
    after = verbs.take_turn(state, at)
    logged = jobs.save(tx, before, after, reason=_REASONS.get(before.intent), at=at)
    plan = Plan(
        run=Run(job_id, record.seq, before.kb_id, run),
        staging=Staging(record.seq, before.kb_id, epoch, f"{EXTRACTION} {components.chunker.fingerprint} {model}"),
        components=components,
        policies=policies,
        full=record.full,
        listed=record.listed,
        model=model,
        model_id=vectors.model_id(tx, model),
        live_settings=record.settings,
        characters_sent=0 if jobs.is_released(before, after) else record.characters_sent,
    )
    return plan, Changed(before, after, tuple(logged))


_REASONS: dict[Intent | None, str] = {Intent.RESUME: "resumed", Intent.RETRY: "retry"}


def _target(tx: Transaction, record: JobRecord, model: str) -> tuple[int, str]:
    if record.epoch is not None and record.model is not None:
        if record.model != model:
            raise ComponentUnavailable(
                f"the embedder is now {model}, but this job began with {record.model}; cancel it and start a new one"
            )
        return record.epoch, model
    kb = knowledge_bases.get(tx, record.state.kb_id)
    epoch = knowledge_bases.target(tx, kb, model, record.settings)
    jobs.set_target(tx, record.state.job_id, epoch, model)
    entries.drop_older(tx, kb.id, record.seq)
    return epoch, model


def _forgiven(tx: Transaction, record: JobRecord) -> IngestionState:
    """The state in which the failed documents of every phase that is not completed are still to be done."""
    state, forgiven = record.state, 0
    for phase in state.phases:
        if phase.status is PhaseStatus.COMPLETED:
            continue
        count, items = _give_back(tx, record.seq, phase.name)
        forgiven += count
        state = state.with_phase(replace(phase, items_failed=max(0, phase.items_failed - items)))
    jobs.count_forgiven(tx, record.seq, forgiven)
    return state


def _give_back(tx: Transaction, job_seq: int, phase: JobPhase) -> tuple[int, int]:
    """(documents, items) that a phase has failed before and will do again."""
    if phase is JobPhase.LOADING:
        count = entries.forgive(tx, job_seq)
        return count, count
    count, open_chunks, chunks = documents.forgive(tx, job_seq, phase, phase.position)
    return count, {JobPhase.CHUNKING: count, JobPhase.EMBEDDING: open_chunks}.get(phase, chunks)


def discard_leftovers(tx: Transaction, plan: Plan) -> int:
    """Remove some of what cancelled or failed jobs before this one left on its way; how many documents."""
    return documents.discard_staged(tx, plan.run.kb_id, plan.run.job_seq, DISCARD)
