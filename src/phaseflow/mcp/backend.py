"""What the tools work on: an engine in this process, or a service elsewhere. Both are asked the same."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.status import JobStatusResponse, KnowledgeBase, Page, SearchResults
from phaseflow.domain.vocabulary import Action, JobPhase
from phaseflow.flow import PhaseFlow

LONGEST_TEXT = 1_000_000
"""Characters of one document that an agent writes."""


class TextDocument(BaseModel):
    """A document as an agent writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    uri: Annotated[str, Field(min_length=1, max_length=255, description="A file name, such as notes.md.")]
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class Backend(Protocol):
    """All methods raise PhaseflowError where they cannot do what they are asked."""

    async def search(self, kb_id: str, q: str, limit: int) -> SearchResults: ...
    async def kbs(self, limit: int, cursor: str | None) -> Page[KnowledgeBase]: ...
    async def document(self, kb_id: str, name: str) -> DocumentInfo: ...
    async def document_text(self, kb_id: str, name: str) -> str: ...
    async def add(self, kb_id: str, documents: Sequence[TextDocument]) -> JobStatusResponse: ...
    async def status(self, kb_id: str) -> JobStatusResponse: ...
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
        self.document = flow.document
        self.document_text = flow.document_text
        self.status = flow.status

    async def search(self, kb_id: str, q: str, limit: int) -> SearchResults:
        """The passages that answer best."""
        return SearchResults.of(await self._flow.search(kb_id, q, limit))

    async def add(self, kb_id: str, documents: Sequence[TextDocument]) -> JobStatusResponse:
        """Take documents in and start a job."""
        await self._room(kb_id)
        job = await self._flow.add_documents(kb_id, [(one.uri, one.text.encode()) for one in documents])
        return await job.status()

    async def start(
        self, kb_id: str, source: dict[str, Any] | None, full: bool, hold: Sequence[JobPhase]
    ) -> JobStatusResponse:
        """Start a job."""
        await self._room(kb_id)
        return await (await self._flow.start(kb_id, source, full=full, hold=hold)).status()

    async def act(self, action: Action, kb_id: str, phase: JobPhase | None) -> JobStatusResponse:
        """Carry out a verb."""
        return (await self._flow.act(action, kb_id, phase))[0]

    async def _room(self, kb_id: str) -> None:
        if self._check_room is not None:
            await self._check_room(kb_id)
