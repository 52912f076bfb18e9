"""Errors as RFC 9457 problem details: one mapping from the error tree to statuses, one shape, stable codes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from phaseflow.domain import errors
from phaseflow.domain.errors import PhaseflowError
from phaseflow.domain.log import get_logger
from phaseflow.domain.vocabulary import Action, JobStatus

MEDIA_TYPE = "application/problem+json"


class HttpError(PhaseflowError):
    """A request that the service refuses before the engine hears of it."""

    http_status = HTTPStatus.BAD_REQUEST
    code = "bad_request"
    headers: Mapping[str, str] = {}


class Unauthorized(HttpError):
    """The token is missing or wrong."""

    http_status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"
    headers = {"WWW-Authenticate": 'Bearer realm="phaseflow"'}  # noqa: RUF012  # never changed


class CrossOrigin(HttpError):
    """A page of another site asks for data or tries to change something."""

    http_status = HTTPStatus.FORBIDDEN
    code = "cross_origin"


class LocalOnly(HttpError):
    """Another machine asks a server that was not set up for other machines."""

    http_status = HTTPStatus.FORBIDDEN
    code = "local_only"


class UnknownHost(HttpError):
    """The request was meant for a name that this server does not go by."""

    http_status = HTTPStatus.MISDIRECTED_REQUEST
    code = "unknown_host"


class BodyTooLarge(HttpError):
    """The body is longer than the service reads."""

    http_status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "body_too_large"


class BodyInterrupted(HttpError):
    """The client stopped sending in the middle of the body."""

    http_status = HTTPStatus.REQUEST_TIMEOUT
    code = "body_interrupted"


class UnsupportedMediaType(HttpError):
    """The body is of a kind that this endpoint does not take."""

    http_status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class LimitReached(HttpError):
    """One client, or all of them, have as much as the service gives."""

    http_status = HTTPStatus.TOO_MANY_REQUESTS
    code = "limit_reached"
    headers = {"Retry-After": "10"}  # noqa: RUF012  # never changed


class NotReady(HttpError):
    """The engine is not up, or is on its way down."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "not_ready"


class Problem(BaseModel):
    """An error, as RFC 9457 has it. ``code`` is stable; ``detail`` says what to do next."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    code: str


class _InvalidField(Problem):
    """A value that cannot be used. ``field`` is its dotted path."""

    field: str


class _Conflict(Problem):
    """A verb that cannot apply now. ``allowed_actions`` are the verbs that the job would take instead."""

    job_status: JobStatus
    allowed_actions: list[Action]


class _IllegalMove(Problem):
    """A move that the phase as it stands cannot make. ``job_status``: that of its job, where a program reported it."""

    job_status: JobStatus | None = None


STATUS: dict[type[PhaseflowError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.KnowledgeBaseNotFound: HTTPStatus.NOT_FOUND,
    errors.JobNotFound: HTTPStatus.NOT_FOUND,
    errors.DocumentNotFound: HTTPStatus.NOT_FOUND,
    errors.NoText: HTTPStatus.NOT_FOUND,
    errors.WebhookNotFound: HTTPStatus.NOT_FOUND,
    errors.FileNotKept: HTTPStatus.NOT_FOUND,
    errors.HeldBySource: HTTPStatus.CONFLICT,
    errors.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.JobConflict: HTTPStatus.CONFLICT,
    errors.InvalidTransition: HTTPStatus.CONFLICT,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.SourceNotAllowed: HTTPStatus.FORBIDDEN,
    errors.StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.EngineStopped: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.IndexUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ComponentError: HTTPStatus.BAD_GATEWAY,
}
# Their messages may name files of this machine.
_SECRETIVE = (errors.StoreError, errors.ComponentError, errors.MissingExtra)
_UNSAID = "the service cannot do this now; its log says why"
MODELS: dict[str, type[BaseModel]] = {
    "job_conflict": _Conflict,
    "invalid_transition": _IllegalMove,
    "invalid_request": _InvalidField,
}


def status_of(kind: type[PhaseflowError]) -> HTTPStatus:
    """The HTTP status that an error is answered with."""
    if issubclass(kind, HttpError):
        return kind.http_status
    found = (status for each, status in STATUS.items() if issubclass(kind, each))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


_RETRY = {"Retry-After": "5"}
"""After a search that took too long: as long as one may take."""


def problem_response(error: Exception) -> Response:
    """The answer to any error. Says nothing of the inside of the server: neither paths nor tracebacks; the log has what
    it leaves out."""
    if isinstance(error, HTTPException):
        return _of_http(error)
    if not isinstance(error, PhaseflowError):
        return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", _UNSAID)
    detail = _said(error)
    if detail != str(error):
        get_logger().error("request refused", code=error.code, error=str(error))
    headers = error.headers if isinstance(error, HttpError) else _RETRY if isinstance(error, errors.Busy) else None
    return _response(status_of(type(error)), error.code, detail, _members(error), headers)


def _said(error: PhaseflowError) -> str:
    if isinstance(error, errors.StoreUnavailable) and error.reason:
        return f"the database cannot be used, and nothing was changed: {error.reason}"
    if isinstance(error, errors.NotADatabase):
        return "the database file is damaged, cut off or overwritten; stop the service and restore a copy of it"
    if isinstance(error, errors.IndexUnavailable):
        return "the index cannot be searched now; the service's log says why"
    return _UNSAID if isinstance(error, _SECRETIVE) else str(error)


def _members(error: PhaseflowError) -> dict[str, Any]:
    if isinstance(error, errors.JobConflict):
        return {"job_status": error.status, "allowed_actions": error.allowed_actions}
    if isinstance(error, errors.InvalidTransition) and error.job_status is not None:
        return {"job_status": error.job_status}
    return {"field": error.field} if isinstance(error, errors.InvalidRequest) else {}


def _of_http(error: HTTPException) -> Response:
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: "there is nothing at this path; /openapi.json lists what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: "this path does not take that method; the Allow header lists those it takes",
    }.get(status, error.detail)
    return _response(status, status.phrase.lower().replace(" ", "_"), detail, None, error.headers)


def _response(
    status: HTTPStatus,
    code: str,
    detail: str,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    from starlette.responses import JSONResponse

    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail, "code": code}
    return JSONResponse(body | dict(members or {}), int(status), headers, MEDIA_TYPE)
