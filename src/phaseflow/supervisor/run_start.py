"""The beginning of a run: a queued job takes its turn, and what it will write is settled, in one transaction."""

from typing import Literal

from phaseflow.actors.context import Components, Plan, Policies
from phaseflow.components.embedders import EmbedderAdapter
from phaseflow.components.recipe import recipe, rules
from phaseflow.domain import verbs
from phaseflow.domain.errors import ComponentUnavailable, DimensionMismatch
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.indexed_with import OWN_INDEX, IndexedWith, LiveIndex, StaleSetting, made_again
from phaseflow.domain.log import get_logger
from phaseflow.domain.ocr import mark
from phaseflow.domain.settings import Settings
from phaseflow.domain.vocabulary import Intent, JobPhase, PhaseStatus
from phaseflow.store import (
    failpoints,
    index_spaces,
    job_settings,
    jobs,
    vectors,
)
from phaseflow.store.clock import Clock
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.database import Database
from phaseflow.store.document_counts import searchable
from phaseflow.store.documents import StagedDocuments, Target
from phaseflow.store.failures import Failures
from phaseflow.store.inbox import Inboxes
from phaseflow.store.index_spaces import Spaces
from phaseflow.store.job_settings import reads_otherwise
from phaseflow.store.job_sources import JobSources
from phaseflow.store.jobs import JobRecord, Jobs
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.passages import Scope
from phaseflow.store.progress import Attempt, JobCounts
from phaseflow.store.transaction import Transaction
from phaseflow.store.turns import Turns
from phaseflow.store.vectors import Model
from phaseflow.tracker import Changed

DISCARD = 500
"""Documents of older jobs given to the janitor in one transaction, and documents given back on a retry."""


def start_run(
    tx: Transaction, job_id: str, components: Components, policies: Policies, clock: Clock, again: str | None = None
) -> tuple[Plan, Changed] | None:
    """Take the turn of a queued job: a new attempt, its target, its phases. ``prepare_run`` comes first.

    ``again``: what that has said. None, and nothing changed, when a verb has taken the job out of the
    queue since it was given its slot.
    """
    record = Jobs(tx).record(job_id)
    before = record.state
    if before.intent is None:
        return None
    kb = KnowledgeBases(tx).get(before.kb_id)
    made_by = _model_of(tx, components.embedder)
    made_with = _made_with(record, components, made_by)
    index_version, model = _target(tx, kb, record, made_by, made_with, components.index_server)
    moves = _moves(tx, kb, model, components.index_server)
    Model(tx, model).forget_dimension(kb.key)
    space = Spaces(tx).ensure(kb.key, index_version, components.index_server, moves=moves)
    lists = record.lists or index_version != kb.index_version or _makes_all_again(tx, kb, record, made_with)
    if lists and not record.lists:
        Jobs(tx).let_list(job_id)  # other settings than those that made the index hold for all its documents
    if before.intent is Intent.RETRY and before[JobPhase.LOADING].status is PhaseStatus.FAILED:
        JobSources(tx, record.seq).forget_failures()
    attempt = Jobs(tx).begin_attempt(job_id, again if lists else None)
    StagedDocuments(tx).give_up_unfinished(record.seq)
    failpoints.hit(f"run_start.{before.intent}")
    made = _along_with_earlier(tx, record, made_with)
    at, settings = clock.now(), Settings.model_validate_json(record.settings)
    after = verbs.take_turn(before, at).measured(before, clock.end_of_stretches(tx))
    logged = Jobs(tx).save(before, after, reason=_REASONS.get(before.intent), at=at)
    plan = Plan(
        attempt=Attempt(job_id, record.seq, before.kb_id, attempt),
        target=Target(record.seq, kb.key, index_version, recipe(components.chunker, model), mark(settings.ocr)),
        components=components,
        policies=policies,
        full=record.full,
        lists=lists,
        listed=record.listed,
        loaded=after[JobPhase.LOADING].status is PhaseStatus.COMPLETED,
        model=model,
        model_id=Model(tx, model).number(),
        max_deleted_share=settings.max_deleted_share,
        live_settings=_live(made, kb, reads_all=lists and record.sources == kb.sources).model_dump_json(),
        space=space,
        moves=moves,
        has_leftovers=StagedDocuments(tx).are_left_by_older(kb.key, record.seq),
        characters_sent=0 if jobs.is_released(before, after) else record.characters_sent,
    )
    return plan, Changed(before, after, tuple(logged))


