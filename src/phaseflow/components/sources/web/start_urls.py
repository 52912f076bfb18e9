"""Where a crawl begins: the given pages, and what the sitemaps of their sites name."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.to_thread

from phaseflow.components.protocols import Entry
from phaseflow.components.sources.web.address import advice, normalised, site_of
from phaseflow.components.sources.web.answer import SiteDown, TooSlow
from phaseflow.components.sources.web.fetching import Fetcher
from phaseflow.components.sources.web.links import Links
from phaseflow.components.sources.web.rate_limit import Sleep
from phaseflow.components.sources.web.robots import Robots
from phaseflow.components.sources.web.sitemap import MAX_BYTES, Sitemap
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, RateLimited, SourceNotAllowed, TransientError
from phaseflow.domain.log import get_logger
from phaseflow.domain.settings import WebSource

MAX_SITEMAPS = 1000
"""Of one crawl: with 50,000 pages each, more than any crawl takes."""
_WAITS_S = (0.5, 2.0)
"""Between the attempts to reach a site, before it counts as down."""
_MOST_SLOW = 3
"""Sitemaps in a row that did not come in time, after which the others are left to be tried like pages."""
_AT_ONCE = 8
_REDIRECTS = 5


def given_pages(source: WebSource) -> tuple[str, ...]:
    """Return the pages of a source, each once. Raises ComponentUnavailable when one is no address to fetch."""
    pages: dict[str, None] = {}
    for url in source.urls:
        address = normalised(str(url))
        if address is None:
            raise ComponentUnavailable(advice(url.host))
        pages[address] = None
    return tuple(pages)


@dataclass(frozen=True, slots=True)
class _Named:
    url: str
    site: str
    """The home of the site that the sitemap is for."""
    guessed: bool

    def may_lack(self, error: Exception) -> bool:
        """Say whether the crawl does well without this sitemap, once it failed like this.

        Nobody promised a guessed one. One that lies elsewhere is often a relic of a former address.
        """
        is_foreign = site_of(self.url) != self.site
        return (self.guessed or is_foreign) and not _may_pass(error, is_foreign)


class Seeds:
    """The pages that a crawl begins with, at most ``max_pages`` of them."""

    def __init__(
        self, given: Sequence[str], source: WebSource, fetcher: Fetcher, robots: Robots, links: Links, sleep: Sleep
    ) -> None:
        self._given = given
        self._most = source.max_pages
        self._has_sitemaps = source.max_depth is None
        self._fetcher = fetcher
        self._robots = robots
        self._links = links
        self._sleep = sleep
        self._slow = 0
        self._unread: set[str] = set()
        self._sites = tuple(dict.fromkeys(map(site_of, given)))

    async def pages(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the entries, each address once. Raises ComponentUnavailable when no site can be reached."""
        reached = await self._reached()
        seen = set(self._given[: self._most])
        yield [Entry(url) for url in self._given[: self._most]]
        if not self._has_sitemaps:
            return
        async for named in self._named(reached):
            new = [entry for entry in named if entry.uri not in seen][: self._most - len(seen)]
            seen.update(entry.uri for entry in new)
            if new:
                yield new
            if len(seen) >= self._most:
                return

    async def moved_to(self, site: str) -> tuple[Entry, ...]:
        """What the sitemaps of a site name to which a given page leads, where its ``robots.txt`` does not lead, too:
        else they are among ``pages``."""
        found: dict[str, Entry] = {}
        if not self._has_sitemaps or await self._links.is_home(site):
            return ()
        async for named in self._named([site], also=site):
            found.update((entry.uri, entry) for entry in named)
            if len(found) >= self._most:
                break
        return tuple(found.values())[: self._most]

    def is_sitemap(self, url: str) -> bool:
        """Whether an address was named as a sitemap, and could not be read when it was listed. A feed or a list of
        addresses looks like any other document, so this cannot be told from what is read later."""
        return url in self._unread

    async def _reached(self) -> list[str]:
        faults: dict[str, Exception] = {}
        limit = anyio.CapacityLimiter(_AT_ONCE)

        async def reach(site: str) -> None:
            async with limit:
                try:
                    await self._reach(site)
                except (TransientError, SourceNotAllowed) as error:
                    faults[site] = error

        async with anyio.create_task_group() as tasks:
            for site in self._sites:
                tasks.start_soon(reach, site)
        if len(faults) == len(self._sites):
            error = faults[self._sites[0]] if faults else None
            passing = [each for each in faults.values() if _may_pass(each, is_foreign=True)]
            if passing:  # whoever lists tries again, or waits as long as it asks, and says so
                raise next((each for each in passing if isinstance(each, RateLimited)), passing[0])
            raise ComponentUnavailable(str(error or "the source names no page; give it one")) from error
        return [site for site in self._sites if site not in faults]

    async def _reach(self, site: str) -> None:
        for wait_s in _WAITS_S:
            try:
                await self._robots.rules(site)
            except TransientError as error:
                if len(self._sites) == 1 and error.retry_after_s is not None:
                    raise
                await self._sleep(max(wait_s, min(error.retry_after_s or 0, 30)))
            else:
                return
        await self._robots.rules(site)

    async def _named(self, sites: Sequence[str], also: str | None = None) -> AsyncIterator[Sequence[Entry]]:
        waiting = deque([named for site in sites for named in await self._first(site)])
        seen = {named.url for named in waiting}
        while waiting and len(seen) <= MAX_SITEMAPS:
            named = waiting.popleft()
            found = await self._read(named)
            if found is None or not found.is_whole:
                self._unread.add(named.url)
                yield [Entry(named.url)]
            if found is None:
                continue
            new = [url for url in found.sitemaps if url not in seen]
            seen.update(new)
            waiting.extend(_Named(url, named.site, guessed=False) for url in new)
            yield await self._links.listed(found.pages, also=also)

    async def _first(self, site: str) -> list[_Named]:
        rules = await self._robots.rules(site)
        named = [_Named(url, rules.home, guessed=False) for url in rules.sitemaps]
        usual = _Named(f"{rules.home}/sitemap.xml", rules.home, guessed=True)
        return named if any(each.url == usual.url for each in named) else [*named, usual]

    async def _read(self, named: _Named) -> Sitemap | None:
        """Return what a sitemap names; None when it could not be read, and is to be tried like a page."""
        if self._slow >= _MOST_SLOW:
            return None
        try:
            answer = await self._fetcher.get_following(named.url, most=_REDIRECTS, max_bytes=MAX_BYTES)
            if not answer.is_success:
                raise answer.refusal()
            self._slow = 0
            read = partial(Sitemap.read, answer.body, answer.url, self._fetcher.limits)
            return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
        except (DocumentError, TransientError, SourceNotAllowed) as error:
            self._slow += isinstance(error, TooSlow)
            if named.may_lack(error):
                return Sitemap()
            get_logger(url=named.url).warning("sitemap not read", error=str(error))
            return None


def _may_pass(error: Exception, is_foreign: bool) -> bool:
    return isinstance(error, TransientError) and not (is_foreign and isinstance(error, SiteDown))
