"""The endpoints that operate the service: health, metrics, the description of the API, the token of the page."""

from typing import Annotated, Literal

import anyio
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from phaseflow.domain.errors import StoreUnavailable, WorkersDown
from phaseflow.domain.status import Vacuumed
from phaseflow.http import openapi
from phaseflow.http.access import cookie_name, cookies
from phaseflow.http.endpoint import Endpoint, JsonResult, Parameters, RequestContext
from phaseflow.http.metrics import MEDIA_TYPE as METRICS
from phaseflow.http.problems import LimitReached, NotReady, Unauthorized
from phaseflow.http.requests import Body
from phaseflow.http.sessions import LONGEST_S

_STORE_S = 8.0
"""How long a look at the database may take: longer than a lock of another program is waited for."""


class _Health(BaseModel):
    """The answer of a process that is alive."""

    status: Literal["alive"] = "alive"


class _Readiness(BaseModel):
    """The answer of a service whose engine is up. ``interrupted`` counts the jobs found broken off at the start."""

    status: Literal["ready"] = "ready"
    interrupted: int


async def _healthz(call: RequestContext[Parameters, None]) -> JsonResult:
    return JsonResult(_Health())


async def _readyz(call: RequestContext[Parameters, None]) -> JsonResult:
    if not call.state.is_ready:
        raise NotReady("the engine is starting or stopping; ask again in a second")
    with anyio.move_on_after(_STORE_S) as looking:
        try:
            await call.state.flow.check_store()
        except StoreUnavailable as error:
            raise NotReady(f"the database cannot be written: {error.reason or 'the log says why'}") from error
        except WorkersDown as error:
            raise NotReady(str(error)) from error
    if looking.cancelled_caught:
        raise NotReady(f"the database has not answered within {_STORE_S:.0f} seconds; ask again")
    if down := await call.state.flow.why_index_down():
        raise NotReady(down)
    return JsonResult(_Readiness(interrupted=len(call.state.flow.interrupted)))


async def _vacuum(call: RequestContext[Parameters, None]) -> JsonResult:
    return JsonResult(await call.state.flow.vacuum())


async def _metrics(call: RequestContext[Parameters, None]) -> Response:
    text = await call.state.metrics.render(call.state.flow, call.state.hub.clients)
    return Response(text, media_type=METRICS)


async def _describe(call: RequestContext[Parameters, None]) -> Response:
    prefix = str(call.request.scope.get("root_path", ""))
    cookie = _cookie_name(call) if call.state.access.token is not None else None
    return JSONResponse(openapi.document(call.state.endpoints, prefix, cookie=cookie))


class _LoginBody(Body):
    """The token, once; a cookie stands for it from then on."""

    token: Annotated[str, Field(max_length=8192)]


async def _login(call: RequestContext[Parameters, _LoginBody]) -> Response:
    access, request = call.state.access, call.request
    response = Response(status_code=204)
    if access.token is None:
        return response
    if not await access.knows(request.client.host if request.client else "", call.body.token):
        raise Unauthorized("that is not the token of this server; it is what PHASEFLOW_TOKEN or --token was set to")
    _end_sessions(call)
    response.set_cookie(
        _cookie_name(call), access.sessions.open(), max_age=LONGEST_S, path=_cookie_path(call), httponly=True,
        samesite="strict", secure=_is_secure(call),
    )  # fmt: skip
    return response


async def _logout(call: RequestContext[Parameters, None]) -> Response:
    _end_sessions(call)
    response = Response(status_code=204)
    response.delete_cookie(
        _cookie_name(call), path=_cookie_path(call), httponly=True, samesite="strict", secure=_is_secure(call)
    )
    return response


def _end_sessions(call: RequestContext[Parameters, object]) -> None:
    for secret in cookies(call.request.headers, _cookie_name(call)):
        call.state.access.sessions.end(secret)


def _cookie_name(call: RequestContext[Parameters, object]) -> str:
    return cookie_name(call.request.headers, call.request.scope.get("server"))


def _is_secure(call: RequestContext[Parameters, object]) -> bool:
    return call.request.url.scheme == "https"


def _cookie_path(call: RequestContext[Parameters, object]) -> str:
    return str(call.request.scope.get("root_path", "")) or "/"


ENDPOINTS = [
    Endpoint("GET", "/healthz", "Whether the process is alive", _healthz, {200: _Health}, public=True),
    Endpoint(
        "GET", "/readyz", "Whether the engine is up", _readyz, {200: _Readiness}, problems=(NotReady,), public=True,
    ),
    Endpoint(
        "POST", "/api/ingestion/vacuum", "Free what nobody needs any more", _vacuum, {200: Vacuumed},
    ),
    Endpoint("GET", "/metrics", "Numbers for Prometheus", _metrics, {200: METRICS}),
    Endpoint("GET", "/openapi.json", "This description", _describe, {200: "application/json"}),
    Endpoint(
        "POST", "/login", "Exchange the token for a session's cookie", _login, {204: None}, body=_LoginBody,
        body_required=True, takes_form=True, problems=(Unauthorized, LimitReached), public=True,
    ),
    Endpoint("POST", "/logout", "End the session of the cookie", _logout, {204: None}, public=True),
]  # fmt: skip