_REASONS: dict[Intent | None, str] = {Intent.RESUME: "resumed", Intent.RETRY: "retry"}


async def prepare_run(database: Database, job_id: str, components: Components) -> str | None:
    """Give back what a run does again, some at a time; what the job is about to make again, in words, since that costs
    as much as it did the first time. Before ``start_run``: both take a time that grows with the job or the index.

    Mostly there is nothing of it, and a resume waits for this: then it is one short transaction.
    """
    while isinstance(found := await database.write(lambda tx: _prepare_some(tx, job_id, components)), str):
        failpoints.hit(f"run_start.{found}")
    scope, settings = found
    if not settings:
        return None
    made = await database.read_long(lambda tx: searchable(tx, scope.kb_key, scope.index_version))
    return made_again(settings, *made)


def _prepare_some(
    tx: Transaction, job_id: str, components: Components
) -> Literal["requeued", "in_order", "given_back"] | tuple[Scope, list[StaleSetting]]:
    """What was given back, of which there may be more; at last what search sees, and what made it otherwise."""
    if _requeue_failed(tx, job_id):
        return "requeued"
    if _put_in_order(tx, job_id):
        return "in_order"
    if _give_back_requests(tx, job_id):
        return "given_back"
    record = Jobs(tx).record(job_id)
    kb = KnowledgeBases(tx).get(record.state.kb_id)
    scope = Scope(kb.key, kb.index_version)
    if kb.live_settings is None:
        return scope, []
    made_with = _made_with(record, components, _model_of(tx, components.embedder))
    return scope, LiveIndex.model_validate_json(kb.live_settings).stale(made_with)


def _made_with(record: JobRecord, components: Components, made_by: str) -> IndexedWith:
    return IndexedWith.of(
        Settings.model_validate_json(record.settings),
        chunker=components.chunker.fingerprint if components.has_own_chunker else None,
        embedder=made_by if components.has_own_embedder else None,
        index=OWN_INDEX if components.index_server == index_spaces.OWN else None,
        rules=rules(own_chunker=components.has_own_chunker),
    )


def _along_with_earlier(tx: Transaction, record: JobRecord, made_with: IndexedWith) -> IndexedWith:
    """What the documents of a job are made with, those of its earlier runs included: it may be gone on with by another
    version of phaseflow, and what is loaded is not read again in this job."""
    earlier, loading = job_settings.made_with(tx, record.state.job_id), record.state[JobPhase.LOADING]
    if earlier is not None and loading.items_processed > loading.items_reused:
        made_with = made_with.along_with(IndexedWith.model_validate_json(earlier))
    job_settings.note_made_with(tx, record.state.job_id, made_with.model_dump_json())
    return made_with


def _live(made_with: IndexedWith, kb: KnowledgeBaseRecord, *, reads_all: bool) -> IndexedWith:
    """What the index is made with when the job is over: what it has not read is as phaseflow made it before."""
    if reads_all or kb.live_settings is None:
        return made_with
    return made_with.model_copy(update={"rules": LiveIndex.model_validate_json(kb.live_settings).rules})


def _makes_all_again(tx: Transaction, kb: KnowledgeBaseRecord, record: JobRecord, made_with: IndexedWith) -> bool:
    """Whether a job that begins cuts or reads all documents in another way than those that search sees."""
    if record.index_version is not None or kb.model is None or kb.live_settings is None:
        return False  # it has begun before, or there is nothing to make again
    if LiveIndex.model_validate_json(kb.live_settings).cuts_otherwise(made_with):
        return True
    return reads_otherwise(tx, kb.key, record.settings, before=record.seq)


