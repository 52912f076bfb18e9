"""What the libraries behind fsspec and Git raise, in our words.

Each has errors of its own, and most derive from nothing that fsspec knows. What they share: an HTTP status somewhere,
or an ``OSError``.
"""

import errno
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from phaseflow.components.embedders.retry_after import retry_after_s
from phaseflow.domain.errors import (
    ComponentError,
    ComponentUnavailable,
    DocumentError,
    RateLimited,
    SourceDown,
    SourceNotAllowed,
    TransientError,
)
from phaseflow.domain.exception_text import text_of

_NETWORK = (
    "aiohttp", "botocore", "aiobotocore", "urllib3", "requests", "httpx", "httpcore", "paramiko", "asyncssh", "gcsfs",
    "azure", "ssl", "socket", "ftplib", "smbprotocol", "dulwich",
)  # fmt: skip
"""Whose errors say that the other side did not answer, or not as it should."""
_DENIED = frozenset({
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "AuthenticationException",
    "PermissionDenied", "ClientAuthenticationError", "PasswordRequiredException", "BadHostKeyException",
    "HTTPUnauthorized",
})  # fmt: skip
_MISSING = frozenset({"NotGitRepository", "ResourceNotFoundError", "NoSuchKey"})
_NO_STORE = frozenset({"NoSuchBucket", "ContainerNotFound"})
"""What all documents lie in is not there."""
_BROKEN_OFF = frozenset({"ClientPayloadError", "PayloadEncodingError", "ContentLengthError", "TransferEncodingError"})
"""What aiohttp makes of an answer that ends too soon; the status 400 in some of these is its own."""
_SLOW_DOWN = frozenset({
    "SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestLimitExceeded",
    "RequestThrottledException", "TooManyRequestsException", "BandwidthLimitExceeded", "ServerBusy",
})  # fmt: skip
"""How object stores ask for fewer requests, mostly with the status 503
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)."""
_LONGEST_WORDS = 300


def as_ours(error: BaseException, what: str, secrets: Collection[str] = ()) -> ComponentError:
    """What an error of a library means: of a document (``not_found``, ``unreadable``, ``changed_while_reading``), of
    the source (ComponentUnavailable: nobody may read it), or of the moment (TransientError). ``what`` was being read;
    ``secrets`` are not shown."""
    # By what is known for certain to what is guessed. The library's own classes come last, by name: importing each of
    # a dozen clients only to compare classes would cost seconds, and most of them are not installed.
    error = _cause(error)
    if isinstance(error, ComponentError):
        return error
    if isinstance(error, SourceNotAllowed):
        return DocumentError(str(error), code="source_not_allowed")
    if _is(error, _BROKEN_OFF):
        return TransientError(f"{what} broke off while it was read")
    status = _status(error)
    if _is(error, _NO_STORE) or _code(error) in _NO_STORE:
        return ComponentUnavailable(f"{what} is not there: the store has no bucket of that name; check it")
    if isinstance(error, FileNotFoundError) or status in {404, 410} or _is(error, _MISSING):
        return DocumentError(f"{what} is not there", code="not_found", counts=False, gone=True)
    if isinstance(error, PermissionError) or status in {401, 403} or _is(error, _DENIED):
        return denied(status, what)
    if isinstance(error, ImportError):
        return ComponentUnavailable(f"{_words(error, secrets)}; install what is missing")
    if type(error).__name__ == "FileExpired" or status == 416:  # it is shorter than it was listed
        return DocumentError(f"{what} changed while it was read; run again", code="changed_while_reading")
    if _code(error) in _SLOW_DOWN:
        return RateLimited(f"{what}: asked to slow down{_number(status)}", retry_after_s=_asked_s(_headers(error)))
    if status is not None and (passing := passing_fault(status, _headers(error), what)) is not None:
        return passing
    if status is None and _is_of_the_network(error):
        return SourceDown(f"{what} cannot be reached ({_words(error, secrets)})")
    return DocumentError(f"{what} cannot be read ({_words(error, secrets)})", code="unreadable")


