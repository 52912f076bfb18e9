"""Errors in the form of the protocol."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from phaseflow.domain.errors import DocumentNotFound, InvalidRequest, KnowledgeBaseNotFound
from phaseflow.http.problems import HttpError, problem_response

PREFIX = "/v1/"
_TYPES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
_KEPT = ("www-authenticate", "retry-after", "allow")


class NotOffered(HttpError):
    """Something that the protocol has and this service does not."""

    http_status = HTTPStatus.BAD_REQUEST
    code = "not_offered"


_NOT_OFFERED = frozenset({
    "admin", "assistants", "audio", "batches", "chat", "chatkit", "completions", "containers", "conversations", "edits",
    "embeddings", "evals", "fine_tuning", "graders", "images", "models", "moderations", "organization", "projects",
    "realtime", "responses", "skills", "threads", "uploads", "videos",
})  # fmt: skip
"""What else the protocol has, by the first part of the path."""


def error_response(error: Exception, path: str) -> Response:
    """The answer to any error. A value that cannot be used is a 400, as clients of the protocol expect."""
    error = _as_refusal(error, path.removeprefix(PREFIX))
    problem = problem_response(error)
    told = json.loads(bytes(problem.body))
    status = HTTPStatus.BAD_REQUEST if isinstance(error, InvalidRequest) else HTTPStatus(problem.status_code)
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    message = told["detail"]
    if isinstance(error, KnowledgeBaseNotFound):
        message = f"there is no vector store {error.kb_id!r}; create it, or list those there are"
    if type(error) is DocumentNotFound:
        message = f"vector store {error.kb_id!r} has no file {error.uri!r}; add it, or list those it has"
    body = {
        "message": message,
        "type": _TYPES.get(status, kind),
        "param": told.get("field"),
        "code": told["code"],
    }
    headers = {name: problem.headers[name] for name in _KEPT if name in problem.headers}
    return JSONResponse({"error": body}, int(status), headers)


def _as_refusal(error: Exception, path: str) -> Exception:
    is_unknown = isinstance(error, HTTPException) and error.status_code == HTTPStatus.NOT_FOUND
    if is_unknown and path.partition("/")[0] in _NOT_OFFERED:
        return NotOffered(
            f"this service keeps files and searches vector stores; it runs no models, so it does not offer {path:.100};"
            " send that to a model server"
        )
    return error
