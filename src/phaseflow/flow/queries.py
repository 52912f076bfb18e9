"""What can be asked: the same answers from a running engine and from a reader beside it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from phaseflow.domain.errors import JobNotFound
from phaseflow.domain.status import JobStatusResponse, KnowledgeBase, Page
from phaseflow.domain.vocabulary import DocumentStatus, SearchMode
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.inputs import MOST_ITEMS, as_count, as_cursor_name, as_cursor_number, as_text, cursor_after
from phaseflow.flow.kb_view import KbView
from phaseflow.flow.readings import Readings
from phaseflow.store.jobs import JobRecord, Jobs
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.progress import Total
from phaseflow.store.transaction import Transaction
from phaseflow.store.transitions import TransitionLog

if TYPE_CHECKING:
    from phaseflow.domain.documents import DocumentChunk, DocumentInfo, PushedDocument
    from phaseflow.domain.status import Failure, SearchHits, Transition
    from phaseflow.flow.document_queries import DocumentQueries
    from phaseflow.flow.searching import Searching


class Queries:
    """Reading methods. All raise KnowledgeBaseNotFound for an unknown knowledge base and InvalidRequest for a value
    that they cannot use; cancelling them does nothing. A document is named by its id or its uri; the methods about one
    raise DocumentNotFound."""

    def __init__(
        self,
        readings: Readings,
        components: ComponentFactory,
        searching: "Callable[[], Searching]",
        *,
        sees_components: bool = True,
    ) -> None:
        self._readings = readings
        self._make_searching = searching
        self._kbs = KbView(readings, components, sees_components=sees_components)

    @cached_property
    def _documents(self) -> "DocumentQueries":
        """Made by the first question about documents, for the same reason as ``_searching``."""
        from phaseflow.flow.document_queries import DocumentQueries

        return DocumentQueries(self._readings)

    @cached_property
    def _searching(self) -> "Searching":
        """Made by the first question that needs it: a status is answered in the time that its modules take."""
        return self._make_searching()

    async def kbs(self, limit: int = 100, cursor: str | None = None) -> "Page[KnowledgeBase]":
        """Knowledge bases by name, each with the status of its newest job."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after, composed = as_cursor_name(cursor), await self._readings.composer()

        def read(tx: Transaction) -> "Page[KnowledgeBase]":
            records = KnowledgeBases(tx).page(limit + 1, after)
            items = [self._kbs.compose(tx, record, composed) for record in records[:limit]]
            return Page(items=items, next_cursor=cursor_after(items[-1].kb_id) if len(records) > limit else None)

        return await self._readings.read(read)

    async def kb(self, kb_id: str) -> KnowledgeBase:
        """One knowledge base with the status of its newest job."""
        composed = await self._readings.composer()
        return await self._readings.read(lambda tx: self._kbs.compose(tx, _known_kb(tx, kb_id), composed))

    async def status(self, kb_id: str) -> JobStatusResponse:
        """The status of the newest job. Raises JobNotFound when the knowledge base has never run."""
        composed = await self._readings.composer()
        return await self._readings.read(lambda tx: composed(latest_job(tx, kb_id)), one_statement=True)

    async def newest_status(self, kb_id: str) -> JobStatusResponse | None:
        """The same, but None when it has never run; without the counts of all its documents that ``kb`` makes."""
        with suppress(JobNotFound):
            return await self.status(kb_id)
        return None

    async def latest(self) -> list[JobStatusResponse]:
        """The status of the newest job of each knowledge base that has one."""
        composed = await self._readings.composer()
        return await self._readings.read(lambda tx: [composed(record) for record in Jobs(tx).newest()])

    async def totals(self) -> list[Total]:
        """The counts of each phase, over all jobs."""
        return await self._readings.read(Total.of_all)

    async def load(self) -> tuple[int, int]:
        """(knowledge bases, jobs that are not over)."""
        return await self._readings.read(lambda tx: (KnowledgeBases(tx).count(), Jobs(tx).count_unfinished()))

    async def job_status(self, job_id: str) -> JobStatusResponse:
        """The status of any job, with its full view of the phases. Raises JobNotFound."""
        composed = await self._readings.composer()
        name = as_text("job_id", job_id)
        return await self._readings.read(lambda tx: composed(Jobs(tx).record(name)), one_statement=True)

    async def reads_sources(self, job_id: str) -> bool:
        """Whether a job reads the sources: one that was made for what waits in the inbox takes that alone."""
        return await self._readings.read(lambda tx: Jobs(tx).record(as_text("job_id", job_id)).lists)

    async def jobs(self, kb_id: str, limit: int = 100, cursor: str | None = None) -> "Page[JobStatusResponse]":
        """The jobs of a knowledge base, newest first."""
        as_count("limit", limit, 1, MOST_ITEMS)
        before, composed = as_cursor_number(cursor), await self._readings.composer()

        def read(tx: Transaction) -> "Page[JobStatusResponse]":
            _known_kb(tx, kb_id)
            records = Jobs(tx).history(kb_id, limit + 1, before)
            items = [composed(record) for record in records[:limit]]
            return Page(items=items, next_cursor=str(records[limit - 1].seq) if len(records) > limit else None)

        return await self._readings.read(read)

    async def transitions_of(self, job_id: str, limit: int = 100, cursor: str | None = None) -> "Page[Transition]":
        """The log of a job, in order. Raises JobNotFound."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after = as_cursor_number(cursor) or 0

        def read(tx: Transaction) -> "list[Transition]":
            Jobs(tx).record(as_text("job_id", job_id))
            return TransitionLog(tx).of_job(job_id, after, limit + 1)

        found = await self._readings.read(read)
        return Page(items=found[:limit], next_cursor=str(found[limit - 1].seq) if len(found) > limit else None)

    async def failures(self, kb_id: str, limit: int = 100, cursor: str | None = None) -> "Page[Failure]":
        """The documents that failed, by uri."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after = as_cursor_name(cursor)

        from phaseflow.store.failures import Failures

        def read(tx: Transaction) -> "list[Failure]":
            return Failures(tx, _known_kb(tx, kb_id).key).page(limit + 1, after)

        found = await self._readings.read(read)
        return Page(items=found[:limit], next_cursor=cursor_after(found[limit - 1].uri) if len(found) > limit else None)

    async def count_failures(self, kb_id: str) -> int:
        """How many documents failed."""
        from phaseflow.store.failures import Failures

        return await self._readings.read(lambda tx: Failures(tx, _known_kb(tx, kb_id).key).count())

    async def documents(
        self,
        kb_id: str,
        limit: int = 100,
        cursor: str | None = None,
        q: str = "",
        *,
        status: DocumentStatus | str | None = None,
        source: str | None = None,
    ) -> "Page[DocumentInfo]":
        """The documents by uri: all, or those with ``status``, of ``source``, or with ``q`` in their uri
        (case-insensitive).

        A page of a filtered list may hold fewer than ``limit`` while ``next_cursor`` says that there are more.
        """
        return await self._documents.page(kb_id, limit, cursor, q, status=status, source=source)

    async def pushed_documents(
        self, kb_id: str, limit: int = 100, cursor: str | None = None, *, origin: str | None = None
    ) -> "Page[PushedDocument]":
        """What is kept of the documents that were pushed, by uri: of all, or of those of one ``origin``."""
        return await self._documents.pushed(kb_id, limit, cursor, origin=origin)

    async def documents_changed_after(
        self, kb_id: str, seq: int, limit: int = 100, *, overlap_s: float = 0.0
    ) -> list[str]:
        """The first documents by uri that have changed since transition number ``seq`` was made, or within
        ``overlap_s`` seconds before it, as far as they are still known; some that changed just before."""
        as_count("seq", seq, 0)
        as_count("limit", limit, 1)
        return await self._documents.changed_after(kb_id, seq, limit, overlap_s)

    async def documents_named(self, kb_id: str, uris: Sequence[str]) -> "list[DocumentInfo]":
        """Those of these documents that are known, in the order given."""
        return await self._documents.named(kb_id, uris)

    async def document(self, kb_id: str, name: str) -> "DocumentInfo":
        """One document."""
        return await self._documents.one(kb_id, name)

    async def document_text(self, kb_id: str, name: str) -> str:
        """The text that was extracted from a document: of the version that search sees, else of the newest one.

        Raises NoText when nothing was extracted from it yet.
        """
        return "".join([piece async for piece in self._documents.text(kb_id, name)])

    def text_pieces(self, kb_id: str, name: str) -> AsyncIterator[str]:
        """The same in pieces of up to a million characters. Raises as it does, also when it goes meanwhile."""
        return self._documents.text(kb_id, name)

    async def document_chunks(
        self, kb_id: str, name: str, limit: int = 100, cursor: str | None = None
    ) -> "Page[DocumentChunk]":
        """The passages that a document was cut into, by position; none before it has been cut."""
        return await self._documents.chunks(kb_id, name, limit, cursor)

    async def search(
        self,
        kb_id: str,
        query: str,
        limit: int = 10,
        *,
        filter: Mapping[str, Any] | str | None = None,  # the name in JSON
        mode: SearchMode | str = "hybrid",
        min_score: float = 0.0,
    ) -> "SearchHits":
        """The passages that answer best, best first, from whole documents only: a list.

        ``filter`` (OpenAI's form, as a mapping or JSON) says which documents count; it is applied before the ranking.
        ``min_score`` (0 to 1) leaves out what is below. When the query cannot be embedded within 3 s, the words alone
        decide; ``degraded`` of the list says why. Raises Busy when it is not answered within 5 s. Cancelling stops it.
        """
        return await self._searching.search(kb_id, query, limit, filter=filter, mode=mode, min_score=min_score)

    async def why_index_down(self) -> str | None:
        """Why indexes outside the database that searches or open jobs need cannot be used now, by name; else None."""
        return await self._searching.why_down()


def _known_kb(tx: Transaction, kb_id: str) -> KnowledgeBaseRecord:
    """One knowledge base. Raises KnowledgeBaseNotFound."""
    return KnowledgeBases(tx).get(as_text("kb_id", kb_id))


def latest_job(tx: Transaction, kb_id: str) -> JobRecord:
    """The newest job of a knowledge base. Raises KnowledgeBaseNotFound, or JobNotFound when it has never run."""
    record = Jobs(tx).latest(as_text("kb_id", kb_id))
    if record is None:
        _known_kb(tx, kb_id)
        raise JobNotFound(kb_id, is_kb=True)
    return record
