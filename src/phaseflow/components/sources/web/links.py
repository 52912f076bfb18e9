"""Which of the addresses that were found belong to the crawl."""

from collections.abc import Collection, Iterable

import anyio
import anyio.to_thread

from phaseflow.components.protocols import Entry
from phaseflow.components.sources.web.address import site_of
from phaseflow.components.sources.web.page import is_media
from phaseflow.components.sources.web.robots import Robots
from phaseflow.domain.errors import SourceNotAllowed, TransientError


class Links:
    """Keeps the crawl on its sites, within robots.txt and within its depth."""

    def __init__(self, sites: Collection[str], robots: Robots, max_depth: int | None) -> None:
        self._sites = sites
        self._robots = robots
        self._max_depth = max_depth

    def same_site(self, url: str, page: str) -> bool:
        """Say whether an address belongs to the crawl that has come to ``page``.

        The page's own site counts: the crawl is there because a page of the source moved there.
        """
        site = site_of(url)
        return site in self._sites or site == site_of(page)

    async def may_move(self, url: str, page: str) -> bool:
        """Say whether a redirect may lead from ``page`` there: to the same site, or to where a site has moved."""
        return self.same_site(url, page) or site_of(url) in await self._homes()

    async def entries(self, page: Entry, urls: Iterable[str]) -> tuple[Entry, ...]:
        """Return what is to be followed from a page, one link deeper than it."""
        depth = page.depth + 1
        if self._max_depth is not None and depth > self._max_depth:
            return ()
        own = (url for url in urls if self.same_site(url, page.uri))
        return tuple(Entry(url, depth=depth) for url in await self._allowed(own))

    async def is_home(self, site: str) -> bool:
        """Say whether a site is one of the crawl's, or where the ``robots.txt`` of one has led."""
        return site in await self._homes()

    async def listed(self, urls: Iterable[str], depth: int = 0, also: str | None = None) -> tuple[Entry, ...]:
        """Return what a sitemap adds to the crawl: at the depth of the sitemap, for it stands for its pages.

        A sitemap may lie anywhere, and its own site counts for nothing, unless it is ``also`` of the crawl.
        """
        homes = await self._homes() | {also}
        own = (url for url in urls if site_of(url) in homes and not is_media(url))
        return tuple(Entry(url, depth=depth) for url in await self._allowed(own))

    async def _homes(self) -> set[str]:
        return {home for site in self._sites for home in (site, await self._home(site))}

    async def _home(self, site: str) -> str:
        try:
            return (await self._robots.rules(site)).home
        except (TransientError, SourceNotAllowed):
            return site

    async def _allowed(self, urls: Iterable[str]) -> list[str]:
        order: dict[str, int] = {}
        by_site: dict[str, list[str]] = {}
        for url in dict.fromkeys(urls):
            order[url] = len(order)
            by_site.setdefault(site_of(url), []).append(url)
        allowed = [url for site, group in by_site.items() for url in await self._allowed_on(site, group)]
        return sorted(allowed, key=order.__getitem__)

    async def _allowed_on(self, site: str, urls: list[str]) -> list[str]:
        try:
            rules = await self._robots.rules(site)
        except (TransientError, SourceNotAllowed):
            # Another site of the source is down: that is for its own pages to report, each when its turn comes.
            return urls
        return await anyio.to_thread.run_sync(rules.allowed, urls, abandon_on_cancel=True)
