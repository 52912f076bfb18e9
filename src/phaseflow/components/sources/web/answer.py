"""What a server answered, before it means anything."""

from collections.abc import Mapping
from dataclasses import dataclass

from phaseflow.domain.errors import TransientError

_REDIRECTS = frozenset((301, 302, 303, 307, 308))


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
        return 200 <= self.status < 300

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
