"""Errors that come back over HTTP: those of the engine as themselves, the rest as errors of the service.

PhaseflowError
├── ServiceError           the service refused, with a code of its own (``unauthorized``, ``unknown_host``, …)
├── ServiceUnreachable     nobody answers
├── ForeignAnswer          something answers there, and not as the service does
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


class ForeignAnswer(PhaseflowError):
    """What came back is not of the service: a page of a proxy, a sign-in, another program."""

    code = "foreign_answer"

    def __init__(self, url: str, what: str) -> None:
        super().__init__(
            f"{url} answered with {what}, not as phaseflow serve does; check the address and what stands before it"
        )
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
_OF_A_PROXY = frozenset({502, 503, 504})
_KINDS: dict[str, type[PhaseflowError]] = {
    kind.code: kind
    for kind in (
        errors.JobConflict, errors.InvalidTransition, errors.KnowledgeBaseNotFound, errors.JobNotFound,
        errors.InvalidRequest, errors.SourceNotAllowed, errors.StoreUnavailable, errors.EngineStopped,
        errors.Busy,
        errors.DocumentNotFound, errors.NoText, errors.HeldBySource, errors.UploadTooLarge, errors.WebhookNotFound,
        errors.IndexUnavailable, errors.PreconditionFailed,
    )
}  # fmt: skip


def fault(response: "httpx2.Response") -> PhaseflowError:
    """The error that an answer stands for, with the message and the members that it came with."""
    problem = _problem(response)
    detail = str(problem.get("detail", _unexplained(response)))
    code = str(problem.get("code", "unknown"))
    kind = _KINDS.get(code)
    if kind is None:
        return ServiceError(code, response.status_code, detail)
    error = kind.__new__(kind, detail)  # with the message as it came; the constructor would make another one
    for name, member in _MEMBERS.get(kind, {}).items():
        setattr(error, name, problem.get(member))
    return error


def check_kind(response: "httpx2.Response", media_type: str) -> None:
    """Raise ForeignAnswer for a success of another kind than the one that was asked for."""
    given = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        raise ForeignAnswer(str(response.url), _printable(given, 80) if given else "nothing")


def _unexplained(response: "httpx2.Response") -> str:
    """What to say of a refusal that does not come from the service."""
    status = response.status_code
    if response.has_redirect_location:
        target = _printable(response.headers["location"], 200)
        return f"{response.url} redirects to {target}; give the address that answers itself"
    if status in _OF_A_PROXY:
        return f"{response.url} answered {status}: the proxy there does not reach it; is phaseflow serve running?"
    return f"{response.url} answered {status}; is that phaseflow serve?"


def _printable(given: str, most: int) -> str:
    return "".join(character for character in given if character.isprintable())[:most]


def _problem(response: "httpx2.Response") -> Mapping[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
