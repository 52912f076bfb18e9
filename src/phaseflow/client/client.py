"""The calls of the clients: one method for each endpoint, answers as the library's own values."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel

from phaseflow.client.calls import ServiceCall, ServiceFeed
from phaseflow.client.conditions import conditions
from phaseflow.client.connection import Connection, job_path, part
from phaseflow.client.definitions import SettingsLike, SourceLike, definition
from phaseflow.client.document_calls import DocumentCalls, document_path, kb_path, naming, new_kb_path
from phaseflow.client.errors import ForeignAnswer, HistoryLost
from phaseflow.domain.choices import FolderListing
from phaseflow.domain.documents import DocumentChunk, DocumentInfo
from phaseflow.domain.etags import Etags
from phaseflow.domain.filters import read_filter
from phaseflow.domain.status import (
    Failure,
    JobStatusResponse,
    KnowledgeBase,
    Page,
    SearchHits,
    SearchResults,
    Transition,
    Vacuumed,
)
from phaseflow.domain.vocabulary import Action, DocumentStatus, JobPhase, SearchMode
from phaseflow.domain.webhooks import Webhook, WebhookEvent

_KB = "api/ingestion/kb"
_WEBHOOKS = "api/ingestion/webhooks"

ModelT = TypeVar("ModelT", bound=BaseModel)


class Calls(DocumentCalls):
    """The calls of both clients.

    They raise what those of ``PhaseFlow`` raise (JobConflict, KnowledgeBaseNotFound, …), ServiceError for refusals of
    the service itself and ServiceUnreachable when nothing answers.
    """

    _connection: Connection

    @ServiceCall
    async def start(
        self,
        kb_id: str,
        source: SourceLike | None = None,
        *,
        sources: Mapping[str, SourceLike] | None = None,
        full: bool = False,
        hold: Iterable[JobPhase | str] = (),
        settings: SettingsLike | None = None,
        allow_deletes: bool = False,
    ) -> JobStatusResponse:
        """Make a new job. A path is one on the server's machine."""
        body: dict[str, Any] = {"full": full, "hold": [str(phase) for phase in hold], "allow_deletes": allow_deletes}
        body |= definition(source, sources, settings)
        return await self._ask(JobStatusResponse, "POST", f"{new_kb_path(kb_id)}/start", json=body)

    @ServiceCall
    async def vacuum(self) -> Vacuumed:
        """Free what nobody needs any more. Takes as long as there is to free."""
        return await self._ask(Vacuumed, "POST", "api/ingestion/vacuum", timeout=None)

    @ServiceCall
    async def backup(self, path: str | Path, *, check: bool = True) -> int:
        """Copy the service's database as it is now into a new file of this machine, for its owner only; its size.

        It gets its name once it is whole. The service checks it before, unless ``check`` is False. Raises BackupFailed
        for a file that exists or cannot be written, ServiceError (``not_a_database``) for a damaged database.
        """
        asked = "api/ingestion/backup" if check else "api/ingestion/backup?check=false"
        return await self._connection.download("POST", asked, Path(path))

    @ServiceCall
    async def pause(self, kb_id: str, phase: JobPhase | str | None = None) -> JobStatusResponse:
        """Pause the job, or one phase of it, after the batch in hand."""
        return await self._act(Action.PAUSE, kb_id, phase)

    @ServiceCall
    async def resume(self, kb_id: str, phase: JobPhase | str | None = None) -> JobStatusResponse:
        """Resume exactly where it stopped."""
        return await self._act(Action.RESUME, kb_id, phase)

    @ServiceCall
    async def cancel(self, kb_id: str) -> JobStatusResponse:
        """End the job now."""
        return await self._act(Action.CANCEL, kb_id, None)

    @ServiceCall
    async def retry(self, kb_id: str) -> JobStatusResponse:
        """Continue a failed job."""
        return await self._act(Action.RETRY, kb_id, None)

    @ServiceCall
    async def kbs(self, limit: int = 100, cursor: str | None = None) -> Page[KnowledgeBase]:
        """Knowledge bases by name, each with its newest job."""
        return await self._ask(Page[KnowledgeBase], "GET", _KB, params=_page(limit, cursor))

    @ServiceCall
    async def kb(self, kb_id: str) -> KnowledgeBase:
        """One knowledge base with its newest job."""
        return await self._ask(KnowledgeBase, "GET", kb_path(kb_id))

    @ServiceCall
    async def folders(self, path: str | None = None) -> FolderListing:
        """What a folder of the service's machine holds; without a path, the folders that sources may lie below."""
        return await self._ask(
            FolderListing, "GET", "/api/ingestion/folders", params={} if path is None else {"path": path}
        )

    @ServiceCall
    async def put_kb(
        self,
        kb_id: str,
        source: SourceLike | None = None,
        settings: SettingsLike | None = None,
        *,
        sources: Mapping[str, SourceLike] | None = None,
        if_match: Etags | None = None,
        if_none_match: Etags | None = None,
    ) -> KnowledgeBase:
        """Create a knowledge base or change it: while its ``etag`` is still ``if_match``, or it is not there yet
        (``if_none_match="*"``), else PreconditionFailed."""
        wanted, headers = definition(source, sources, settings), conditions(if_match, if_none_match)
        return await self._ask(KnowledgeBase, "PUT", new_kb_path(kb_id), json=wanted, headers=headers)

    @ServiceCall
    async def delete_kb(self, kb_id: str) -> None:
        """Delete a knowledge base with its index and history."""
        await self._send("DELETE", kb_path(kb_id))

    @ServiceCall
    async def status(self, kb_id: str) -> JobStatusResponse:
        """The status of the newest job."""
        return await self._ask(JobStatusResponse, "GET", f"{kb_path(kb_id)}/status")

    @ServiceCall
    async def job_status(self, job_id: str) -> JobStatusResponse:
        """The status of any job."""
        return await self._ask(JobStatusResponse, "GET", job_path(job_id))

    @ServiceCall
    async def jobs(self, kb_id: str, limit: int = 100, cursor: str | None = None) -> Page[JobStatusResponse]:
        """The jobs of a knowledge base, newest first."""
        return await self._ask(Page[JobStatusResponse], "GET", f"{kb_path(kb_id)}/jobs", params=_page(limit, cursor))

    @ServiceCall
    async def transitions_of(self, job_id: str, limit: int = 100, cursor: str | None = None) -> Page[Transition]:
        """The log of a job, in order."""
        return await self._ask(Page[Transition], "GET", f"{job_path(job_id)}/transitions", params=_page(limit, cursor))

    @ServiceCall
    async def failures(self, kb_id: str, limit: int = 100, cursor: str | None = None) -> Page[Failure]:
        """The documents that failed, by uri."""
        return await self._ask(Page[Failure], "GET", f"{kb_path(kb_id)}/failures", params=_page(limit, cursor))

    @ServiceCall
    async def documents(
        self,
        kb_id: str,
        limit: int = 100,
        cursor: str | None = None,
        q: str = "",
        *,
        status: DocumentStatus | str | None = None,
        source: str | None = None,
    ) -> Page[DocumentInfo]:
        """The documents by uri: all, or those with ``status``, of ``source``, or with ``q`` in their uri."""
        asked = {name: str(value) for name, value in [("q", q), ("status", status), ("source", source)] if value}
        return await self._ask(
            Page[DocumentInfo], "GET", f"{kb_path(kb_id)}/documents", params=_page(limit, cursor) | asked
        )

    @ServiceCall
    async def document(self, kb_id: str, name: str) -> DocumentInfo:
        """One document, by its id or its uri."""
        with naming(kb_id, name):
            return await self._ask(DocumentInfo, "GET", document_path(kb_id, name))

    @ServiceCall
    async def document_text(self, kb_id: str, name: str) -> str:
        """The text that was extracted from a document."""
        with naming(kb_id, name):
            return await self._connection.text(f"{document_path(kb_id, name)}/text")

    @ServiceCall
    async def document_chunks(
        self, kb_id: str, name: str, limit: int = 100, cursor: str | None = None
    ) -> Page[DocumentChunk]:
        """The passages that a document was cut into, by position."""
        path = f"{document_path(kb_id, name)}/chunks"
        with naming(kb_id, name):
            return await self._ask(Page[DocumentChunk], "GET", path, params=_page(limit, cursor))

    @ServiceCall
    async def search(
        self,
        kb_id: str,
        query: str,
        limit: int = 10,
        *,
        filter: Mapping[str, Any] | str | None = None,  # the name in JSON
        mode: SearchMode | str = "hybrid",
        min_score: float = 0.0,
    ) -> SearchHits:
        """The passages that answer best, best first; ``degraded`` of the list says why vectors had no part in it."""
        wanted = read_filter(filter)
        asked = {"q": query, "limit": limit, "filter": wanted, "mode": mode, "min_score": min_score}
        return (await self._ask(SearchResults, "POST", f"{kb_path(kb_id)}/search", json=asked)).as_hits()

    @ServiceCall
    async def webhooks(self, limit: int = 100, cursor: str | None = None) -> Page[Webhook]:
        """Webhooks by name."""
        return await self._ask(Page[Webhook], "GET", _WEBHOOKS, params=_page(limit, cursor))

    @ServiceCall
    async def webhook(self, name: str) -> Webhook:
        """One webhook, with its last delivery and its last error."""
        return await self._ask(Webhook, "GET", f"{_WEBHOOKS}/{part(name)}")

    @ServiceCall
    async def put_webhook(
        self, name: str, url: str, events: Iterable[WebhookEvent | str] = tuple(WebhookEvent), kbs: Iterable[str] = ()
    ) -> Webhook:
        """Create a webhook, whose answer alone has the ``secret``, or change it. No ``kbs``: all knowledge bases."""
        body = {"url": url, "events": [str(event) for event in events], "kbs": list(kbs)}
        return await self._ask(Webhook, "PUT", f"{_WEBHOOKS}/{part(name)}", json=body)

    @ServiceCall
    async def delete_webhook(self, name: str) -> None:
        """Delete a webhook with what it has yet to be told."""
        await self._send("DELETE", f"{_WEBHOOKS}/{part(name)}")

    @ServiceFeed
    async def watch(self, kb_id: str) -> AsyncIterator[JobStatusResponse]:
        """The status of the newest job now and after each change, until it is over; the latest wins.

        Reconnects automatically, with growing waits, for as long as it takes, even across a restart of the service.
        """
        async with aclosing(self._events(kb_id, None)) as events:
            async for event in events:
                if event.event != "status":
                    continue
                status = JobStatusResponse.model_validate_json(event.data)
                yield status
                if status.is_over:
                    return

    @ServiceFeed
    async def transitions(self, after: int | None = None, kb_id: str | None = None) -> AsyncIterator[Transition]:
        """Every transition after number ``after``, once and in order: replay, then live. None begins with now.

        Reconnects automatically and resumes where it was. Raises HistoryLost when the log does not reach so far back.
        Never ends on its own, unless the knowledge base is deleted (KnowledgeBaseNotFound).
        """
        async with aclosing(self._events(kb_id, after)) as events:
            async for event in events:
                if event.event == "transition":
                    yield Transition.model_validate_json(event.data)
                elif event.event == "reset":
                    raise HistoryLost(int(event.json()["oldest"]))  # type: ignore[index]  # the contract's shape

    def _events(self, kb_id: str | None, after: int | None) -> AsyncGenerator[httpx2.ServerSentEvent]:
        path = "api/ingestion/events" if kb_id is None else f"{kb_path(kb_id)}/events"
        return self._connection.events(path, after)

    async def _act(self, action: Action, kb_id: str, phase: JobPhase | str | None) -> JobStatusResponse:
        place = kb_path(kb_id) if phase is None else f"{kb_path(kb_id)}/phases/{part(str(phase))}"
        return await self._ask(JobStatusResponse, "POST", f"{place}/{action}")

    async def _ask(self, model: type[ModelT], method: str, path: str, **options: Any) -> ModelT:
        return await self._connection.ask(model, method, path, **options)

    async def _send(self, method: str, path: str, **options: Any) -> None:
        _check_empty(await self._connection.send(method, path, **options))


def _check_empty(response: "httpx2.Response") -> None:
    """Raise ForeignAnswer for a success with something in it, where the service answers with nothing."""
    if response.status_code != 204:
        raise ForeignAnswer(str(response.url), f"{response.status_code} and something in it")


def _page(limit: int, cursor: str | None) -> dict[str, str]:
    return {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
