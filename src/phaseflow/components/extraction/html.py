"""HTML as Markdown: headings, lists, tables and code keep their form, links and emphasis their text.

Own rendering over selectolax. Measured against html-to-markdown 3.21 (14 MB/s, 22 MB installed): that one holds the
interpreter lock for a whole page, takes 6 s for 100,000 attributes, and gives nothing, without an error, for what is
nested deeper than it likes. markdownify manages 1 MB/s.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phaseflow.components.extraction.complexity import check_complexity
from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.encoding.prescan import declared_charset
from phaseflow.components.extraction.markdown import MEDIA_TYPE
from phaseflow.components.extraction.metadata import office_properties
from phaseflow.components.extraction.package import no_text_layer
from phaseflow.components.extraction.page_source import as_shown
from phaseflow.components.extraction.rendering import render
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.components.extraction.visibility import FRAMING, NEVER, has_attribute, visibility
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.values import MetadataValue

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_CHARS = 32_000_000

# XHTML closes an element without content in one tag; to an HTML parser it would stay open to the end.
_XHTML = re.compile(r"\s*<\?xml|[^<]{0,200}(?:<[?!][^<>]{0,500}>\s*){0,9}<html\s[^<>]{0,500}\bxmlns\s*=", re.I)
_CLOSED = re.compile(r"<([A-Za-z][\w:-]*+)((?:\s[^<>]*?)?)/>")
_CDATA = re.compile(r"(?i)<(script|style)\b.*?(?:</\1\b|\Z)|<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.S)
"""Text of XHTML, which an HTML parser takes for a comment up to the first bracket."""
_VOID_NAMES = "area base br col embed hr img input link meta param source track wbr"
_VOID = frozenset(_VOID_NAMES.split())

_BANNERS = "header, footer"
_PARTS = ("article", "aside", "main", "nav", "section")
_OF_A_PART = ", ".join(f"{part} header, {part} footer" for part in _PARTS)
_SHELL = 200
"""Characters above which a page has content of its own, whatever its scripts add."""
_SCRIPTS = (
    'script:not([type]), script[type=""], script[type=module], script[type$="javascript"], script[type$="ecmascript"]'
)
_NO_SCRIPT = re.compile(r"(?i)java\s?script")
# Where frameworks put the page.
_PICTURES = "img, picture, svg, canvas, video, object, embed"
_MOUNTS = (
    "#root, #app, #__next, #__nuxt, #___gatsby, #svelte, #main, #react-root, #app-root, #application, app-root, my-app"
)
_DRAWINGS = {"svg"}
_MAIN = "main, [role=main]"
_MAIN_SHARE = 0.25
"""A main element with less of the page's text than this is a shell that scripts fill, or a teaser."""
_PROPERTIES = {
    "author": "author", "article:author": "author", "dc.creator": "author", "dcterms.creator": "author",
    "description": "description", "og:description": "description", "dc.description": "description",
    "keywords": "keywords", "dc.subject": "keywords",
    "article:published_time": "created", "dcterms.created": "created", "dc.date": "created",
    "article:modified_time": "modified", "og:updated_time": "modified", "last-modified": "modified",
    "dc.language": "language",
}  # fmt: skip
_HEAD_CHILDREN = 1000
"""Children of the head that are looked at."""


def extract(raw: Raw) -> Extracted:
    """Return the visible text of a page as Markdown, without navigation and footer where the page marks them.

    Title: the page's, else its first heading, else the name of the file. Raises DocumentError ``too_complex``, and
    ``needs_scripts`` and ``no_text_layer`` for a page without text of its own.
    """
    page = parse(raw)
    text, is_framework = _content(page)
    if len(text) <= _SHELL and _is_filled_by_scripts(page, "" if is_framework else text):
        raise _needs_scripts(raw.name)
    if not text and page.css_first(_PICTURES) and not page.css_first("body a[href]"):
        raise no_text_layer(raw.name)
    return Extracted(text, _title(page) or raw.base_name, MEDIA_TYPE, metadata=_properties(page))


def extract_whole(raw: Raw, *, is_xml: bool = False, sheets: Sequence[str] = ()) -> Extracted:
    """Like ``extract``, for what stands on no site, a chapter or a mail: head and foot are its own, and stay.

    ``is_xml``: it is XHTML whether it says so or not. ``sheets``: style sheets that belong to it.
    """
    page = parse(raw, is_xml=is_xml)
    return Extracted(_content(page, sheets, is_whole=True)[0], _title(page) or raw.base_name, MEDIA_TYPE)


def parse(raw: Raw, *, is_xml: bool = False) -> "LexborHTMLParser":
    """Return the tree of a page. Raises DocumentError ``too_complex``, ``too_large``, and what decoding raises."""
    from selectolax.lexbor import LexborHTMLParser

    text = text_of(raw, declared_charset)
    if len(text) > MAX_CHARS:
        message = f"{raw.name} has more than {MAX_CHARS:,} characters of HTML; split it or exclude it"
        raise DocumentError(message, code="too_large")
    if is_xml or _XHTML.match(text):
        text = _CLOSED.sub(_opened, _CDATA.sub(_as_html, text) if "<![CDATA[" in text else text)
    check_complexity(text, raw.name)
    return LexborHTMLParser(as_shown(text))


