"""Sitemaps: XML, an index of them, a feed (RSS, Atom), or a list of addresses as text; packed or not."""

import html
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from xml.parsers import expat

from phaseflow.components.sources.web.address import normalised
from phaseflow.components.sources.web.body import GZIP, Body
from phaseflow.components.sources.web.limits import Limits

MAX_BYTES = 50 * 1024 * 1024
MAX_PAGES = 50_000
"""Both from the protocol at sitemaps.org."""

_HEAD = 4096
# Atomic groups: what stands before the root cannot be read in many ways.
_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|(?><\?.*?\?>)|(?><!--.*?-->))*+<(?:\w+:)?(?:urlset|sitemapindex)\b", re.S)
_LOC = re.compile(rb"<(loc|link)>\s*+(?:<!\[CDATA\[)?([^<>\]]++)(?:\]\]>)?\s*+</\1>")
_HREF = re.compile(rb"""<link\b([^<>]*?)\bhref\s*=\s*["']([^"'<>]++)["']([^<>]*)>""")
_ALTERNATE = re.compile(rb"""\brel\s*=\s*["'](?!alternate["'])""")
_BEGINS = re.compile(rb"<(?:\w+:)?(urlset|sitemapindex|rss|feed)\b")
_NAMING = frozenset(("loc", "link"))
_INSIDE = frozenset(("url", "sitemap"))
_INSIDE_FEED = frozenset(("item", "entry"))


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap names: ``pages``, and with an index the ``sitemaps``. Normalised, each once, in its order."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    is_whole: bool = True
    """False: it breaks off before its end, so that it may name others."""

    @staticmethod
    def is_in(data: bytes) -> bool:
        """Say whether an XML document, packed or not, is a sitemap or an index of them."""
        return _ROOT.match(_start_of(data) if data.startswith(GZIP) else data[:_HEAD]) is not None

    @classmethod
    def read(cls, data: bytes, url: str, limits: Limits) -> "Sitemap":
        """Read a sitemap. Blocking. Of one that is no proper XML everything is taken that looks like an address.

        ``limits`` are those of the crawl; a sitemap may be larger than a page, and packs better. Raises DocumentError
        for a packed one that is too large or does not unpack.
        """
        plain = _gunzipped(data, url, limits) if data.startswith(GZIP) else data
        if not plain[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
            return cls(_addresses(plain.decode("utf-8-sig", "replace").split(), url))
        reader = _Reader()
        reader.read(plain)
        pages, sitemaps = _addresses(reader.found["url"], url), _addresses(reader.found["sitemap"], url)
        return cls(pages, sitemaps, reader.is_whole)


@dataclass(slots=True)
class _Reader:
    """Collects the ``loc`` of every ``url`` and ``sitemap``, and the page of every ``item`` and ``entry`` of a feed.
    Takes no document type, and so no entities."""

    found: dict[str, list[str]] = field(default_factory=lambda: {"url": [], "sitemap": []})
    is_whole: bool = True
    _path: list[str] = field(default_factory=list)
    _text: list[str] | None = None

    def read(self, data: bytes) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refuse
        try:
            parser.Parse(data, True)
        except _Enough:
            return
        except (expat.ExpatError, LookupError, ValueError):
            # A bare & is the commonest fault of all, and what stands behind it names pages all the same.
            self._scan(data)
            self.is_whole = _is_closed(data)

    def _scan(self, data: bytes) -> None:
        into = self.found["sitemap" if b"<sitemapindex" in data[:_HEAD] else "url"]
        found = [match[2] for match in _LOC.finditer(data)]
        if b"<feed" in data[:_HEAD]:
            found += [m[2] for m in _HREF.finditer(data) if not _ALTERNATE.search(m[1] + b" " + m[3])]
        links = (html.unescape(link.decode("utf-8", "replace")).strip() for link in found)
        into[:] = dict.fromkeys((*into, *islice(links, MAX_PAGES)))

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        local, around = name.rpartition(":")[2].lower(), self._path[-1] if self._path else ""
        self._path.append(local)
        # An image's or a film's loc stands a level deeper, and so does the link of a feed to its site.
        if local == "loc" and around in _INSIDE:
            self._text = []
        elif local == "link" and around in _INSIDE_FEED:
            if "href" not in attributes:
                self._text = []
            elif attributes.get("rel", "alternate") == "alternate":
                self._add("url", attributes["href"])

    def _end(self, _name: str) -> None:
        if self._path.pop() not in _NAMING or self._text is None:
            return
        text, self._text = "".join(self._text).strip(), None
        self._add("sitemap" if self._path[-1] == "sitemap" else "url", text)

    def _add(self, kind: str, link: str) -> None:
        self.found[kind].append(link)
        if len(self.found[kind]) >= MAX_PAGES:
            raise _Enough

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)


class _Enough(Exception):
    """As many addresses as a sitemap may have, or a declaration that it may not have."""


def _refuse(*_: object) -> None:
    raise _Enough


def _is_closed(data: bytes) -> bool:
    """Whether what begins as a sitemap or a feed ends as one, whatever may be wrong with it in between."""
    root = _BEGINS.search(data[:_HEAD])
    return root is None or re.search(rb"</(?:\w+:)?" + root[1] + rb"\s*+>", data[-_HEAD:]) is not None


def _addresses(links: list[str], base: str) -> tuple[str, ...]:
    addresses = (normalised(link, base) for link in links[:MAX_PAGES] if link)
    return tuple(dict.fromkeys(address for address in addresses if address))


def _start_of(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data[:_HEAD], _HEAD)
    except zlib.error:
        return b""


def _gunzipped(data: bytes, url: str, limits: Limits) -> bytes:
    """Return the content of a gzip file."""
    body = Body(url, "gzip", replace(limits, max_bytes=MAX_BYTES, max_ratio=1000))
    body.feed(data)
    return body.whole()
