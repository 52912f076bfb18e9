"""Errors that come back over HTTP: those of the engine as themselves, the rest as errors of the service.

PhaseflowError
├── ServiceError           the service refused, with a code of its own (``unauthorized``, ``unknown_host``, …)
├── ServiceUnreachable     nobody answers
└── HistoryLost            transitions that were asked for are not in the log any more
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phaseflow.domain import errors
from phaseflow.domain.errors import PhaseflowError

if TYPE_CHECKING:
    import httpx2


class ServiceError(PhaseflowError):
    """The service refused a request. ``code`` is that of the answer, ``http_status`` its status."""

    def __init__(self, code: str, http_status: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status


class ServiceUnreachable(PhaseflowError):
    """Nothing answers at the address."""

    code = "service_unreachable"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} does not answer ({reason}); is phaseflow serve running there?")
        self.url = url


class HistoryLost(PhaseflowError):
    """Transitions were deleted before they could be told. Read the statuses, then go on from ``oldest``."""

    code = "history_lost"

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the log begins at {oldest} now: what came before is gone; read the statuses and go on")
        self.oldest = oldest


_MEMBERS: dict[type[PhaseflowError], dict[str, str]] = {
    errors.JobConflict: {"status": "job_status", "allowed_actions": "allowed_actions"},
    errors.InvalidRequest: {"field": "field"},
    errors.InvalidTransition: {"job_status": "job_status"},
}
"""The attributes of an error, each with the member of the answer that holds it."""
_KINDS: dict[str, type[PhaseflowError]] = {
    kind.code: kind
    for kind in (
        errors.JobConflict, errors.InvalidTransition, errors.KnowledgeBaseNotFound, errors.JobNotFound,
        errors.InvalidRequest, errors.SourceNotAllowed, errors.StoreUnavailable, errors.EngineStopped,
        errors.Busy,
        errors.DocumentNotFound, errors.NoText, errors.HeldBySource, errors.UploadTooLarge, errors.WebhookNotFound,
        errors.IndexUnavailable,
    )
}  # fmt: skip


def fault(response: "httpx2.Response") -> PhaseflowError:
    """The error that an answer stands for, with the message and the members that it came with."""
    problem = _problem(response)
    detail = str(problem.get("detail", f"{response.url} answered {response.status_code}; is that phaseflow serve?"))
    code = str(problem.get("code", "unknown"))
    kind = _KINDS.get(code)
    if kind is None:
        return ServiceError(code, response.status_code, detail)
    error = kind.__new__(kind, detail)  # with the message as it came; the constructor would make another one
    for name, member in _MEMBERS.get(kind, {}).items():
        setattr(error, name, problem.get(member))
    return error


def _problem(response: "httpx2.Response") -> Mapping[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
