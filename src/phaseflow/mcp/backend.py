"""What the tools work on: an engine in this process, or a service elsewhere. Both are asked the same."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.new_document import NewDocument
from phaseflow.domain.status import JobStatusResponse, KnowledgeBase, Page, SearchResults
from phaseflow.domain.vocabulary import Action, JobPhase, SearchMode
from phaseflow.flow import PhaseFlow


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for, with the names of the JSON API."""

    q: str
    limit: int
    filter: dict[str, Any] | None
    mode: SearchMode
    min_score: float


class Backend(Protocol):
    """All methods raise PhaseflowError where they cannot do what they are asked."""

    async def search(self, kb_id: str, asked: Question) -> SearchResults: ...
    async def kbs(self, limit: int, cursor: str | None) -> Page[KnowledgeBase]: ...
    async def documents(self, kb_id: str, limit: int, cursor: str | None) -> Page[DocumentInfo]: ...
    async def document(self, kb_id: str, name: str) -> DocumentInfo: ...
    async def document_text(self, kb_id: str, name: str) -> str: ...
    async def add(self, kb_id: str, documents: Sequence[NewDocument]) -> JobStatusResponse: ...
    async def status(self, kb_id: str) -> JobStatusResponse: ...
    def watch(self, kb_id: str) -> AsyncGenerator[JobStatusResponse, None]:
        """The status of the newest job now and after each change, until it is over."""
        ...

    async def start(
        self, kb_id: str, source: dict[str, Any] | None, full: bool, hold: Sequence[JobPhase]
    ) -> JobStatusResponse: ...
    async def act(self, action: Action, kb_id: str, phase: JobPhase | None) -> JobStatusResponse: ...


class FlowBackend:
    """An engine in this process. ``check_room`` may refuse a job in a knowledge base."""

    def __init__(self, flow: PhaseFlow, check_room: Callable[[str], Awaitable[None]] | None = None) -> None:
        self._flow = flow
        self._check_room = check_room
        self.kbs = flow.kbs
        self.documents = flow.documents
        self.document = flow.document
        self.document_text = flow.document_text
        self.status = flow.status

    async def search(self, kb_id: str, asked: Question) -> SearchResults:
        """The passages that answer best."""
        return SearchResults.of(await self._flow.search(kb_id, **options_of(asked)))

    async def add(self, kb_id: str, documents: Sequence[NewDocument]) -> JobStatusResponse:
        """Push texts: the newest job."""
        await self._room(kb_id)
        return await self._flow.job_status((await self._flow.add(kb_id, documents)).job_id)

    async def start(
        self, kb_id: str, source: dict[str, Any] | None, full: bool, hold: Sequence[JobPhase]
    ) -> JobStatusResponse:
        """Start a job."""
        await self._room(kb_id)
        return await (await self._flow.start(kb_id, source, full=full, hold=hold)).status()

    async def act(self, action: Action, kb_id: str, phase: JobPhase | None) -> JobStatusResponse:
        """Carry out a verb."""
        return (await self._flow.act(action, kb_id, phase))[0]

    async def watch(self, kb_id: str) -> AsyncGenerator[JobStatusResponse, None]:
        """From the feed."""
        async for status in (await self._flow.job(kb_id)).watch():
            yield status

    async def _room(self, kb_id: str) -> None:
        if self._check_room is not None:
            await self._check_room(kb_id)


def options_of(asked: Question) -> dict[str, Any]:
    """As the arguments of ``search``."""
    return {
        "query": asked.q, "limit": asked.limit, "filter": asked.filter, "mode": asked.mode,
        "min_score": asked.min_score,
    }  # fmt: skip
