"""One polite request."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from phaseflow.components.sources.web.address import site_of
from phaseflow.components.sources.web.answer import Answer
from phaseflow.components.sources.web.cookies import Cookies
from phaseflow.components.sources.web.limits import Limits
from phaseflow.components.sources.web.rate_limit import Clock, Pace, Sleep
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.domain.errors import ComponentUnavailable, DocumentError

if TYPE_CHECKING:
    import ssl

    from phaseflow.components.sources.web.transport import Wire

Wanted = Callable[[Answer], bool]


class Fetcher:
    """Makes requests at the pace of each site. Opens its connections at the first one."""

    def __init__(
        self,
        guard: AddressPolicy,
        limits: Limits,
        user_agent: str,
        *,
        clock: Clock,
        sleep: Sleep,
        ssl_context: "ssl.SSLContext | None" = None,
    ) -> None:
        self.limits = limits
        self._guard = guard
        self._user_agent = user_agent
        self._clock = clock
        self._sleep = sleep
        self._ssl_context = ssl_context
        self._cookies = Cookies()
        self._paces: dict[str, Pace] = {}
        self._wire: Wire | None = None
        self._opening = anyio.Lock()
        self._closed = False

    async def get(self, url: str, headers: Mapping[str, str] | None = None, *, wanted: Wanted | None = None) -> Answer:
        """Make one request when its turn has come; without ``wanted`` the body of a success is read.

        Raises what ``Wire.get`` raises, and RateLimited while the site asked to be left alone.
        """
        return await self._ask(url, headers or {}, wanted or _is_success, self.limits)

    async def get_following(self, url: str, *, most: int, max_bytes: int, cut: bool = False) -> Answer:
        """Make requests until one is no redirect, at most ``most`` more.

        Raises what ``get`` raises, and DocumentError ``too_many_redirects``. ``cut`` keeps the first ``max_bytes``.
        """
        limits = replace(self.limits, max_bytes=max_bytes)
        for _ in range(most + 1):
            answer = await self._ask(url, {}, _is_success, limits, cut=cut)
            if not answer.is_redirect:
                return answer
            url = answer.target()
        raise too_many_redirects(url)

    async def _ask(
        self, url: str, headers: Mapping[str, str], wanted: Wanted, limits: Limits, *, cut: bool = False
    ) -> Answer:
        wire = await self._opened()
        pace = self.pace(site_of(url))
        async with pace.turn():
            cookie = self._cookies.header(url)
            sent = {**headers, "Cookie": cookie} if cookie else headers
            answer = await wire.get(url, sent, wanted, limits=limits, cut=cut)
        if answer.header("set-cookie"):
            self._cookies.take(url, answer.header("set-cookie"))
        if answer.status in {429, 503}:
            pace.close(answer.asked_wait_s())
        return answer

    def pace(self, site: str) -> Pace:
        """The pace of a site, the same one each time."""
        if site not in self._paces:
            self._paces[site] = Pace(site, self.limits, self._clock, self._sleep)
        return self._paces[site]

    @property
    def hanging(self) -> int:
        """Requests that take so long that others are made beside them."""
        return sum(pace.hanging for pace in self._paces.values())

    async def aclose(self) -> None:
        """Close the connections. Idempotent; a later call raises ComponentUnavailable."""
        self._closed = True
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.aclose()

    async def _opened(self) -> "Wire":
        from phaseflow.components.sources.web.transport import Wire

        async with self._opening:
            if self._closed:
                raise ComponentUnavailable("the web loader is closed; make a new one")
            if self._wire is None:
                try:
                    self._wire = await Wire.open(self._guard, self.limits, self._user_agent, self._ssl_context)
                except OSError as error:
                    message = "the certificates cannot be read; check SSL_CERT_FILE and SSL_CERT_DIR"
                    raise ComponentUnavailable(message) from error
            return self._wire


def too_many_redirects(url: str) -> DocumentError:
    """The error for redirects that lead in a circle or go on and on."""
    message = f"{url} is a redirect loop, or redirects too often; fix the site"
    return DocumentError(message, code="too_many_redirects")


def _is_success(answer: Answer) -> bool:
    return answer.is_success
