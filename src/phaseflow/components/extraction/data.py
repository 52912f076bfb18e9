"""CSV, JSON and XML: kept as they are, so that nothing is lost and every offset is exact; feeds become text."""

import re

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.shapes import Extracted, Raw

_HEAD = 20_000
_ENCODING = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([-\w.]+)")
_ESCAPES = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\u[0-9a-fA-F]{4})+)")
_ESCAPE = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})")
_FEED = re.compile(r"<(?:rss|feed|rdf:RDF)[\s>]")
# What is not closed ends with the text; searching for an end again and again would take for ever.
_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.S)
_ASIDE = re.compile(r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<![A-Z][^>]*(?:>|\Z)", re.S)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_FIRST_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.S)


def extract_csv(raw: Raw) -> Extracted:
    """Return the rows as they are. Title: the name of the file."""
    return Extracted(text_of(raw), raw.base_name, "text/csv")


def extract_json(raw: Raw) -> Extracted:
    """Return the source with ``\\uXXXX`` as the letters they stand for, else as it is; it need not be valid."""
    text = text_of(raw)
    readable = _ESCAPES.sub(_readable, text) if "\\u" in text else text
    return Extracted(readable, raw.base_name, "application/json")


def extract_xml(raw: Raw) -> Extracted:
    """Return an RSS or Atom feed as text, other XML as it is. No entity is resolved but the standard ones."""
    text = text_of(raw, _declared)
    if not _FEED.search(text, 0, _HEAD):
        return Extracted(text, raw.base_name, "application/xml")
    title = _FIRST_TITLE.search(text, 0, _HEAD)
    return Extracted(_feed_text(text), (title and _line(title[1])) or raw.base_name, MEDIA_TYPE)


def _declared(head: bytes) -> str | None:
    found = _ENCODING.match(head)
    return found[1].decode("ascii") if found else None


def _readable(match: re.Match[str]) -> str:
    return match[1] + _ESCAPE.sub(_letter, match[2])


def _letter(match: re.Match[str]) -> str:
    if match[3] is None:
        high, low = int(match[1], 16), int(match[2], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    letter = chr(int(match[3], 16))
    # ASCII escapes are quotes and control characters that must stay; a lone surrogate is no character.
    return letter if letter > "\x9f" and not "\ud800" <= letter <= "\udfff" else match[0]


def _feed_text(text: str) -> str:
    from html import unescape

    visible = _ASIDE.sub("", _CDATA.sub(_escaped, text))
    # Feeds carry their articles as HTML, escaped or in CDATA: a second pass takes out those tags.
    content = unescape(_TAG.sub("\n", unescape(_TAG.sub("\n", visible))))
    lines = (line.strip() for line in content.replace("\0", "").split("\n"))
    return "\n".join(filter(None, lines))


def _escaped(match: re.Match[str]) -> str:
    from html import escape

    return escape(match[1], quote=False)


def _line(title: str) -> str:
    return " ".join(_feed_text(title).split())
