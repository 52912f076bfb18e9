"""How the web source has its documents turned into text."""

from functools import partial

import anyio
import anyio.to_thread

from phaseflow.components.extraction import Extracted, extract
from phaseflow.components.sources.web.answer import Answer
from phaseflow.components.sources.web.reading import declared_type, is_html, name_of
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.components.workers.recognition import AnyPool


class Extraction:
    """Extracts pages in worker threads, binary formats, mail and very large pages in the processes of ``workers``."""

    def __init__(self, workers: AnyPool | None) -> None:
        self._workers: AnyPool = workers or ExtractionPool()
        self._owns_workers = workers is None

    async def text(self, answer: Answer) -> Extracted:
        """Return the text of an answer. Raises DocumentError. A cancel abandons the thread, or kills the process."""
        name, media_type = name_of(answer), declared_type(answer)
        work = self._workers.extract if self._workers.takes(answer.body, name, declared_type=media_type) else _in_thread
        return await work(answer.body, name, declared_charset=answer.charset, declared_type=media_type)

    async def check(self, answer: Answer) -> None:
        """Raise DocumentError when a page is so large, and so made, that reading it here could stall the service."""
        if is_html(answer) and self._workers.takes(answer.body, name_of(answer), declared_type=declared_type(answer)):
            await self.text(answer)

    async def aclose(self) -> None:
        """End the workers made here; those given go on."""
        if self._owns_workers:
            await self._workers.aclose()


async def _in_thread(
    data: bytes, name: str, *, declared_charset: str | None = None, declared_type: str | None = None
) -> Extracted:
    work = partial(extract, data, name, declared_charset=declared_charset, declared_type=declared_type)
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
