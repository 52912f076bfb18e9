"""What an HTML page says to a crawler: its links, its canonical address, and whether it wants to be indexed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phaseflow.components.extraction import html
from phaseflow.components.extraction.types import Raw
from phaseflow.components.sources.web.address import normalised
from phaseflow.components.sources.web.cookies import SEPARATOR

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_LINKS = 10_000
"""From one page. More are a machine's, and each is a row in the frontier."""

_LINKS = "a, area[href], frame[src], iframe[src], link[rel][href]"
_ORDERED = frozenset(("next", "prev"))
"""What a ``link`` in the head must be to lead on: the pages of a long list may hang together by nothing else."""
_ADDRESSES = ("href", "src", "xlink:href")
_REFRESH_URL = re.compile(r"^\s*+\d*+(?:\.\d*+)?\s*+[;,]\s*+(?:url\s*+=\s*+)?[\"']?([^\"'\s]+)", re.I)
_LINK_HEADER = re.compile(r"<([^<>]*)>([^<>]*)")
_CANONICAL = re.compile(r"""\brel\s*=\s*(?:"[^"]*\bcanonical\b[^"]*"|canonical\b)""", re.I)
_BOT = re.compile(r"^\s*([\w.-]+)\s*:\s*(.*)$", re.S)
_DIRECTIVES_WITH_VALUE = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))
# Never documents. Everything else that is no page is fetched and says for itself what it is.
_MEDIA_NAMES = """
    png jpg jpeg gif webp avif bmp ico tif tiff svg mp3 wav ogg oga flac m4a aac mp4 m4v mkv mov avi webm ogv
    woff woff2 ttf otf eot css
"""
_MEDIA = tuple(f".{name}" for name in _MEDIA_NAMES.split())


@dataclass(frozen=True, slots=True)
class _Directives:
    """What a page asks of those who index it."""

    noindex: bool = False
    nofollow: bool = False

    def __or__(self, other: "_Directives") -> "_Directives":
        return _Directives(self.noindex or other.noindex, self.nofollow or other.nofollow)


@dataclass(frozen=True, slots=True)
class Page:
    """What was found on a page. ``links`` are normalised, each once, in the order of the page, without those that are
    marked ``nofollow``; none where the whole page says so."""

    directives: _Directives = _Directives()
    canonical: str | None = None
    links: tuple[str, ...] = ()

    @classmethod
    def read(cls, raw: Raw, url: str, agent: str) -> "Page":
        """Read an HTML page. Blocking.

        Raises DocumentError when it cannot be parsed (``too_complex``, ``too_large``).
        """
        page = html.parse(raw)
        directives = _directives(page, agent)
        base = _base(page, url)
        links = () if directives.nofollow else tuple(_distinct(page, base))
        return cls(directives, _canonical(page, base), links)

    @classmethod
    def of_headers(cls, headers: Mapping[str, str], url: str, agent: str) -> "Page":
        """Read ``X-Robots-Tag`` and ``Link: <…>; rel="canonical"``, which every kind of document can carry."""
        canonical = None
        for target, parameters in _LINK_HEADER.findall(headers.get("link", "")):
            if _CANONICAL.search(parameters):
                canonical = normalised(target, url)
                break
        return cls(_tagged(headers.get("x-robots-tag", ""), agent), canonical)


def is_media(url: str) -> bool:
    """Say whether an address names a picture, a sound, a film, a font or a style sheet."""
    return url.partition("?")[0].lower().endswith(_MEDIA)


def _tagged(value: str, agent: str) -> _Directives:
    """A directive after ``bot:`` is for that bot, as are those behind it in its line, until another bot is named."""
    directives = _Directives()
    for line in value.split(SEPARATOR):
        addressee = None
        for part in line.split(","):
            directive = part
            match = _BOT.match(part)
            if match and match[1].lower() not in _DIRECTIVES_WITH_VALUE:
                addressee, directive = match[1].lower(), match[2]
            if addressee in {None, agent}:
                directives |= _named(directive)
    return directives


def _directives(page: "LexborHTMLParser", agent: str) -> _Directives:
    directives = _Directives()
    for node in page.css("meta[name][content]"):
        if _attribute(node, "name").strip().lower() in {"robots", agent}:
            directives |= _named(_attribute(node, "content"))
    return directives


def _named(directives: str) -> _Directives:
    names = set(re.split(r"[,;\s]+", directives.lower()))
    return _Directives(bool(names & {"noindex", "none"}), bool(names & {"nofollow", "none"}))


def _base(page: "LexborHTMLParser", url: str) -> str:
    node = page.css_first("base[href]")
    return (normalised(_attribute(node, "href"), url) if node else None) or url


def _canonical(page: "LexborHTMLParser", base: str) -> str | None:
    # Not in the body: whoever may write a comment there must not decide where the page belongs.
    for node in page.css("head link[rel][href]"):
        if "canonical" in _attribute(node, "rel").lower().split():
            return normalised(_attribute(node, "href"), base)
    return None


def _distinct(page: "LexborHTMLParser", base: str) -> Iterator[str]:
    seen: set[str] = set()
    for link in _targets(page):
        address = normalised(link, base)
        if address is None or address in seen or is_media(address):
            continue
        seen.add(address)
        yield address
        if len(seen) >= MAX_LINKS:
            return


def _targets(page: "LexborHTMLParser") -> Iterator[str]:
    for node in page.css("meta[http-equiv][content]"):
        match = _REFRESH_URL.match(_attribute(node, "content"))
        if match and _attribute(node, "http-equiv").strip().lower() == "refresh":
            yield match[1]
    for node in page.css(_LINKS):
        words = set(_attribute(node, "rel").lower().split())
        if "nofollow" in words or (node.tag == "link" and not words & _ORDERED):
            continue
        link = next((value for name in _ADDRESSES if (value := node.attributes.get(name)) is not None), None)
        if link is not None:
            yield link


def _attribute(node: "LexborNode", name: str) -> str:
    return node.attributes.get(name) or ""
