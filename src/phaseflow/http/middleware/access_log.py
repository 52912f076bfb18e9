"""One line in the log for each request, its number in the metrics, and the headers that all answers have."""

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phaseflow.background_task import only_error
from phaseflow.domain import tracing
from phaseflow.domain.errors import PhaseflowError
from phaseflow.domain.log import get_logger
from phaseflow.http.connection import KEY as CONNECTION
from phaseflow.http.connection import Connection
from phaseflow.http.metrics import Metrics

KEY = "phaseflow.record"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What may go into the log from a client's X-Request-ID."""
_UNANSWERED = 499
"""Stands in the log where the client left before it had an answer; nginx uses the same number."""
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


@dataclass(slots=True)
class LoggedRequest:
    """What is noted of one request while it is answered. ``bound`` names its knowledge base and its job."""

    route: str = "unmatched"
    status: int = _UNANSWERED
    bound: dict[str, str] = field(default_factory=dict)


class AccessLog:
    """Outermost: sees every request and every answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, then note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        record = scope[KEY] = LoggedRequest()
        scope[CONNECTION] = Connection(receive)
        started = time.perf_counter()
        brought = tracing.incoming(headers)
        with brought, structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, _noting(send, record, request_id))
            finally:
                self._note(scope, record, time.perf_counter() - started)

    def _note(self, scope: Scope, record: LoggedRequest, duration_s: float) -> None:
        client = scope.get("client")
        self._metrics.record(scope["method"], record.route, record.status, duration_s)
        get_logger().info(
            "request", method=scope["method"], path=scope["path"], status=record.status,
            duration_ms=round(duration_s * 1000, 1), client=client[0] if client else None, **record.bound,
        )  # fmt: skip


class ErrorResponder:
    """Turns whatever was raised into a problem. Inside CORS: pages of other origins have to read problems, too."""

    def __init__(self, app: ASGIApp, respond: Callable[[Scope, Exception], Response]) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on. What is raised before the answer has begun goes no further."""
        try:
            await self._app(scope, receive, send)
        except Exception as raised:
            if scope["type"] != "http":
                raise
            error = only_error(raised)
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, PhaseflowError):
                get_logger().error("request failed", path=scope["path"], exc_info=error)
            if scope[KEY].status != _UNANSWERED:
                raise
            await self._respond(scope, error)(scope, receive, send)


def _noting(send: Send, record: LoggedRequest, request_id: str) -> Send:
    async def send_noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            record.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_noting
