"""A page as it was fetched: what it says of itself, and its text."""

import hashlib
import re
from dataclasses import dataclass, replace
from functools import partial

import anyio
import anyio.to_thread

from phaseflow.components.extraction import Extracted, extract
from phaseflow.components.extraction.types import Raw
from phaseflow.components.sources.web.answer import Answer
from phaseflow.components.sources.web.page import Page
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.components.workers.recognition import AnyPool
from phaseflow.domain.identifiers import name_in

_HTML = frozenset(("text/html", "application/xhtml+xml"))
_XML = frozenset(("application/xml", "text/xml"))
# Atomic groups: what stands before the root cannot be read in many ways.
_HTML_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|(?><\?.*?\?>)|(?><!--.*?-->))*+<(?:!doctype\s+html|html|head|body)\b", re.S | re.I
)
_HEAD = 4096
_GENERIC = frozenset(("application/octet-stream", "binary/octet-stream", "application/x-download"))


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer and what stands in it for a crawler."""

    answer: Answer
    page: Page
    digest: bytes = b""

    @classmethod
    async def of(cls, answer: Answer, agent: str) -> "Reading":
        """Read a page in a worker thread, which a cancel abandons. Raises DocumentError when it cannot be parsed."""
        return await anyio.to_thread.run_sync(_read, answer, agent, abandon_on_cancel=True)


def _name_of(answer: Answer) -> str:
    """Return the address without its query, so that its extension can be seen."""
    return name_in(answer.url)


def _declared_type(answer: Answer) -> str | None:
    """Return the media type that the server declares; None where that only means that it does not know.

    XML and what is not declared are HTML where they begin so.
    """
    declared = None if answer.media_type in _GENERIC else answer.media_type or None
    if (declared is None or declared in _XML) and _HTML_ROOT.match(answer.body[:_HEAD]):
        return "text/html" if declared is None else "application/xhtml+xml"
    return declared


def _read(answer: Answer, agent: str) -> Reading:
    digest = hashlib.blake2b(answer.body, digest_size=16).digest()
    page = Page.of_headers(answer.headers, answer.url, agent)
    if _is_html(answer):
        inside = Page.read(Raw(answer.body, answer.url, answer.charset), answer.url, agent)
        directives = page.directives | inside.directives
        links = () if directives.nofollow else inside.links
        page = replace(inside, directives=directives, canonical=page.canonical or inside.canonical, links=links)
    return Reading(answer, page, digest)


def _is_html(answer: Answer) -> bool:
    """Say whether an answer is a page, by what the server declares, else by how it begins."""
    return _declared_type(answer) in _HTML


class Extraction:
    """Extracts pages in worker threads, binary formats, mail and very large pages in the processes of ``workers``."""

    def __init__(self, workers: AnyPool | None) -> None:
        self._workers: AnyPool = workers or ExtractionPool()
        self._owns_workers = workers is None

    async def text(self, answer: Answer) -> Extracted:
        """Return the text of an answer. Raises DocumentError. A cancel abandons the thread, or kills the process."""
        name, media_type = _name_of(answer), _declared_type(answer)
        work = self._workers.extract if self._workers.takes(answer.body, name, declared_type=media_type) else _in_thread
        return await work(answer.body, name, declared_charset=answer.charset, declared_type=media_type)

    async def check(self, answer: Answer) -> None:
        """Raise DocumentError when a page is so large, and so made, that reading it here could stall the service."""
        if _is_html(answer) and self._workers.takes(
            answer.body, _name_of(answer), declared_type=_declared_type(answer)
        ):
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
