"""The web source: one page a call, with everything that is to be remembered handed to the engine."""

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from typing import Self

import anyio

from phaseflow.components.protocols import Document, Entry, Known, Skipped, Unchanged
from phaseflow.components.sources.web.address import site_of
from phaseflow.components.sources.web.answer import Answer, SiteDown, TooSlow
from phaseflow.components.sources.web.fetching import Fetcher, too_many_redirects
from phaseflow.components.sources.web.limits import Limits
from phaseflow.components.sources.web.links import Links
from phaseflow.components.sources.web.page import Page
from phaseflow.components.sources.web.rate_limit import Clock, Sleep
from phaseflow.components.sources.web.reading import Extraction, Reading
from phaseflow.components.sources.web.robots import Robots
from phaseflow.components.sources.web.sitemap import Sitemap
from phaseflow.components.sources.web.ssrf import AddressPolicy, Resolver, resolve
from phaseflow.components.sources.web.stamp import Stamp
from phaseflow.components.sources.web.standing import Standing
from phaseflow.components.sources.web.start_urls import Seeds, given_pages
from phaseflow.components.sources.web.twins import Twins
from phaseflow.components.workers.recognition import AnyPool
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DocumentError, SourceDown, SourceNotAllowed
from phaseflow.domain.settings import WebSource

_USER_AGENT = "phaseflow"
_MOST_IN_FLIGHT = 16
_SLOW_TRIES = 2
"""Attempts at a page that is answered too slowly: each takes a minute and one of the few requests at once."""
_NOINDEX = "asks not to be indexed"

Outcome = Document | Unchanged | Skipped