def _as_html(found: re.Match[str]) -> str:
    from html import escape

    return found[0] if found[1] else escape(found[2], quote=False)


def _opened(tag: re.Match[str]) -> str:
    return tag[0] if tag[1].lower() in _VOID else f"<{tag[1]}{tag[2]}></{tag[1]}>"


def _title(page: "LexborHTMLParser") -> str | None:
    for selector in ("head > title", "h1", "h2"):
        node = page.css_first(selector)
        title = " ".join(node.text().split()) if node else ""
        if any(map(str.isalnum, title)):
            return title
    return None


def _properties(page: "LexborHTMLParser") -> dict[str, MetadataValue]:
    """What a page says of itself in its head (author, language, tags, dates), by the names that all formats share."""
    said: dict[str, str] = {}
    if page.root is not None:
        said["language"] = page.root.attributes.get("lang") or ""
    child = page.head.first_child if page.head else None
    for _ in range(_HEAD_CHILDREN):
        if child is None:
            break
        attributes, tag, child = child.attributes, child.tag, child.next
        if tag != "meta":
            continue
        name = (attributes.get("name") or attributes.get("property") or attributes.get("http-equiv") or "").lower()
        if key := _PROPERTIES.get(name):
            said.setdefault(key, attributes.get("content") or "")
    return office_properties(said)


def _is_filled_by_scripts(page: "LexborHTMLParser", text: str) -> bool:
    """Whether scripts fill a page that has hardly any text: it says so itself, or it has an empty place for it."""
    # A page with links is worth its links.
    if not page.css_first(_SCRIPTS) or page.css_first("body a[href]"):
        return False
    asks = any(_NO_SCRIPT.search(node.text() or node.inner_html or "") for node in page.css("noscript"))
    return not text.strip() or asks or any(_is_blank(mount) for mount in page.css(_MOUNTS))


def _is_blank(mount: "LexborNode") -> bool:
    return _is_waiting(render(mount, frozenset()))


def _is_waiting(text: str) -> bool:
    return len(text) < 30 and text.strip(" .…").lower() in ("", "loading", "please wait", "loading, please wait")


def _needs_scripts(name: str) -> DocumentError:
    message = f"{name} has hardly any text before its scripts run; add a page that has, or the data behind it"
    return DocumentError(message, code="needs_scripts", counts=False)


def _content(page: "LexborHTMLParser", sheets: Sequence[str] = (), *, is_whole: bool = False) -> tuple[str, bool]:
    """Return the text, and whether it is only what frames the page. ``is_whole``: nothing is the head of a site."""
    body = page.body
    if body is None:
        return _instead_of_frames(page), False
    words = page.raw_html.lower()
    seen = visibility(page, words, sheets)
    chrome = seen.chrome if is_whole else seen.chrome | _banners(page, words)
    main = _main(page, words)
    is_content = main is not None and main.mem_id not in chrome and _holds_enough(main, body)
    content = main if main is not None and is_content else body
    # A page that is all navigation still has text: a silent nothing would be wrong.
    framing, never = (FRAMING - _DRAWINGS, NEVER - _DRAWINGS) if seen.has_drawn_text else (FRAMING, NEVER)
    text = render(content, chrome, seen.alike, seen.listed, framing)
    if not text or _is_waiting(text):
        # What the scripts of a page show when it is there may be there already.
        whole = render(body, seen.never, seen.alike, seen.listed, never)
        return (whole if len(whole) > len(text) + _SHELL or not text else text), not text
    return text, False


def _instead_of_frames(page: "LexborHTMLParser") -> str:
    """A page of frames has no body, but it may have text for readers without frames, which no parser takes apart."""
    from selectolax.lexbor import LexborHTMLParser

    body = LexborHTMLParser("".join(node.text() for node in page.css("noframes"))).body
    return render(body, frozenset()) if body else ""


def _banners(page: "LexborHTMLParser", words: bytes) -> frozenset[int]:
    """The site's own head and foot, which belong to no part of the page; but not the one with the page's only h1."""
    banners = page.css(_BANNERS) if b"<header" in words or b"<footer" in words else []
    if not banners:
        return frozenset()
    of_a_part = frozenset(node.mem_id for node in page.css(_OF_A_PART))
    sole = len(page.css("h1")) == 1
    return frozenset(
        node.mem_id for node in banners if node.mem_id not in of_a_part and not (sole and node.css_first("h1"))
    )


def _main(page: "LexborHTMLParser", words: bytes) -> "LexborNode | None":
    found = page.css(_MAIN) if b"<main" in words or has_attribute(words, b"role") else []
    return found[0] if len(found) == 1 else None


def _holds_enough(main: "LexborNode", body: "LexborNode") -> bool:
    return len(main.text()) > _MAIN_SHARE * len(body.text())
