"""``/mcp``: the tools for agents over streamable HTTP. Admission (token, host, origin) is that of all routes."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from phaseflow.domain.errors import MissingExtra
from phaseflow.http.app_state import AppState
from phaseflow.http.endpoint import received
from phaseflow.http.ingestion import check_room
from phaseflow.http.middleware.access_log import KEY, LoggedRequest
from phaseflow.http.problems import HttpError, NotReady
from phaseflow.mcp.backend import FlowBackend
from phaseflow.mcp.server import make_server

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    _Managers = tuple[StreamableHTTPSessionManager, StreamableHTTPSessionManager]
    """The one that answers with JSON, and the one that answers with a stream, on which progress comes first."""

PATH = "/mcp"
_PROGRESS = b'"progressToken"'
"""Stands in requests whose client asks for progress. Elsewhere in one it does no harm."""
_STREAM = "text/event-stream"


class _ExtraMissing(HttpError):
    """This server was installed without what the request needs."""

    http_status = HTTPStatus.NOT_IMPLEMENTED
    code = "missing_extra"


class _Agents:
    """The application behind the route. Without sessions: each request stands for itself, also after a restart.

    The SDK is imported with the first request; what it runs in the background ends with the service.
    """

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._starting = anyio.Lock()
        self._managers: _Managers | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises LocalOnly and NotReady, and a 501 where the extra is not installed."""
        record: LoggedRequest = scope[KEY]
        record.route = PATH
        self._state.access.check_trusted(scope.get("client"))
        if not self._state.is_ready:
            raise NotReady("the server is starting or stopping; ask again in a second")
        plain, streaming = await self._running()
        request = Request(scope, receive)
        body = await received(self._state, request, self._state.limits.body_bytes)
        wants_progress = _PROGRESS in body and _STREAM in request.headers.get("accept", "")
        await (streaming if wants_progress else plain).handle_request(scope, _again(body, receive), send)

    async def _running(self) -> "_Managers":
        async with self._starting:
            if self._managers is None:
                managers = await anyio.to_thread.run_sync(self._make)
                started = anyio.Event()
                self._task = asyncio.create_task(_run(managers, started))
                await started.wait()
                self._state.on_close(self._task.cancel)
                self._managers = managers
            return self._managers

    def _make(self) -> "_Managers":
        state = self._state
        try:
            server = make_server(FlowBackend(state.flow, lambda kb_id: check_room(state, kb_id)))
        except MissingExtra as error:
            raise _ExtraMissing(str(error)) from error
        from mcp.server.transport_security import TransportSecuritySettings

        def manager(*, answers_json: bool) -> "StreamableHTTPSessionManager":
            server.streamable_http_app(
                json_response=answers_json, stateless_http=True, max_request_body_size=state.limits.body_bytes,
                transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # admission does
            )  # fmt: skip
            return server.session_manager

        return manager(answers_json=True), manager(answers_json=False)


async def _run(managers: "_Managers", started: anyio.Event) -> None:
    plain, streaming = managers
    async with plain.run(), streaming.run():
        started.set()
        await asyncio.get_running_loop().create_future()


def _again(body: bytes, receive: Receive) -> Receive:
    """Give out a body that was read already, and then what comes after it: the end of the connection."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return messages.pop() if messages else await receive()

    return receiving


def route(state: AppState) -> Route:
    """The route. Without sessions there is nothing to listen for (GET) or to end (DELETE)."""
    return Route(PATH, _Agents(state), methods=["POST"])
