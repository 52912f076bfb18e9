"""Whether a page that another one is to be left out for is really there: a claim that does not hold loses a page."""

from collections import Counter
from collections.abc import Awaitable, Callable

from phaseflow.components.sources.web.answer import Answer, TooSlow
from phaseflow.components.sources.web.fetching import Fetcher
from phaseflow.components.sources.web.reading import Reading
from phaseflow.components.sources.web.robots import Robots
from phaseflow.domain.errors import DocumentError, RateLimited, TransientError

_REMEMBERED = 10_000
_PATIENCE = 5
"""Attempts at such a page, fewer than the engine makes at the one that names it."""


class Standing:
    """Asks for pages beside their turn, and remembers which canonical addresses hold."""

    def __init__(self, fetcher: Fetcher, robots: Robots, read: Callable[[Answer], Awaitable[Reading]]) -> None:
        self._fetcher = fetcher
        self._robots = robots
        self._read = read
        self._stand: dict[str, bool] = {}
        self._faults: Counter[str] = Counter()

    async def holds(self, url: str) -> bool:
        """Whether a page is a document that names no other as canonical. Raises TransientError, to be tried again."""
        if url not in self._stand:
            self.remember(url, stands=await self._stands(url))
        return self._stand[url]

    def remember(self, url: str, *, stands: bool) -> None:
        """Note what is known of a page."""
        if len(self._stand) >= _REMEMBERED:
            self._stand.pop(next(iter(self._stand)))
        self._stand[url] = stands

    async def keeps(self, url: str, digest: bytes) -> bool:
        """Whether the document at ``url`` stays what it was: it has these bytes, or fails in a way in which the
        knowledge base keeps it. Raises TransientError, to be tried again."""
        try:
            reading = await self._reading(url)
        except RateLimited:
            raise
        except DocumentError as error:
            return not error.gone
        except TransientError:  # one that is too slow is among them
            if self._is_worth_another_attempt(url):
                raise
            return True
        return reading is not None and reading.digest == digest and _is_document(reading, url)

    async def _stands(self, url: str) -> bool:
        if not await self._robots.allow(url):
            return False
        try:
            reading = await self._reading(url)
        except (DocumentError, TooSlow):
            return False
        except RateLimited:
            raise
        except TransientError:
            if self._is_worth_another_attempt(url):
                raise
            return False
        return reading is not None and _is_document(reading, url)

    def _is_worth_another_attempt(self, url: str) -> bool:
        self._faults[url] += 1
        return self._faults[url] < _PATIENCE

    async def _reading(self, url: str) -> Reading | None:
        """None for a redirect."""
        answer = await self._fetcher.get(url, wanted=Answer.is_wanted)
        if not answer.is_success and not answer.is_redirect:
            raise answer.refusal()
        return await self._read(answer) if answer.is_success else None


def _is_document(reading: Reading, url: str) -> bool:
    return reading.page.canonical in {None, url} and not reading.page.directives.noindex
