"""A knowledge base as it is shown: its definition, what it holds, and the status of its newest job."""

from dataclasses import replace

from phaseflow.domain.indexed_with import CustomComponent, LiveIndex, StaleSetting
from phaseflow.domain.settings import DEFAULT_SOURCE, SOURCES, FolderSource, Settings, as_given
from phaseflow.domain.status import KnowledgeBase, definition_etag
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.inputs import Source
from phaseflow.flow.readings import Composed, Readings
from phaseflow.store import document_counts
from phaseflow.store.document_status import View
from phaseflow.store.jobs import Jobs
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord
from phaseflow.store.transaction import Transaction


class KbView:
    """Composes knowledge bases, each in the transaction that has read it.

    ``sees_components``: ``components`` are those of the process that runs the jobs. A reader does not know the
    components that the engine's program may have given, nor its version: what they may replace is not judged.
    """

    def __init__(self, readings: Readings, components: ComponentFactory, *, sees_components: bool) -> None:
        self._readings = readings
        self._components = components
        self._sees_components = sees_components

    def compose(self, tx: Transaction, record: KnowledgeBaseRecord, composed: Composed) -> KnowledgeBase:
        """One knowledge base; ``composed`` makes the status of its newest job."""
        latest = Jobs(tx).latest(record.id)
        sources, settings = _sources(record), Settings.model_validate_json(record.settings)
        documents, chunks = document_counts.searchable(tx, record.key, record.index_version)
        live = None
        if documents and record.live_settings is not None:
            live = LiveIndex.model_validate_json(record.live_settings)
        return KnowledgeBase(
            kb_id=record.id,
            source=sources.get(DEFAULT_SOURCE),
            sources=sources,
            settings=settings.marked(chosen_by_client=False),
            indexed_with=None if live is None else live.shown,
            stale=[] if live is None else self._stale(live, settings, record),
            documents=documents,
            chunks=chunks,
            counts=document_counts.counts(tx, View.now(tx, record.key, record.index_version)),
            created_at=record.created_at,
            updated_at=record.updated_at,
            job=None if latest is None else composed(latest),
            sync=None if settings.sync is None else self._readings.sync_state(tx, record.key, settings.sync),
        )

    def _stale(self, live: LiveIndex, settings: Settings, record: KnowledgeBaseRecord) -> list[StaleSetting]:
        found = live.all_stale(self._components.next_with(settings, record.model, by_rules=self._sees_components))
        if self._sees_components:
            return found
        own = {"chunker", "chunk_size", "chunk_overlap"} if live.chunker is not None else set()
        own |= {"embedder"} if isinstance(live.embedder, CustomComponent) else set()
        return [each for each in found if each.setting not in own]


def etag_of_kb(record: KnowledgeBaseRecord | None) -> str | None:
    """The ``etag`` of a knowledge base as it is shown; None where there is none."""
    if record is None:
        return None
    settings = Settings.model_validate_json(record.settings).marked(chosen_by_client=False)
    return definition_etag(record.id, record.created_at, _sources(record), settings)


def _sources(record: KnowledgeBaseRecord) -> dict[str, Source]:
    stored = {} if record.sources is None else SOURCES.validate_json(record.sources)
    return {name: _as_given(source) for name, source in stored.items()}


def _as_given(source: Source) -> Source:
    return replace(source, path=as_given(source.path)) if isinstance(source, FolderSource) else source
