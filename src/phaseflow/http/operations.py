"""The endpoints that operate the service: health, metrics, the description of the API, the token of the page."""

from typing import Literal

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from phaseflow.http import openapi
from phaseflow.http.access import COOKIE
from phaseflow.http.endpoint import Answer, Call, Endpoint, Parameters
from phaseflow.http.metrics import MEDIA_TYPE as METRICS
from phaseflow.http.problems import NotReady, Unauthorized
from phaseflow.http.requests import LoginBody

COOKIE_S = 30 * 24 * 3600
"""How long a page need not ask for the token again."""


class Health(BaseModel):
    """The answer of a process that is alive."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """The answer of a service whose engine is up. ``interrupted`` counts the jobs found broken off at the start."""

    status: Literal["ready"] = "ready"
    interrupted: int


async def healthz(call: Call[Parameters, None]) -> Answer:
    return Answer(Health())


async def readyz(call: Call[Parameters, None]) -> Answer:
    if not call.site.is_ready:
        raise NotReady("the engine is starting or stopping; ask again in a second")
    return Answer(Readiness(interrupted=len(call.site.flow.interrupted)))


async def metrics(call: Call[Parameters, None]) -> Response:
    text = await call.site.metrics.render(call.site.flow, call.site.broadcast.clients)
    return Response(text, media_type=METRICS)


async def describe(call: Call[Parameters, None]) -> Response:
    prefix = str(call.request.scope.get("root_path", ""))
    return JSONResponse(openapi.document(call.site.endpoints, prefix, with_token=call.site.access.token is not None))


async def login(call: Call[Parameters, LoginBody]) -> Response:
    access = call.site.access
    response = Response(status_code=204)
    if access.token is None:
        return response
    if not access.knows(call.body.token):
        raise Unauthorized("that is not the token of this server; it is what PHASEFLOW_TOKEN or --token was set to")
    response.set_cookie(
        COOKIE, access.pass_value, max_age=COOKIE_S, path=_cookie_path(call), httponly=True, samesite="strict",
        secure=call.request.url.scheme == "https",
    )  # fmt: skip
    return response


async def logout(call: Call[Parameters, None]) -> Response:
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path=_cookie_path(call), httponly=True, samesite="strict")
    return response


def _cookie_path(call: Call[Parameters, object]) -> str:
    return str(call.request.scope.get("root_path", "")) or "/"


ENDPOINTS = [
    Endpoint("GET", "/healthz", "Whether the process is alive", healthz, {200: Health}, public=True),
    Endpoint("GET", "/readyz", "Whether the engine is up", readyz, {200: Readiness}, problems=(NotReady,), public=True),
    Endpoint("GET", "/metrics", "Numbers for Prometheus", metrics, {200: METRICS}),
    Endpoint("GET", "/openapi.json", "This description", describe, {200: "application/json"}),
    Endpoint(
        "POST", "/login", "Exchange the token for a cookie", login, {204: None}, body=LoginBody, body_required=True,
        takes_form=True, problems=(Unauthorized,), public=True,
    ),
    Endpoint("POST", "/logout", "Drop the cookie", logout, {204: None}, public=True),
]  # fmt: skip
