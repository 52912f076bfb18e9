"""The application: the same Starlette app under ``phaseflow serve``, under another server, and inside another app."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Scope

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.log import get_logger
from phaseflow.flow import PhaseFlow
from phaseflow.http import (
    agents,
    backups,
    choices,
    documents,
    feeds,
    ingestion,
    openai,
    operations,
    pages,
    reports,
    search,
    uploads,
    webhooks,
)
from phaseflow.http.access import ADVISED_TOKEN, LOOPBACK, Access, check_secret, host_name
from phaseflow.http.app_state import AppState
from phaseflow.http.connections import quiet_accepts
from phaseflow.http.endpoint import routes
from phaseflow.http.limits import ConnectionLimiter, Limits
from phaseflow.http.metrics import Metrics
from phaseflow.http.middleware.access_log import AccessLog, ErrorResponder
from phaseflow.http.middleware.admission import Admission, path_of
from phaseflow.http.openai.errors import PREFIX, error_response
from phaseflow.http.problems import problem_response
from phaseflow.http.roots import AllowedRoots
from phaseflow.http.signals import closing_on_signals
from phaseflow.http.stream_hub import StreamHub
from phaseflow.supervisor.janitor import KEEP_DAYS

ENDPOINTS = [
    *ingestion.ENDPOINTS, *search.ENDPOINTS, *feeds.ENDPOINTS, *documents.ENDPOINTS, *uploads.ENDPOINTS,
    *reports.ENDPOINTS, *webhooks.ENDPOINTS, *choices.ENDPOINTS, *operations.ENDPOINTS, *backups.ENDPOINTS,
    *pages.ENDPOINTS,
]  # fmt: skip
_TAKING_FILES = [(e.method, compile_path(e.path)[0]) for e in [*ENDPOINTS, *openai.ENDPOINTS] if e.takes_files]
_PUBLIC = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.public)


def create_app(
    flow: PhaseFlow,
    *,
    token: str | None = None,
    allowed_hosts: Collection[str] = LOOPBACK,
    allowed_origins: Collection[str] = (),
    limits: Limits | None = None,
) -> Starlette:
    """The service for one engine, to be served or mounted under any prefix.

    A flow that its host has entered is used as it is; one that nobody has entered runs for the lifespan of the app.
    Starlette hosts do not run the lifespan of an app they mount: enter the flow in the host's own.

    ``token``, of eight characters or more, is required for everything but the health checks and the dashboard's files.
    ``allowed_hosts`` are the names that requests may be meant for (``*``: the host has checked); with neither, only
    programs of this machine are answered. Pages of ``allowed_origins`` may call it (CORS).
    Which folders may be read is the flow's: ``PhaseFlow(check_source=AllowedRoots([…]))``.
    """
    limits = limits or Limits()
    state = AppState(
        flow=flow,
        access=Access(
            _checked_token(token) if token is not None else None,
            frozenset(map(host_name, allowed_hosts)),
            frozenset(allowed_origins),
        ),
        limits=limits,
        hub=StreamHub(flow, limits),
        seats=ConnectionLimiter(limits),
        metrics=Metrics(),
        endpoints=ENDPOINTS,
    )
    flow.embedder_access.takes_loopback = state.access.is_local
    app = Starlette(
        routes=[*routes(state, ENDPOINTS), *routes(state, openai.ENDPOINTS), agents.route(state), pages.static()],
        middleware=_middleware(state),
        exception_handlers={HTTPException: _answer_problem},
        lifespan=_lifespan(state),
    )
    app.router.redirect_slashes = False
    app.state.phaseflow = state
    return app


def _checked_token(token: str) -> str:
    if len(check_secret(token)) < ADVISED_TOKEN:
        get_logger().warning("short token", characters=len(token), advice=f"take {ADVISED_TOKEN} or more")
    return token


def app_from_env() -> Starlette:
    """The service with its settings from the environment, for ``uvicorn --factory phaseflow.http:app_from_env``.

    PHASEFLOW_DB, PHASEFLOW_TOKEN, PHASEFLOW_KEEP_VECTORS, PHASEFLOW_ALLOW_ROOT and PHASEFLOW_ALLOW_HOST (several, with
    ``:`` or ``,`` between).
    """
    roots = [Path(root) for root in os.environ.get("PHASEFLOW_ALLOW_ROOT", "").split(os.pathsep) if root]
    hosts = [host.strip() for host in os.environ.get("PHASEFLOW_ALLOW_HOST", "").split(",") if host.strip()]
    flow = PhaseFlow(
        os.environ.get("PHASEFLOW_DB", "phaseflow.db"),
        check_source=AllowedRoots(roots or [Path.cwd()]),
        keep_vectors=_days("PHASEFLOW_KEEP_VECTORS", KEEP_DAYS),
    )
    return create_app(flow, token=os.environ.get("PHASEFLOW_TOKEN") or None, allowed_hosts=[*LOOPBACK, *hosts])


def _days(variable: str, default: float) -> float:
    given = os.environ.get(variable) or default
    try:
        return float(given)
    except ValueError:
        raise InvalidRequest(variable, f"must be a number of days, not {given!r:.40}") from None


def _middleware(state: AppState) -> list[Middleware]:
    cors = [
        Middleware(
            CORSMiddleware, allow_origins=list(state.access.origins),
            allow_methods=sorted({endpoint.method for endpoint in state.endpoints}),
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
        )
    ] if state.access.origins else []  # fmt: skip
    guard = Middleware(Admission, access=state.access, body_bytes=_body_bytes(state.limits), is_public=_is_public)
    return [
        Middleware(AccessLog, metrics=state.metrics),
        *cors,
        Middleware(ErrorResponder, respond=_error_response),
        guard,
    ]


def _body_bytes(limits: Limits) -> Callable[[str, str], int]:
    def longest(method: str, path: str) -> int:
        takes_files = any(method == taken and pattern.match(path) for taken, pattern in _TAKING_FILES)
        return limits.upload_bytes if takes_files else limits.body_bytes

    return longest


def _is_public(path: str) -> bool:
    return path in _PUBLIC or path.startswith("/static/")


def _answer_problem(request: Request, error: Exception) -> Response:
    return _error_response(request.scope, error)


def _error_response(scope: Scope, error: Exception) -> Response:
    path = path_of(scope)
    return error_response(error, path) if path.startswith(PREFIX) else problem_response(error)


def _lifespan(state: AppState) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if not state.flow.is_running:
                await stack.enter_async_context(state.flow)
            stack.enter_context(quiet_accepts(asyncio.get_running_loop()))
            stack.enter_context(closing_on_signals(state.close))
            stack.callback(state.close)
            get_logger().info("ready", interrupted_jobs=state.flow.interrupted)
            yield

    return lifespan
