"""What a job would make again of an index that was made in another way: known before anything is spent on it."""

from phaseflow.domain.indexed_with import IndexedWith, StaleSetting, why_made_again
from phaseflow.domain.settings import Settings
from phaseflow.flow.components import ComponentFactory
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.transaction import Transaction


def older_settings(components: ComponentFactory, kb: KnowledgeBaseRecord) -> list[StaleSetting]:
    """Which settings of the index are not those of the next job."""
    if kb.live_settings is None:
        return []
    following = components.next_with(Settings.model_validate_json(kb.settings), kb.model)
    return IndexedWith.model_validate_json(kb.live_settings).stale(following)


def makes_again(components: ComponentFactory, tx: Transaction, kb: KnowledgeBaseRecord) -> str | None:
    """What a job that is made now is about to make again, in words, as ``made_again`` says it once the job runs.

    Without the size, which would have to be counted: for the transaction that makes the job.
    """
    found = older_settings(components, kb)
    holds_any = bool(found) and SearchablePassages(tx, Scope(kb.key, kb.index_version)).has_documents()
    return why_made_again(found) if holds_any else None
