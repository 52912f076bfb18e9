"""Documents whose text has to be recognised: after the workers have found none, page by page in processes of their own.

These run on this machine wherever the other workers are: the models weigh 30 MB and are loaded for a second.
"""

import json
from functools import partial

import anyio

from phaseflow.components.extraction.pictures import is_picture
from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.local import LocalWorkers, usable_cores
from phaseflow.components.workers.pool import LOSSES, ExtractionPool
from phaseflow.components.workers.process import Limits
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DocumentError, WorkerLost
from phaseflow.domain.vocabulary import PAGES_WITHOUT_TEXT

_PAGE_LIMITS = Limits(time_s=60.0, memory_bytes=4 << 30, idle_s=30.0)
"""What one page may cost. With its models and a page a process takes 0.7 GiB; one that keeps a quarter of its limit is
replaced."""


class PageProgress:
    """How far documents are whose text is being recognised."""

    def __init__(self) -> None:
        self._pages: dict[str, tuple[int, int]] = {}

    def begin(self, name: str, page: int, pages: int) -> None:
        """A page (from 1) of so many is looked at."""
        self._pages[name] = page, pages

    def end(self, name: str) -> None:
        """The document is done, or given up."""
        self._pages.pop(name, None)

    def words(self) -> str | None:
        """What is being done, for a message; None while nothing is."""
        for name, (page, pages) in self._pages.items():
            return f"recognising the text of {name}, page {page} of {pages}"
        return None


class Recognition:
    """The processes that recognise text, at most one a core, started with the first page. Used by one event loop."""

    def __init__(self, size: int | None = None, limits: Limits = _PAGE_LIMITS) -> None:
        self._workers = LocalWorkers(size or usable_cores(), limits)
        self._places = anyio.CapacityLimiter(self._workers.capacity)

    @property
    def pids(self) -> list[int]:
        """The processes there are now."""
        return self._workers.pids

    async def text(self, data: bytes, name: str, progress: PageProgress) -> Extracted:
        """The document with the text of its pages that have none. Cancelling it kills the process.

        Raises DocumentError: ``no_text_layer`` when none was recognised (not counted), ``malformed``, ``too_large``,
        ``extraction_timeout``, ``extraction_memory`` and ``extraction_crashed`` of a page, ``missing_extra``;
        WorkerUnavailable.
        """
        async with self._places:
            pages = json.loads((await self._ask(data, name, step="pages")).text)
            texts = {}
            try:
                for place, page in enumerate(pages, 1):
                    progress.begin(name, place, len(pages))
                    texts[page] = (await self._ask(data, name, step="page", page=page)).text
            finally:
                progress.end(name)
            return await self._ask(data, name, step="whole", texts=texts)

    async def aclose(self) -> None:
        """End all processes at once, and see them gone."""
        await self._workers.aclose()

    async def _ask(self, data: bytes, name: str, **step: object) -> Extracted:
        head = {"name": name, "ocr": step}
        for attempt in range(1, LOSSES + 1):
            try:
                found = await self._workers.ask(head, data)
            except WorkerLost as error:
                if attempt == LOSSES:
                    message = f"{counted(LOSSES, 'worker')} in a row were lost on {name}: {error}"
                    raise DocumentError(message, code="extraction_crashed") from error
                continue
            if isinstance(found, DocumentError):
                raise found
            return found
        raise AssertionError


class RecognisingPool:
    """What loaders have of an ``ExtractionPool`` where text is to be recognised: a document without a text layer, or a
    part of it, goes to ``recognition`` next. What neither has is the pool's."""

    def __init__(self, pool: ExtractionPool, recognition: Recognition) -> None:
        self._pool = pool
        self.progress = PageProgress()
        self._text = partial(recognition.text, progress=self.progress)

    @property
    def in_flight(self) -> int:
        """How many documents a loader should have on their way."""
        return self._pool.in_flight

    def takes(self, data: bytes, name: str, *, declared_type: str | None = None) -> bool:
        """As of the pool; and pictures."""
        return is_picture(data) or self._pool.takes(data, name, declared_type=declared_type)

    async def extract(
        self, data: bytes, name: str, *, declared_charset: str | None = None, declared_type: str | None = None
    ) -> Extracted:
        """Return the text of a document, recognised where it has none. Raises what the pool and ``Recognition`` do."""
        if is_picture(data):
            return await self._text(data, name)
        try:
            found = await self._pool.extract(data, name, declared_charset=declared_charset, declared_type=declared_type)
        except DocumentError as error:
            if error.code != "no_text_layer" or not data.lstrip()[:1024].count(b"%PDF-"):
                raise
            return await self._text(data, name)
        return await self._text(data, name) if found.metadata.get(PAGES_WITHOUT_TEXT) else found

    async def aclose(self) -> None:
        """Nothing: the pool and the processes belong to whoever made them."""


AnyPool = ExtractionPool | RecognisingPool
"""What loaders have their documents read by."""
