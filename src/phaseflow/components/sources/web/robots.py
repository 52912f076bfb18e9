"""robots.txt by RFC 9309: one file a site, fetched when it is first needed and kept for a day."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio

from phaseflow.components.sources.web.address import normalised, site_of
from phaseflow.components.sources.web.answer import Answer, TooSlow
from phaseflow.components.sources.web.fetching import Fetcher
from phaseflow.components.sources.web.rate_limit import Clock
from phaseflow.components.sources.web.robots_file import RobotsFile
from phaseflow.domain.errors import DocumentError

MAX_BYTES = 512 * 1024
"""What stands after this is not read; the RFC asks for 500 KiB at least."""
_REDIRECTS = 5
_KEPT_S = 24 * 3600.0
_SLOW_S = 60.0
"""How long a site whose file did not come in time is left alone: all its pages wait for it in turn."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site asks of this crawler. Without a file everything is allowed."""

    agent: str
    home: str
    """The site that the file came from: another one when the whole site has moved (to www, to https)."""
    file: RobotsFile | None = None

    @classmethod
    def read(cls, answer: Answer, agent: str) -> "Rules":
        """Read a file. Blocking. Takes whatever stands in it: a line that is none says nothing."""
        file = RobotsFile(answer.body.decode("utf-8-sig", "replace"), agent)
        return cls(agent, site_of(answer.url), file)

    def allow(self, url: str) -> bool:
        return self.file is None or self.file.allows(url)

    def allowed(self, urls: Iterable[str]) -> list[str]:
        return [url for url in urls if self.allow(url)]

    @property
    def delay_s(self) -> float | None:
        return None if self.file is None else self.file.delay_s

    @property
    def sitemaps(self) -> Sequence[str]:
        """The sitemaps that the file names, in its order."""
        named = () if self.file is None else self.file.sitemaps
        addresses = (normalised(link, f"{self.home}/") for link in named)
        return list(dict.fromkeys(address for address in addresses if address))


class Robots:
    """The rules of every site that was asked for, as the product token ``agent``."""

    def __init__(self, fetcher: Fetcher, agent: str, clock: Clock) -> None:
        self._fetcher = fetcher
        self._agent = agent
        self._clock = clock
        self._kept: dict[str, tuple[float, Rules]] = {}
        self._slow: dict[str, tuple[float, TooSlow]] = {}
        self._locks: dict[str, anyio.Lock] = {}

    async def rules(self, site: str) -> Rules:
        """Return the rules of a site.

        A 4xx means that there are none. Raises TransientError when the site cannot be asked or answers 5xx or 429:
        what it allows is then unknown, and nothing is fetched. Raises SourceNotAllowed.
        """
        async with self._locks.setdefault(site, anyio.Lock()):
            until, rules = self._kept.get(site, (0.0, None))
            if rules is None or self._clock() >= until:
                slow_until, slow = self._slow.get(site, (0.0, None))
                if slow is not None and self._clock() < slow_until:
                    raise TooSlow(str(slow))
                try:
                    rules = await self._fetch(site)
                except TooSlow as error:
                    self._slow[site] = (self._clock() + _SLOW_S, error)
                    raise
                self._kept[site] = (self._clock() + _KEPT_S, rules)
                self._fetcher.pace(site).slow_down(rules.delay_s)
            return rules

    async def allow(self, url: str) -> bool:
        return (await self.rules(site_of(url))).allow(url)

    async def _fetch(self, site: str) -> Rules:
        try:
            answer = await self._fetcher.get_following(
                f"{site}/robots.txt", most=_REDIRECTS, max_bytes=MAX_BYTES, cut=True
            )
        except DocumentError:
            # Redirects without end, bytes that do not unpack: as good as no file (RFC 9309, 2.3.1.2).
            return Rules(self._agent, site)
        if answer.is_success:
            return await anyio.to_thread.run_sync(Rules.read, answer, self._agent)
        error = answer.refusal()
        if isinstance(error, DocumentError):
            return Rules(self._agent, site_of(answer.url))
        raise error