class WebLoader:
    """Lists the given pages and those of the sitemaps, and reads one page a call. Implements ``Loader``.

    Nothing about the crawl is kept here: a loader made anew goes on from the engine's frontier. What is kept
    (connections, robots.txt, the pace of each site) can be had again.

    Only http and https, only public addresses and those named in ``allow_private`` (``HOST`` or ``HOST:PORT``),
    checked for every connection. Stays on the sites of the source, and on one that a page of the source redirects to.
    ``workers`` read binary formats (default: a pool of its own, ended by ``aclose``). ``clock`` gives seconds that only
    go forward, ``sleep`` waits for some.
    The product token that robots.txt and robots tags are read for is what stands before the slash in ``user_agent``.
    """

    follows_links = True
    drops_reads = True

    def __init__(
        self,
        source: WebSource,
        *,
        allow_private: Collection[str] = (),
        limits: Limits | None = None,
        user_agent: str = _USER_AGENT,
        workers: AnyPool | None = None,
        resolver: Resolver = resolve,
        ssl_context: ssl.SSLContext | None = None,
        clock: Clock = anyio.current_time,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        self._limits = limits or Limits()
        self._agent = user_agent.partition("/")[0].strip().lower()
        self._extraction = Extraction(workers)
        guard = AddressPolicy(allow_private, resolver=resolver)
        self._fetcher = Fetcher(guard, self._limits, user_agent, clock=clock, sleep=sleep, ssl_context=ssl_context)
        self._robots = Robots(self._fetcher, self._agent, clock)
        given = given_pages(source)
        self._given = frozenset(given)
        sites = frozenset(map(site_of, given))
        self._is_one_site = len(sites) == 1
        self._links = Links(sites, self._robots, source.max_depth)
        self._seeds = Seeds(given, source, self._fetcher, self._robots, self._links, sleep)
        self._standing = Standing(self._fetcher, self._robots, self._read)
        self._twins = Twins()
        self._slow: Counter[str] = Counter()
        self.max_entries = source.max_pages
        self.max_depth = source.max_depth
        self._places = min(_MOST_IN_FLIGHT, self._limits.at_once * max(1, len(sites)))

    @property
    def in_flight(self) -> int:
        """Pages read at once: more while some hang."""
        return self._places + min(_MOST_IN_FLIGHT, self._fetcher.hanging)

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the given pages, then those of the sitemaps, each address once, at most ``max_entries``.

        With a ``max_depth`` the sitemaps are not asked: they would bring the whole site, however deep.
        A sitemap that cannot be read just now, or breaks off, is yielded itself: the engine tries it again like a page,
        and ``load`` gives what it names. Raises ComponentUnavailable when no site can be reached, or none may be.
        """
        async for page in self._seeds.pages():
            yield page

    def expect_documents(self, documents: Sequence[tuple[str, bytes]]) -> None:
        """Remember which addresses are documents: a new page with the bytes of one is left out in its favour."""
        self._twins.expect(documents)

    async def load(self, entry: Entry, known: Known | None) -> Outcome:
        """Fetch one page.

        Skipped: what redirects, has another canonical address, asks not to be indexed, is byte for byte a page that
        was read before, and sitemaps. Unchanged: what
        the server says is so (304), or whose bytes are the same.

        Raises DocumentError: ``not_found`` (404, 410), ``http_…`` (any other refusal), ``robots_disallowed``,
        ``source_not_allowed``, ``too_many_redirects``, ``bad_redirect``, ``too_large``, ``malformed``,
        ``unsupported_encoding``, ``unsupported_format``, ``too_slow`` (the second time), and what extraction raises;
        RateLimited, TransientError,
        SourceDown when the only site of the source has no connection.
        Cancelling it ends the request.
        """
        try:
            outcome = await self._load(entry, known)
        except TooSlow as error:
            self._slow[entry.uri] += 1
            if self._slow[entry.uri] < _SLOW_TRIES:
                raise
            del self._slow[entry.uri]
            raise DocumentError(f"{error}; gave up after {counted(_SLOW_TRIES, 'attempt')}", code="too_slow") from error
        except SourceNotAllowed as error:
            raise DocumentError(str(error), code="source_not_allowed") from error
        except SiteDown as error:
            if self._is_one_site and error.site == site_of(entry.uri):
                raise SourceDown(str(error)) from error
            raise
        self._slow.pop(entry.uri, None)
        return outcome

    async def aclose(self) -> None:
        """Close the connections and end the workers made here. Idempotent."""
        await self._fetcher.aclose()
        await self._extraction.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _load(self, entry: Entry, known: Known | None, *, again: bool = False) -> Outcome:
        stamp = Stamp.decoded(known.stamp, entry.uri) if known else Stamp()
        await self._check_rules(entry.uri)
        answer = await self._fetcher.get(entry.uri, stamp.conditions(), wanted=Answer.is_wanted)
        if answer.is_redirect:
            moved = await self._redirected(entry, answer)
            if moved is None and not again:  # it has set a cookie and led back
                return await self._load(entry, known, again=True)
            if moved is None:
                raise too_many_redirects(entry.uri)
            return moved
        if answer.status == 304 and known is not None and stamp.conditions():
            return await self._not_modified(entry, known, stamp, answer)
        if not answer.is_success:
            raise answer.refusal()
        if Sitemap.is_in(answer.body) or self._seeds.is_sitemap(entry.uri):
            return await self._sitemap(entry, answer)
        return await self._page(entry, known, await self._read(answer))

    async def _check_rules(self, url: str) -> None:
        if await self._robots.allow(url):
            return
        message = f"the robots.txt of {site_of(url)} does not allow {url}; leave it out, or ask its owner"
        raise DocumentError(message, code="robots_disallowed", counts=False)

    async def _redirected(self, entry: Entry, answer: Answer) -> Skipped | None:
        """Follow to the end without reading it: the page there is an entry of its own. None when it is this one."""
        seen = {entry.uri}
        took_s = answer.took_s
        for _ in range(self._limits.redirects):
            target = answer.target()
            if took_s > 2 * self._limits.total_s:
                raise TooSlow(f"{entry.uri} redirects for {took_s:.0f} s, each time slowly; try again later")
            if target in seen and not answer.header("set-cookie"):
                break
            # A page of the source may move to another site, and takes the crawl with it (to www, to https).
            if entry.uri not in self._given and not await self._links.may_move(target, entry.uri):
                return Skipped(entry, f"redirects to another site: {target}")
            await self._check_rules(target)
            answer = await self._fetcher.get(target, wanted=_nothing)
            if not answer.is_redirect:
                return await self._moved(entry, answer) if target != entry.uri else None
            seen.add(target)
            took_s += answer.took_s
        raise too_many_redirects(entry.uri)

    async def _moved(self, entry: Entry, answer: Answer) -> Skipped:
        if not answer.is_success:
            raise answer.refusal()
        there = Entry(answer.url, depth=entry.depth)
        more = await self._seeds.moved_to(site_of(answer.url)) if entry.uri in self._given else ()
        return Skipped(entry, f"redirects to {answer.url}", (there, *more))

    async def _not_modified(self, entry: Entry, known: Known, stamp: Stamp, answer: Answer) -> Outcome:
        page = Page.of_headers(answer.headers, answer.url, self._agent)
        links = await self._links.entries(entry, () if page.directives.nofollow else stamp.links)
        if page.directives.noindex:
            return Skipped(entry, _NOINDEX, links)
        if (canonical := await self._canonical(entry, page.canonical)) is not None:
            return self._left_out_for(canonical, entry, links)
        async with self._twins.turn(known.content_hash, entry.uri) as twin:
            if twin is not None:
                return Skipped(entry, f"the same page as {twin}", links, twin, is_same=True)
            return Unchanged(entry, known.content_hash, known.stamp, links)

    async def _sitemap(self, entry: Entry, answer: Answer) -> Skipped:
        read = partial(Sitemap.read, answer.body, answer.url, self._limits)
        found = await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
        if not found.is_whole and self._seeds.is_sitemap(entry.uri):  # what it names has been listed
            message = (
                f"the sitemap {entry.uri} breaks off before its end, and may name others; run again when it is whole"
            )
            raise DocumentError(message, code="malformed")
        named = await self._links.listed((*found.sitemaps, *found.pages), entry.depth)
        return Skipped(entry, "a sitemap", named)

    async def _page(self, entry: Entry, known: Known | None, reading: Reading) -> Outcome:
        page = reading.page
        links = await self._links.entries(entry, page.links)
        if page.directives.noindex:
            return Skipped(entry, _NOINDEX, links)
        if (canonical := await self._canonical(entry, page.canonical)) is not None:
            return self._left_out_for(canonical, entry, links)
        stamp = Stamp.of(reading.answer, page.links).encoded(entry.uri)
        async with self._twins.turn(reading.digest, entry.uri) as read_before:
            if read_before is None and known is not None and known.content_hash == reading.digest:
                return Unchanged(entry, reading.digest, stamp, links)
            twin = read_before or await self._standing_twin(entry, reading.digest)
            if twin is not None:
                return Skipped(entry, f"the same page as {twin}", links, twin, is_same=True)
            found = await self._extraction.text(reading.answer)
            also_at = self._twins.aliases(entry.uri)
            metadata = {**found.metadata, "also_at": also_at} if also_at else found.metadata
            return Document(
                entry, found.text, found.title, found.media_type, reading.digest, stamp, found.parts, links,
                metadata, len(reading.answer.body), found.read_as,
            )  # fmt: skip

    async def _read(self, answer: Answer) -> Reading:
        await self._extraction.check(answer)
        return await Reading.of(answer, self._agent)

    def _left_out_for(self, canonical: str, entry: Entry, links: tuple[Entry, ...]) -> Skipped:
        reason = f"its canonical address is {canonical}"
        # The page that it names may be a document already, or become one later.
        self._twins.add_alias(canonical, entry.uri)
        return Skipped(entry, reason, (Entry(canonical, depth=entry.depth), *links), canonical)

    async def _canonical(self, entry: Entry, target: str | None) -> str | None:
        """Return the address that stands for this page, when there is one that holds: ``target`` is what it names.

        A canonical address is a claim. One that leads nowhere, elsewhere again or back here would lose the page, and
        so would one that has no answer but errors.
        """
        if target is None or target == entry.uri or not self._links.same_site(target, entry.uri):
            self._standing.remember(entry.uri, stands=True)
            return None
        return target if await self._standing.holds(target) else None

    async def _standing_twin(self, entry: Entry, digest: bytes) -> str | None:
        """The address that was the document with these bytes in an earlier crawl, if it still is."""
        url = self._twins.expected(digest)
        if url is None or url == entry.uri or not self._links.same_site(url, entry.uri):
            return None
        if not await self._robots.allow(url) or not await self._standing.keeps(url, digest):
            return None
        self._twins.agree(digest, url)
        return url


def _nothing(_: Answer) -> bool:
    return False
