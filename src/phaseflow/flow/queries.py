"""What can be asked: the same answers from a running engine and from a reader beside it."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING

from phaseflow.components.embedders import EmbedderPort
from phaseflow.components.index import EmbeddedIndex
from phaseflow.domain.errors import ComponentError, InvalidRequest, JobNotFound
from phaseflow.domain.log import get_logger
from phaseflow.domain.settings import SOURCE, Settings
from phaseflow.domain.status import Failure, JobStatusResponse, KnowledgeBase, Page, SearchHit, Transition
from phaseflow.snapshot import compose
from phaseflow.store import failures, jobs, knowledge_bases, passages, progress, transitions
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord
from phaseflow.store.passages import Scope
from phaseflow.store.progress import Total
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_ITEMS = 1000
"""Items of a list in one answer."""
MOST_HITS = 100
LONGEST_QUERY = 2000
"""Characters."""


class Queries(ABC):
    """Reading methods. All raise KnowledgeBaseNotFound for an unknown knowledge base; cancelling them does nothing."""

    _index: EmbeddedIndex

    @abstractmethod
    def _read(self) -> AbstractAsyncContextManager[Transaction]: ...

    @abstractmethod
    def _now(self) -> datetime: ...

    @abstractmethod
    async def _query_embedder(self, kb: KnowledgeBaseRecord) -> EmbedderPort | None:
        """What embeds queries for the vectors that search uses; None when there are none."""

    async def kbs(self, limit: int = 100, cursor: str | None = None) -> Page[KnowledgeBase]:
        """Knowledge bases by name, each with the status of its newest job."""
        _check_limit(limit)
        async with self._read() as tx:
            records = await knowledge_bases.page(tx, limit + 1, cursor)
            items = [await self._kb(tx, record) for record in records[:limit]]
        return Page(items=items, next_cursor=items[-1].kb_id if len(records) > limit else None)

    async def kb(self, kb_id: str) -> KnowledgeBase:
        """One knowledge base with the status of its newest job."""
        async with self._read() as tx:
            return await self._kb(tx, await knowledge_bases.get(tx, kb_id))

    async def status(self, kb_id: str) -> JobStatusResponse:
        """The status of the newest job. Raises JobNotFound when the knowledge base has never run."""
        async with self._read() as tx:
            await knowledge_bases.get(tx, kb_id)
            record = await jobs.latest(tx, kb_id)
        if record is None:
            raise JobNotFound(kb_id)
        return compose(record, self._now())

    async def latest(self) -> list[JobStatusResponse]:
        """The status of the newest job of each knowledge base that has one."""
        async with self._read() as tx:
            return [compose(record, self._now()) for record in await jobs.newest(tx)]

    async def totals(self) -> list[Total]:
        """The counts of each phase, over all jobs."""
        async with self._read() as tx:
            return await progress.totals(tx)

    async def load(self) -> tuple[int, int]:
        """(knowledge bases, jobs that are not over)."""
        async with self._read() as tx:
            return await knowledge_bases.count(tx), await jobs.count_unfinished(tx)

    async def job_status(self, job_id: str) -> JobStatusResponse:
        """The status of any job, with its full view of the phases. Raises JobNotFound."""
        async with self._read() as tx:
            return compose(await jobs.record(tx, job_id), self._now())

    async def jobs(self, kb_id: str, limit: int = 100, cursor: str | None = None) -> Page[JobStatusResponse]:
        """The jobs of a knowledge base, newest first."""
        _check_limit(limit)
        async with self._read() as tx:
            await knowledge_bases.get(tx, kb_id)
            records = await jobs.history(tx, kb_id, limit + 1, _number(cursor))
        items = [compose(record, self._now()) for record in records[:limit]]
        return Page(items=items, next_cursor=str(records[limit - 1].seq) if len(records) > limit else None)

    async def transitions_of(self, job_id: str, limit: int = 100, cursor: str | None = None) -> Page[Transition]:
        """The log of a job, in order. Raises JobNotFound."""
        _check_limit(limit)
        async with self._read() as tx:
            await jobs.record(tx, job_id)
            found = await transitions.of_job(tx, job_id, _number(cursor) or 0, limit + 1)
        return Page(items=found[:limit], next_cursor=str(found[limit - 1].seq) if len(found) > limit else None)

    async def failures(self, kb_id: str, limit: int = 100, cursor: str | None = None) -> Page[Failure]:
        """The documents that failed, by uri."""
        _check_limit(limit)
        async with self._read() as tx:
            await knowledge_bases.get(tx, kb_id)
            found = await failures.page(tx, kb_id, limit + 1, cursor)
        return Page(items=found[:limit], next_cursor=found[limit - 1].uri if len(found) > limit else None)

    async def count_failures(self, kb_id: str) -> int:
        """How many documents failed."""
        async with self._read() as tx:
            return await failures.count(tx, kb_id)

    async def search(self, kb_id: str, query: str, limit: int = 10) -> list[SearchHit]:
        """The passages that answer best, best first, from whole documents only.

        When the embedder cannot be asked, the words alone decide, and a warning is logged.
        """
        _check_limit(limit, MOST_HITS)
        if not query.strip() or len(query) > LONGEST_QUERY:
            raise InvalidRequest("q", f"must have 1 to {LONGEST_QUERY} characters")
        async with self._read() as tx:
            kb = await knowledge_bases.get(tx, kb_id)
        vector = await self._query_vector(kb, query)
        async with self._read() as tx:
            now = await knowledge_bases.get(tx, kb_id)
            if now.model != kb.model:  # switched in between: the vector is of another kind
                return await self._index.search(tx, Scope(kb_id, now.epoch), now.generation, query, None, limit)
            return await self._index.search(tx, Scope(kb_id, kb.epoch), now.generation, query, vector, limit)

    async def _query_vector(self, kb: KnowledgeBaseRecord, query: str) -> "npt.NDArray[np.float32] | None":
        try:
            embedder = await self._query_embedder(kb)
            return None if embedder is None else await embedder.embed_query(query)
        except ComponentError as error:
            get_logger().warning("searching by words only", kb=kb.id, error=str(error))
            return None

    async def _kb(self, tx: Transaction, record: KnowledgeBaseRecord) -> KnowledgeBase:
        latest = await jobs.latest(tx, record.id)
        documents, chunks = await passages.counts(tx, Scope(record.id, record.epoch))
        return KnowledgeBase(
            kb_id=record.id,
            source=None if record.source is None else SOURCE.validate_json(record.source),
            settings=Settings.model_validate_json(record.settings),
            documents=documents,
            chunks=chunks,
            created_at=record.created_at,
            updated_at=record.updated_at,
            job=None if latest is None else compose(latest, self._now()),
        )


def _check_limit(limit: int, most: int = MOST_ITEMS) -> None:
    if not 1 <= limit <= most:
        raise InvalidRequest("limit", f"must be 1 to {most}")


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise InvalidRequest("cursor", "is not one that this list has given; leave it out to begin at the start")
    return int(cursor)
