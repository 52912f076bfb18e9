"""What a server answered, and what that means when it is no page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from phaseflow.components.embedders.retry_after import retry_after_s
from phaseflow.components.sources.partial_answers import ACCEPTED, PARTIAL, WITHOUT_CONTENT, is_whole
from phaseflow.components.sources.web.address import normalised
from phaseflow.domain.errors import ComponentError, DocumentError, RateLimited, TransientError

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_GONE = frozenset((404, 410))
_PASSING = frozenset((408, 421, 425))
_MEDIA = ("image/", "audio/", "video/", "font/")


class SiteDown(TransientError):
    """No connection to ``site``: its name does not resolve, or nobody listens."""

    def __init__(self, message: str, site: str) -> None:
        super().__init__(message)
        self.site = site


class TooSlow(TransientError):
    """An answer that did not come, or not to its end, within the time that its size allows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request. Names of ``headers`` are in lower case; ``body`` is empty when it was not wanted."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    took_s: float = 0.0
    """From the request to the last byte, without the wait for its turn."""

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    @property
    def is_redirect(self) -> bool:
        return self.status in _REDIRECTS and bool(self.header("location"))

    @property
    def is_success(self) -> bool:
        """Whether it brings what was asked for, and all of it: nobody here asks for a part."""
        if self.status == PARTIAL:
            return is_whole(self.header("content-range"))
        return 200 <= self.status < 300 and self.status != ACCEPTED and self.status not in WITHOUT_CONTENT

    def address(self, name: str) -> str:
        """Return a header that holds an address. Bytes beyond ASCII are UTF-8, or escaped one by one."""
        value = self.header(name)
        if value.isascii():
            return value
        try:
            return value.encode("latin-1").decode()
        except UnicodeDecodeError:
            return "".join(letter if letter.isascii() else f"%{ord(letter):02X}" for letter in value)

    @property
    def media_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        for parameter in self.header("content-type").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'") or None
        return None

    def is_wanted(self) -> bool:
        """Whether its body is to be read, by its head. Raises DocumentError ``unsupported_format`` for pictures, sound,
        films and fonts, before they are downloaded."""
        if self.is_success and self.media_type.startswith(_MEDIA):
            message = f"{self.url} is {self.media_type}, which holds no text; exclude it"
            raise DocumentError(message, code="unsupported_format", counts=False)
        return self.is_success

    def target(self) -> str:
        """Return where a redirect leads. Raises DocumentError ``bad_redirect`` when that is no page."""
        location = self.address("location")
        target = normalised(location, self.url)
        if target is None:
            message = f"{self.url} redirects to {location[:200]!r}, which is not a web page; fix the site or exclude it"
            raise DocumentError(message, code="bad_redirect")
        return target

    def refusal(self) -> ComponentError:
        """The error for an answer that brought no page."""
        url, status = self.url, self.status
        if status in _GONE:
            message = f"{url} is not there ({status}); fix the link that leads to it"
            return DocumentError(message, code="not_found", counts=False, gone=True)
        if status == 429:
            return RateLimited(f"{url} answered 429: too many requests", retry_after_s=self.asked_wait_s())
        if status >= 500 or status in _PASSING:
            return TransientError(f"{url} answered {status}", retry_after_s=self.asked_wait_s())
        if status == PARTIAL:
            part = self.header("content-range")[:100] or "a part, and does not say which"
            return TransientError(f"{url} answered 206 ({part}), though all of it was asked for")
        if status == ACCEPTED:
            return TransientError(f"{url} answered 202: it is not there yet", retry_after_s=self.asked_wait_s())
        return DocumentError(f"{url} answered {status}; {_advice(status)}", code=f"http_{status}")

    def asked_wait_s(self) -> float | None:
        """How long the server asks to be left alone, in seconds; None where it does not say."""
        return retry_after_s(self.headers, datetime.now(UTC))


def _advice(status: int) -> str:
    if status in WITHOUT_CONTENT:
        return f"{WITHOUT_CONTENT[status]}; exclude it, or fix the site"
    if status in {401, 403, 407}:
        return "the page is not public, and phaseflow does not log in"
    return "look at it in a browser, or fix the site"
