"""CSV, JSON and XML: kept as they are, so that nothing is lost and every offset is exact; feeds become text."""

import re

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted, Raw

_HEAD = 20_000
_ENCODING = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([-\w.]+)")
_ESCAPES = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\u[0-9a-fA-F]{4})+)")
_ESCAPE = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})")
_REFERENCES = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&#(?:[xX]([0-9a-fA-F]{1,6})|(\d{1,7}));", re.S)
# Other vocabularies have an element called feed, or are RDF.
_FEED = re.compile(r"\s*<(?:rss[\s>]|(?:\w+:)?feed\s[^>]*atom|(?:\w+:)?RDF\s[^>]*purl\.org/rss)", re.I)
# What is not closed ends with the text; searching for an end again and again would take for ever.
_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.S)
_ASIDE = re.compile(r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<![A-Z][^>]*(?:>|\Z)", re.S)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_INLINE = re.compile(
    r"</?(?:a|abbr|b|cite|code|del|em|font|i|ins|mark|q|s|small|span|strong|sub|sup|u)(?:\s[^<>]*)?>", re.I
)
# Never text, in whichever of the two passes it comes to light.
_PLUMBING = re.compile(r"<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.S | re.I)
_FIRST_TITLE = re.compile(r"<title\b[^>]*>(.*?)(</title>|\Z)", re.S)


def extract_csv(raw: Raw) -> Extracted:
    """Return the rows as they are. Title: the name of the file."""
    return Extracted(text_of(raw), raw.base_name, "text/csv")


def extract_json(raw: Raw) -> Extracted:
    """Return the source with ``\\uXXXX`` as the letters they stand for, else as it is; it need not be valid."""
    text = text_of(raw)
    readable = _ESCAPES.sub(_readable, text) if "\\u" in text else text
    return Extracted(readable, raw.base_name, "application/json")


def extract_xml(raw: Raw) -> Extracted:
    """Return an RSS or Atom feed as text, other XML as it is with ``&#233;`` as the letter that it stands for.

    No entity is resolved but the standard ones, and those only in feeds.
    """
    text = text_of(raw, _declared)
    if not _FEED.match(_ASIDE.sub("", text[:_HEAD])):
        readable = _REFERENCES.sub(_referred, text) if "&#" in text else text
        return Extracted(readable, raw.base_name, "application/xml")
    title = _FIRST_TITLE.search(text, 0, _HEAD)
    return Extracted(_feed_text(text), (title and title[2] and _line(title[1])) or raw.base_name, MEDIA_TYPE)


def _declared(head: bytes) -> str | None:
    found = _ENCODING.match(head)
    return found[1].decode("ascii") if found else None


def _readable(match: re.Match[str]) -> str:
    return match[1] + _ESCAPE.sub(_letter, match[2])


def _letter(match: re.Match[str]) -> str:
    if match[3] is None:
        high, low = int(match[1], 16), int(match[2], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    return _visible(int(match[3], 16)) or match[0]


def _referred(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    return (_visible(int(digits, 16 if match[1] else 10)) if digits else None) or match[0]


def _visible(code: int) -> str | None:
    """ASCII stands for quotes, brackets and control characters that must stay; a lone surrogate is no character."""
    return chr(code) if 0x9F < code < 0xD800 or 0xDFFF < code < 0x110000 else None


def _feed_text(text: str) -> str:
    from html import unescape

    visible = _ASIDE.sub("", _CDATA.sub(_escaped, text))
    # Feeds carry their articles as HTML, escaped or in CDATA: a second pass takes out those tags.
    content = unescape(_without_tags(unescape(_without_tags(visible))))
    lines = (line.strip() for line in content.replace("\0", "").split("\n"))
    return "\n".join(filter(None, lines))


def _without_tags(text: str) -> str:
    return _TAG.sub("\n", _INLINE.sub("", _PLUMBING.sub("\n", text)))


def _escaped(match: re.Match[str]) -> str:
    from html import escape

    return escape(match[1], quote=False)


def _line(title: str) -> str:
    return " ".join(_feed_text(title).split())
