"""The connection of a client to its service: requests, their refusals as errors, and the feed."""

import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import anyio
import anyio.to_thread
import httpx2
from pydantic import BaseModel, ValidationError

from phaseflow.client.errors import ForeignAnswer, ServiceError, ServiceUnreachable, check_kind, fault
from phaseflow.client.renewals import Renewals
from phaseflow.components.certificates import trusted
from phaseflow.domain.errors import BackupFailed, EngineStopped, InvalidRequest, PhaseflowError
from phaseflow.domain.identifiers import check_token, check_whole
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.validation import first_fault
from phaseflow.domain.values import kind_of
from phaseflow.store.private_files import made_whole

TIMEOUT_S = 30.0
JSON, TEXT, DATABASE, STREAM = "application/json", "text/plain", "application/vnd.sqlite3", "text/event-stream"
"""What the service answers with."""
SILENCE_S = 45.0
"""The service sends a comment every 15 s: three missed, and the connection is dead."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 2.0
"""Between connections of a feed, and between tries; doubled each time that nothing has come."""
_PASSING = frozenset({429, 500, 502, 503, 504})
"""Answers of a service that restarts, or of the proxy before it."""
RESTART_S = 30.0
"""How long a program that reports waits for a service that restarts: half of a lease, unless it chose another one."""
ModelT = TypeVar("ModelT", bound=BaseModel)


class Connection:
    """Belongs to the event loop that opens it."""

    def __init__(self, url: str, token: str | None) -> None:
        for field, value, may_lack in (("url", url, False), ("token", token, True)):
            if not isinstance(value, str) and not (may_lack and value is None):
                raise InvalidRequest(field, f"must be a string, not {kind_of(value)}")
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {check_token(token)}"} if token else {}
        self._http = httpx2.AsyncClient(base_url=f"{self.url}/", headers=headers, timeout=TIMEOUT_S, verify=trusted())
        self.renewals = Renewals(self._renew)

    async def open(self) -> None:
        """Be ready for requests."""
        await self._http.__aenter__()

    async def aclose(self) -> None:
        """End what runs in the background, and all connections."""
        await self.renewals.aclose()
        await self._http.aclose()

    async def ask(self, model: type[ModelT], method: str, path: str, **options: Any) -> ModelT:
        """Send a request and read its answer."""
        response = await self.send(method, path, **options)
        check_kind(response, JSON)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            fault = first_fault(error)
            said = f"{fault.place} {fault.problem}".strip()
            raise ForeignAnswer(str(response.url), f"JSON that cannot be read here ({said})") from None

    async def ask_patiently(self, model: type[ModelT], method: str, path: str, **options: Any) -> ModelT:
        """The same, sent again for as long as the service restarts, but never twice once it may have been heard."""
        until, wait_s = anyio.current_time() + RESTART_S, _FIRST_WAIT_S
        while True:
            try:
                return await self.ask(model, method, path, **options)
            except (ServiceUnreachable, ServiceError, EngineStopped) as error:
                if not _was_not_heard(error) or anyio.current_time() + wait_s > until:
                    raise
            await anyio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def text(self, path: str) -> str:
        """Read a text."""
        response = await self.send("GET", path)
        check_kind(response, TEXT)
        return response.text

    async def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request. Raises InvalidRequest, ServiceUnreachable and what the answer stands for."""
        for field, value in options.get("params", {}).items():
            check_sendable(field, value)
        check_sendable("", options.get("json"))
        try:
            response = await self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error
        if not response.is_success:
            raise fault(response)
        return response

    async def download(self, method: str, path: str, target: Path) -> int:
        """Send a request and write its answer into a new file, which is there once it is whole; its size."""
        try:
            with made_whole(target) as partial, partial.open("wb") as file:
                async with aclosing(self._pieces(method, path)) as pieces:
                    async for piece in pieces:
                        await anyio.to_thread.run_sync(file.write, piece)
                return file.tell()
        except FileExistsError:
            raise BackupFailed(f"{target} exists already; name a new file, or remove that one first") from None
        except OSError as error:
            raise BackupFailed(f"cannot write {target}: {error.strerror}") from error

    async def _pieces(self, method: str, path: str) -> AsyncGenerator[bytes]:
        """The answer to a request, as it comes. The first piece may take long; then each has to come in time."""
        try:
            async with self._http.stream(method, path, timeout=httpx2.Timeout(TIMEOUT_S, read=None)) as response:
                if not response.is_success:
                    await response.aread()
                    raise fault(response)
                check_kind(response, DATABASE)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx2.TransportError as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error

    async def events(self, path: str, after: int | None) -> AsyncGenerator[httpx2.ServerSentEvent]:
        """The events of a feed behind number ``after``, each once, over any number of connections; None begins with
        now.

        Raises ServiceUnreachable when the first connection fails, and the refusals of the service. Never ends on its
        own.
        """
        last_id, wait_s, connected = "" if after is None else str(after), _FIRST_WAIT_S, False
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            timeout = httpx2.Timeout(SILENCE_S)
            try:
                async with self._http.sse(path, headers=headers, timeout=timeout) as source:
                    await _check_stream(source.response, is_first=not connected)
                    connected = True
                    async for event in source:
                        wait_s, last_id = _FIRST_WAIT_S, event.id or last_id
                        yield event
            except httpx2.TransportError as error:
                if not connected:
                    raise ServiceUnreachable(str(self._http.base_url), str(error) or type(error).__name__) from error
            await anyio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _renew(self, job_id: str) -> JobStatusResponse:
        return await self.ask(JobStatusResponse, "POST", f"{job_path(job_id)}/renew")


async def _check_stream(response: httpx2.Response, *, is_first: bool) -> None:
    if response.is_success:
        try:
            check_kind(response, STREAM)
        except ForeignAnswer as error:
            if is_first:
                raise
            raise httpx2.ConnectError(str(error)) from error  # the page of a proxy while the service restarts
        return
    await response.aread()
    if response.status_code in _PASSING:
        raise httpx2.ConnectError(f"the service answered {response.status_code}")
    raise fault(response)


def _was_not_heard(error: PhaseflowError) -> bool:
    """No connection, or a service that is on its way up or down: nothing was done."""
    if isinstance(error, ServiceUnreachable):
        return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
    return isinstance(error, EngineStopped) or error.code == "not_ready"


def job_path(job_id: str) -> str:
    """The path of a job."""
    return f"api/ingestion/jobs/{part(job_id)}"


def part(name: str) -> str:
    """A name as one part of a path. Raises InvalidRequest."""
    check_sendable("name", name)
    return quote(name, safe="")


def check_sendable(field: str, value: object) -> None:
    """Raise InvalidRequest, as the library does, for what no JSON can carry: half a character, or no finite number."""
    match value:
        case str():
            check_whole(field, value)
        case float() if not math.isfinite(value):
            raise InvalidRequest(field, f"{value} cannot be sent; give a finite number")
        case Mapping():
            for name, each in value.items():
                check_sendable(field, name)
                check_sendable(f"{field}.{name}".lstrip("."), each)
        case list() | tuple():
            for number, each in enumerate(value):
                check_sendable(f"{field}.{number}", each)
