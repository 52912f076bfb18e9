"""HTML as Markdown: headings, lists, tables and code keep their form, links and emphasis their text.

Own rendering over selectolax. Measured against html-to-markdown 3.21 (14 MB/s, 22 MB installed): that one holds the
interpreter lock for a whole page, takes 6 s for 100,000 attributes, and gives nothing, without an error, for what is
nested deeper than it likes. markdownify manages 1 MB/s.
"""

import re
from typing import TYPE_CHECKING

from phaseflow.components.extraction.complexity import check_complexity
from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.encoding.prescan import declared_charset
from phaseflow.components.extraction.markdown import MEDIA_TYPE
from phaseflow.components.extraction.rendering import render
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_CHARS = 32_000_000

# XHTML closes an element without content in one tag; to an HTML parser it would stay open to the end.
_XHTML = re.compile(r"\s*<\?xml|[^<]{0,200}(?:<[?!][^<>]{0,500}>\s*){0,9}<html\s[^<>]{0,500}\bxmlns\s*=", re.I)
_CLOSED = re.compile(r"<([A-Za-z][\w:-]*+)((?:\s[^<>]*?)?)/>")
_VOID_NAMES = "area base br col embed hr img input link meta param source track wbr"
_VOID = frozenset(_VOID_NAMES.split())

_TEX = '[encoding="application/x-tex"]'
_NEVER = (
    "script, style, template, noscript, svg, canvas, iframe, object, select, button, head, dialog, "
    # Formulas say everything twice: TeX reads best.
    f"annotation-xml, annotation:not({_TEX}), semantics:has(> annotation{_TEX}) > :not(annotation)"
)
_CHROME = (
    "nav, [role=navigation], [role=search], [role=menu], [role=menubar], [role=contentinfo], [hidden], "
    "[role=banner], [aria-hidden=true], a.headerlink"
)
_UNSEEN = re.compile(r"(?i)(?<![\w-])(?:display\s*:\s*none|visibility\s*:\s*hidden)")
_RAISED = re.compile(r"(?i)(?<![\w-])vertical-align\s*:\s*(su[pb])(?:er)?\s*(?:!|;|\Z)")
_BANNERS = "header, footer"
_PARTS = ("article", "aside", "main", "nav", "section")
_OF_A_PART = ", ".join(f"{part} header, {part} footer" for part in _PARTS)
_MAIN = "main, [role=main]"
_MAIN_SHARE = 0.25
"""A main element with less of the page's text than this is a shell that scripts fill, or a teaser."""


def extract(raw: Raw) -> Extracted:
    """Return the visible text of a page as Markdown, without navigation and footer where the page marks them.

    Title: the page's, else its first heading, else the name of the file. Raises DocumentError ``too_complex``.
    """
    page = parse(raw)
    return Extracted(_content(page, _banners(page)), _title(page) or raw.base_name, MEDIA_TYPE)


def extract_whole(raw: Raw, *, is_xml: bool = False) -> Extracted:
    """Like ``extract``, for what stands on no site, a chapter or a mail: head and foot are its own, and stay.

    ``is_xml``: it is XHTML whether it says so or not.
    """
    page = parse(raw, is_xml=is_xml)
    return Extracted(_content(page, frozenset()), _title(page) or raw.base_name, MEDIA_TYPE)


def parse(raw: Raw, *, is_xml: bool = False) -> "LexborHTMLParser":
    """Return the tree of a page. Raises DocumentError ``too_complex``, ``too_large``, and what decoding raises."""
    from selectolax.lexbor import LexborHTMLParser

    text = text_of(raw, declared_charset)
    if len(text) > MAX_CHARS:
        message = f"{raw.name} has more than {MAX_CHARS:,} characters of HTML; split it or exclude it"
        raise DocumentError(message, code="too_large")
    if is_xml or _XHTML.match(text):
        text = _CLOSED.sub(_opened, text)
    check_complexity(text, raw.name)
    return LexborHTMLParser(text)


def _opened(tag: re.Match[str]) -> str:
    return tag[0] if tag[1].lower() in _VOID else f"<{tag[1]}{tag[2]}></{tag[1]}>"


def _title(page: "LexborHTMLParser") -> str | None:
    for selector in ("head > title", "h1", "h2"):
        node = page.css_first(selector)
        title = " ".join(node.text().split()) if node else ""
        if title:
            return title
    return None


def _content(page: "LexborHTMLParser", banners: frozenset[int]) -> str:
    body = page.body
    if body is None:
        return _instead_of_frames(page)
    never = _ids(page, _NEVER)
    chrome = never | _ids(page, _CHROME) | _unseen(page) | banners
    main = _main(page)
    is_content = main is not None and main.mem_id not in chrome and _holds_enough(main, body)
    content = main if main is not None and is_content else body
    alike = _raised(page)
    # A page that is all navigation still has text: a silent nothing would be wrong.
    return render(content, chrome, alike) or render(body, never, alike)


def _instead_of_frames(page: "LexborHTMLParser") -> str:
    """A page of frames has no body, but it may have text for readers without frames, which no parser takes apart."""
    from selectolax.lexbor import LexborHTMLParser

    body = LexborHTMLParser("".join(node.text() for node in page.css("noframes"))).body
    return render(body, frozenset()) if body else ""


def _unseen(page: "LexborHTMLParser") -> frozenset[int]:
    return frozenset(node.mem_id for node in page.css("[style]") if _UNSEEN.search(node.attributes["style"] or ""))


def _raised(page: "LexborHTMLParser") -> dict[int, str]:
    """Elements that their style sets above or below the line, as programs write pages that know no ``<sup>``."""
    found = (
        (node.mem_id, _RAISED.search(node.attributes["style"] or "")) for node in page.css("[style*=vertical-align]")
    )
    return {mem_id: style[1].lower() for mem_id, style in found if style}


def _banners(page: "LexborHTMLParser") -> frozenset[int]:
    """The site's own head and foot, which belong to no part of the page; but not the one with the page's only h1."""
    of_a_part = _ids(page, _OF_A_PART)
    sole = len(page.css("h1")) == 1
    return frozenset(
        node.mem_id
        for node in page.css(_BANNERS)
        if node.mem_id not in of_a_part and not (sole and node.css_first("h1"))
    )


def _main(page: "LexborHTMLParser") -> "LexborNode | None":
    found = page.css(_MAIN)
    return found[0] if len(found) == 1 else None


def _holds_enough(main: "LexborNode", body: "LexborNode") -> bool:
    return len(main.text()) > _MAIN_SHARE * len(body.text())


def _ids(page: "LexborHTMLParser", selector: str) -> frozenset[int]:
    return frozenset(node.mem_id for node in page.css(selector))