def passing_fault(status: int, headers: Mapping[str, str], what: str) -> TransientError | None:
    """What an HTTP status means that says to come back later, and when; None for any other."""
    if status == 429:
        return RateLimited(f"{what}: asked to slow down (429)", retry_after_s=_asked_s(headers))
    if status >= 500 or status == 408:
        return TransientError(f"{what}: the server answered {status}", retry_after_s=_asked_s(headers))
    return None


def _asked_s(headers: Mapping[str, str]) -> float | None:
    return retry_after_s({name.lower(): value for name, value in headers.items()}, datetime.now(UTC))


def denied(status: int | None, what: str) -> DocumentError:
    """Nobody may read this with these credentials."""
    return _Denied(f"{what} may not be read (access denied{_number(status)}); check the credentials and its rights")


class _Denied(DocumentError):
    """The other side does not let this be read."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="unreadable")


def _cause(error: BaseException) -> BaseException:
    """What lies behind the error that a library makes of another: the status that it had, or our own refusal. A server
    that cannot be reached is no missing file, whatever fsspec's HTTP says."""
    seen = error
    for _ in range(8):
        if isinstance(seen, ComponentError | SourceNotAllowed) or _status(seen) is not None:
            return seen
        if isinstance(error, FileNotFoundError) and seen is not error and _is_of_the_network(seen):
            return seen
        if seen.__cause__ is None:
            return error
        seen = seen.__cause__
    return error


def _code(error: BaseException) -> str:
    """What an object store calls an error."""
    answer: Any = getattr(error, "response", None)
    said = answer.get("Error") if isinstance(answer, dict) else None
    return str(said.get("Code")) if isinstance(said, dict) else ""


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error carries, wherever its library has put it."""
    answer: Any = getattr(error, "response", None)
    if isinstance(answer, dict):
        metadata = answer.get("ResponseMetadata")
        answer = metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None
    elif answer is not None:
        answer = getattr(answer, "status_code", None) or getattr(answer, "status", None)
    for name in ("", "status", "status_code", "code"):  # of aiohttp the last is deprecated, and warns
        found: Any = getattr(error, name, None) if name else answer
        if isinstance(found, str) and found.isdecimal():
            found = int(found)
        if isinstance(found, int) and 400 <= found < 600:
            return found
    return None


def _headers(error: BaseException) -> Mapping[str, str]:
    """The headers of the answer that an error carries, wherever its library has put it."""
    answer: Any = getattr(error, "response", None)
    if isinstance(answer, dict):
        metadata = answer.get("ResponseMetadata")
        found = metadata.get("HTTPHeaders") if isinstance(metadata, dict) else None
    else:
        found = getattr(error if answer is None else answer, "headers", None)
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, Mapping) else {}


def _is(error: BaseException, names: Collection[str]) -> bool:
    return any(each.__name__ in names for each in type(error).__mro__)


_OF_THE_NETWORK = frozenset({
    errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH,
    errno.ENETUNREACH, errno.EIO, errno.ENOTCONN, errno.EADDRNOTAVAIL,
})  # fmt: skip


def _is_of_the_network(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError | EOFError):
        return True
    if isinstance(error, OSError) and (error.errno in _OF_THE_NETWORK or error.errno is None):
        return True
    homes = {each.__module__.partition(".")[0] for each in type(error).__mro__}
    return type(error).__name__ == "FSTimeoutError" or not homes.isdisjoint(_NETWORK)


def _number(status: int | None) -> str:
    return f", {status}" if status is not None else ""


def _words(error: BaseException, secrets: Collection[str]) -> str:
    said = text_of(error)
    for secret in secrets:
        said = said.replace(secret, "…")
    return said[:_LONGEST_WORDS]