def _model_of(tx: Transaction, embedder: EmbedderAdapter) -> str:
    """What the vectors of a job are kept under. Raises ComponentUnavailable when those stored have another length."""
    identity = embedder.identity
    is_known = identity.former is not None and Model(tx, identity.former).last_dimension() == identity.dimension
    model = identity.former if is_known and identity.former is not None else identity.value
    stored = Model(tx, model).dimension()
    if embedder.dimension is not None and stored is not None:
        try:
            vectors.check_length(stored, embedder.dimension)
        except DimensionMismatch as error:  # which the embedder says itself: no answer will be another one
            raise ComponentUnavailable(text_of(error)) from error
    return model


def _target(
    tx: Transaction,
    kb: KnowledgeBaseRecord,
    record: JobRecord,
    model: str,
    made_with: IndexedWith,
    server: str | None,
) -> tuple[int, str]:
    if record.index_version is not None and record.model is not None:
        if record.model != model:
            raise ComponentUnavailable(
                f"the embedder is now {model}, but this job began with {record.model}; start a new one"
            )
        return record.index_version, model
    if kb.model == model and kb.live_settings is not None:  # its passages are still those that older settings have cut
        before: IndexedWith = LiveIndex.model_validate_json(kb.live_settings)
        live = before.model_copy(update={"embedder": made_with.embedder})
    else:
        live = made_with
    index_version = KnowledgeBases(tx).target(kb, model, live.model_dump_json(), server)
    if index_version != kb.index_version and kb.model != model:
        get_logger().warning(
            "every passage is embedded again: the embedder has changed", kb=kb.id, before=kb.model, after=model
        )
    Jobs(tx).set_target(record.state.job_id, index_version, model)
    return index_version, model


def _moves(tx: Transaction, kb: KnowledgeBaseRecord, model: str, server: str | None) -> bool:
    """Whether the vectors that a knowledge base has are to be searched somewhere else: they are copied, and the rest
    stays as it is."""
    return kb.model == model and Spaces(tx).server_of(kb.key, kb.index_version) != server


def _give_back_requests(tx: Transaction, job_id: str) -> int:
    """Before a run: let some of what older jobs have taken from the inbox, and left, wait again; how many.

    None once a verb has taken the job out of the queue: it may be paused by now.
    """
    if Jobs(tx).record(job_id).state.intent is None:
        return 0
    return Inboxes(tx).give_back(job_id, DISCARD)


def _requeue_failed(tx: Transaction, job_id: str) -> int:
    """Before a retry: let some of the failed documents of the phases that are not completed be done again; how many.

    Rows and counts change together, so that a crash in between leaves a retry that has less to give back.
    """
    record = Jobs(tx).record(job_id)
    if record.state.intent is not Intent.RETRY:
        return 0
    for phase in record.state.phases:
        if phase.status is PhaseStatus.COMPLETED:
            continue
        count, items = _give_back(tx, record, phase.name)
        if items or count:
            JobCounts(tx, record.seq).take_back(phase.name, count, items)
            return max(count, items)
    return 0


def _put_in_order(tx: Transaction, job_id: str) -> int:
    """Before any run, for a crash may have come between what was given back and this; how many got a later turn."""
    record = Jobs(tx).record(job_id)
    return 0 if record.state.intent is None else Turns(tx, record.seq).put_in_order(DISCARD)


def _give_back(tx: Transaction, record: JobRecord, phase: JobPhase) -> tuple[int, int]:
    """(documents that count as failed, items) that a phase has failed before and will do again."""
    job_seq, failures = record.seq, Failures(tx, KnowledgeBases(tx).get(record.state.kb_id).key)
    if phase is JobPhase.LOADING:
        uris = Frontier(tx, job_seq).requeue_failed(DISCARD)
        return failures.give_back(job_seq, uris), len(uris)  # one that was skipped since has no failure
    uris, open_chunks, chunks = Turns(tx, job_seq).requeue_failed(phase, DISCARD)
    items = {JobPhase.CHUNKING: len(uris), JobPhase.EMBEDDING: open_chunks}.get(phase, chunks)
    return failures.give_back(job_seq, uris), items
