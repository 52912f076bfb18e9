"""``/mcp``: the tools for agents over streamable HTTP. Admission (token, host, origin) is that of all routes."""

import asyncio
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from phaseflow.domain.errors import MissingExtra
from phaseflow.http.app_state import AppState
from phaseflow.http.ingestion import check_room_for
from phaseflow.http.middleware.access_log import KEY, LoggedRequest
from phaseflow.http.problems import ExtraMissing, NotReady
from phaseflow.mcp.backend import FlowBackend
from phaseflow.mcp.server import make_server

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"


class Agents:
    """The application behind the route. Without sessions: each request stands for itself, also after a restart.

    The SDK is imported with the first request; what it runs in the background ends with the service.
    """

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._starting = anyio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises LocalOnly, NotReady and ExtraMissing."""
        record: LoggedRequest = scope[KEY]
        record.route = PATH
        self._state.access.check_trusted(scope.get("client"))
        if not self._state.is_ready:
            raise NotReady("the server is starting or stopping; ask again in a second")
        manager = await self._running()
        await manager.handle_request(scope, receive, send)

    async def _running(self) -> "StreamableHTTPSessionManager":
        async with self._starting:
            if self._manager is None:
                manager = await anyio.to_thread.run_sync(self._make)
                started = anyio.Event()
                self._task = asyncio.create_task(_run(manager, started))
                await started.wait()
                self._state.on_close(self._task.cancel)
                self._manager = manager
            return self._manager

    def _make(self) -> "StreamableHTTPSessionManager":
        state = self._state
        try:
            server = make_server(FlowBackend(state.flow, lambda kb_id: check_room_for(state, kb_id)))
        except MissingExtra as error:
            raise ExtraMissing(str(error)) from error
        from mcp.server.transport_security import TransportSecuritySettings

        server.streamable_http_app(
            json_response=True, stateless_http=True, max_request_body_size=state.limits.body_bytes,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # admission does it
        )  # fmt: skip
        return server.session_manager


async def _run(manager: "StreamableHTTPSessionManager", started: anyio.Event) -> None:
    async with manager.run():
        started.set()
        await asyncio.get_running_loop().create_future()


def route(state: AppState) -> Route:
    """The route. Without sessions there is nothing to listen for (GET) or to end (DELETE)."""
    return Route(PATH, Agents(state), methods=["POST"])
