"""A page as it was fetched, and what it says of itself."""

import hashlib
import re
from dataclasses import dataclass, replace

import anyio
import anyio.to_thread

from phaseflow.components.extraction.types import Raw
from phaseflow.components.sources.web.answer import Answer
from phaseflow.components.sources.web.page import Page, directives_from_headers, read_page
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.identifiers import name_in

_HTML = frozenset(("text/html", "application/xhtml+xml"))
_XML = frozenset(("application/xml", "text/xml"))
# Atomic groups: what stands before the root cannot be read in many ways.
_HTML_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|(?><\?.*?\?>)|(?><!--.*?-->))*+<(?:!doctype\s+html|html|head|body)\b", re.S | re.I
)
_HEAD = 4096
_GENERIC = frozenset(("application/octet-stream", "binary/octet-stream", "application/x-download"))
_MEDIA = ("image/", "audio/", "video/", "font/")


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer and what stands in it for a crawler."""

    answer: Answer
    page: Page
    digest: bytes = b""


def name_of(answer: Answer) -> str:
    """Return the address without its query, so that its extension can be seen."""
    return name_in(answer.url)


async def read(answer: Answer, agent: str) -> Reading:
    """Read a page in a worker thread, which a cancel abandons. Raises DocumentError when it cannot be parsed."""
    return await anyio.to_thread.run_sync(_read, answer, agent, abandon_on_cancel=True)


def said(answer: Answer, agent: str) -> Page:
    """Read the headers alone."""
    return directives_from_headers(answer.headers, answer.url, agent)


def declared_type(answer: Answer) -> str | None:
    """Return the media type that the server declares; None where that only means that it does not know.

    XML and what is not declared are HTML where they begin so.
    """
    declared = None if answer.media_type in _GENERIC else answer.media_type or None
    if (declared is None or declared in _XML) and _HTML_ROOT.match(answer.body[:_HEAD]):
        return "text/html" if declared is None else "application/xhtml+xml"
    return declared


def check_type(answer: Answer) -> None:
    """Raise DocumentError ``unsupported_format`` for pictures, sound, films and fonts, before they are downloaded."""
    if answer.media_type.startswith(_MEDIA):
        message = f"{answer.url} is {answer.media_type}, which holds no text; exclude it"
        raise DocumentError(message, code="unsupported_format", counts=False)


def _read(answer: Answer, agent: str) -> Reading:
    digest = hashlib.blake2b(answer.body, digest_size=16).digest()
    page = said(answer, agent)
    if is_html(answer):
        inside = read_page(Raw(answer.body, answer.url, answer.charset), answer.url, agent)
        directives = page.directives | inside.directives
        links = () if directives.nofollow else inside.links
        page = replace(inside, directives=directives, canonical=page.canonical or inside.canonical, links=links)
    return Reading(answer, page, digest)


def is_html(answer: Answer) -> bool:
    """Say whether an answer is a page, by what the server declares, else by how it begins."""
    return declared_type(answer) in _HTML
