"""What can be asked: the same answers from a running engine and from a reader beside it."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from phaseflow.domain.errors import InvalidRequest, JobNotFound
from phaseflow.domain.indexed_with import IndexedWith, StaleSetting, stale
from phaseflow.domain.settings import DEFAULT_SOURCE, SOURCES, FolderSource, Settings, as_given
from phaseflow.domain.status import (
    Failure,
    JobStatusResponse,
    KnowledgeBase,
    Page,
    SyncState,
    Transition,
)
from phaseflow.domain.sync import SyncSettings, due_at
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.document_queries import MOST_ITEMS, DocumentQueries
from phaseflow.flow.inputs import Source, as_count, as_text
from phaseflow.flow.searching import Searching
from phaseflow.snapshot import compose
from phaseflow.store import document_status, failures, jobs, knowledge_bases, passages, progress, transitions
from phaseflow.store.jobs import JobRecord
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord
from phaseflow.store.passages import Scope
from phaseflow.store.progress import Total
from phaseflow.store.synced import last_listing
from phaseflow.store.transaction import Transaction

T = TypeVar("T")


class Queries(DocumentQueries, Searching):
    """Reading methods. All raise KnowledgeBaseNotFound for an unknown knowledge base and InvalidRequest for a value
    that they cannot use; cancelling them does nothing."""

    _components: ComponentFactory

    @abstractmethod
    def _now(self) -> datetime: ...

    async def _composer(self) -> Callable[[JobRecord], JobStatusResponse]:
        """What makes a status of a record, inside the reading of it, which begins after this was called."""
        return lambda record: compose(record, self._now())

    async def kbs(self, limit: int = 100, cursor: str | None = None) -> Page[KnowledgeBase]:
        """Knowledge bases by name, each with the status of its newest job."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after, composed = _text(cursor), await self._composer()

        def read(tx: Transaction) -> Page[KnowledgeBase]:
            records = knowledge_bases.page(tx, limit + 1, after)
            items = [self._kb(tx, record, composed) for record in records[:limit]]
            return Page(items=items, next_cursor=items[-1].kb_id if len(records) > limit else None)

        return await self._read(read)

    async def kb(self, kb_id: str) -> KnowledgeBase:
        """One knowledge base with the status of its newest job."""
        composed = await self._composer()
        return await self._read(lambda tx: self._kb(tx, known_kb(tx, kb_id), composed))

    async def status(self, kb_id: str) -> JobStatusResponse:
        """The status of the newest job. Raises JobNotFound when the knowledge base has never run."""
        composed = await self._composer()
        return await self._read(lambda tx: composed(latest_job(tx, kb_id)))

    async def latest(self) -> list[JobStatusResponse]:
        """The status of the newest job of each knowledge base that has one."""
        composed = await self._composer()
        return await self._read(lambda tx: [composed(record) for record in jobs.newest(tx)])

    async def totals(self) -> list[Total]:
        """The counts of each phase, over all jobs."""
        return await self._read(progress.totals)

    async def load(self) -> tuple[int, int]:
        """(knowledge bases, jobs that are not over)."""
        return await self._read(lambda tx: (knowledge_bases.count(tx), jobs.count_unfinished(tx)))

    async def job_status(self, job_id: str) -> JobStatusResponse:
        """The status of any job, with its full view of the phases. Raises JobNotFound."""
        composed = await self._composer()
        return await self._read(lambda tx: composed(jobs.record(tx, as_text("job_id", job_id))))

    async def reads_sources(self, job_id: str) -> bool:
        """Whether a job reads the sources: one that was made for what waits in the inbox takes that alone."""
        return await self._read(lambda tx: jobs.record(tx, as_text("job_id", job_id)).lists)

    async def jobs(self, kb_id: str, limit: int = 100, cursor: str | None = None) -> Page[JobStatusResponse]:
        """The jobs of a knowledge base, newest first."""
        as_count("limit", limit, 1, MOST_ITEMS)
        before, composed = _number(cursor), await self._composer()

        def read(tx: Transaction) -> Page[JobStatusResponse]:
            known_kb(tx, kb_id)
            records = jobs.history(tx, kb_id, limit + 1, before)
            items = [composed(record) for record in records[:limit]]
            return Page(items=items, next_cursor=str(records[limit - 1].seq) if len(records) > limit else None)

        return await self._read(read)

    async def transitions_of(self, job_id: str, limit: int = 100, cursor: str | None = None) -> Page[Transition]:
        """The log of a job, in order. Raises JobNotFound."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after = _number(cursor) or 0

        def read(tx: Transaction) -> list[Transition]:
            jobs.record(tx, as_text("job_id", job_id))
            return transitions.of_job(tx, job_id, after, limit + 1)

        found = await self._read(read)
        return Page(items=found[:limit], next_cursor=str(found[limit - 1].seq) if len(found) > limit else None)

    async def failures(self, kb_id: str, limit: int = 100, cursor: str | None = None) -> Page[Failure]:
        """The documents that failed, by uri."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after = _text(cursor)

        def read(tx: Transaction) -> list[Failure]:
            return failures.page(tx, known_kb(tx, kb_id).key, limit + 1, after)

        found = await self._read(read)
        return Page(items=found[:limit], next_cursor=found[limit - 1].uri if len(found) > limit else None)

    async def count_failures(self, kb_id: str) -> int:
        """How many documents failed."""
        return await self._read(lambda tx: failures.count(tx, known_kb(tx, kb_id).key))

    def _kb(
        self, tx: Transaction, record: KnowledgeBaseRecord, composed: Callable[[JobRecord], JobStatusResponse]
    ) -> KnowledgeBase:
        latest = jobs.latest(tx, record.id)
        stored = {} if record.sources is None else SOURCES.validate_json(record.sources)
        sources = {name: _as_given(source) for name, source in stored.items()}
        documents, chunks = passages.counts(tx, Scope(record.key, record.index_version))
        settings = Settings.model_validate_json(record.settings)
        live = None
        if documents and record.live_settings is not None:
            live = IndexedWith.model_validate_json(record.live_settings)
        return KnowledgeBase(
            kb_id=record.id,
            source=sources.get(DEFAULT_SOURCE),
            sources=sources,
            settings=settings.marked(chosen_by_client=False),
            indexed_with=None if live is None else live.shown,
            stale=[] if live is None else self._stale(live, settings, record),
            documents=documents,
            chunks=chunks,
            counts=document_status.counts(tx, document_status.view(tx, record.key, record.index_version)),
            created_at=record.created_at,
            updated_at=record.updated_at,
            job=None if latest is None else composed(latest),
            sync=None if settings.sync is None else self._sync_state(tx, record.key, settings.sync),
        )

    def _sync_state(self, tx: Transaction, key: str, sync: SyncSettings) -> SyncState:
        """How a knowledge base keeps in step, as far as the database says."""
        return SyncState(next_at=due_at(last_listing(tx, key), sync.interval(), self._now()))

    def _stale(self, live: IndexedWith, settings: Settings, record: KnowledgeBaseRecord) -> list[StaleSetting]:
        return stale(live, self._components.next_with(settings, record.model))


def _as_given(source: Source) -> Source:
    return replace(source, path=as_given(source.path)) if isinstance(source, FolderSource) else source


def known_kb(tx: Transaction, kb_id: str) -> KnowledgeBaseRecord:
    """One knowledge base. Raises KnowledgeBaseNotFound."""
    return knowledge_bases.get(tx, as_text("kb_id", kb_id))


def latest_job(tx: Transaction, kb_id: str) -> JobRecord:
    """The newest job of a knowledge base. Raises KnowledgeBaseNotFound, or JobNotFound when it has never run."""
    record = jobs.latest(tx, as_text("kb_id", kb_id))
    if record is None:
        known_kb(tx, kb_id)
        raise JobNotFound(kb_id)
    return record


def _text(cursor: str | None) -> str | None:
    return None if cursor is None else as_text("cursor", cursor)


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (as_text("cursor", cursor).isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise InvalidRequest("cursor", "is not one that this list has given; leave it out to begin at the start")
    return int(cursor)
