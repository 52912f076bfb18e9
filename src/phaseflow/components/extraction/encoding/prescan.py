"""The charset that a page declares in its own bytes, found as browsers find it before they can read the page.

The prescan of the HTML standard (13.2.3.2), which passes over comments and takes attributes apart, so that a ``<meta>``
that is only quoted does not count; like the parsers of browsers it also passes over scripts, styles and titles.
"""

import re
from codecs import getincrementaldecoder

from phaseflow.components.extraction.charsets import codec_of, is_wide

_SPACE = b"\t\n\f\r "
# What follows a "<" that begins something: a comment, a tag, or a declaration.
_BEGIN = re.compile(rb"<(?:(!--)|(/?)([a-zA-Z][^\t\n\f\r />]*)|[!/?])")
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*(?:([^\t\n\f\r />=][^\t\n\f\r />=]*)"
    rb"(?:[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r >\"'][^\t\n\f\r >]*)?))?)"
)
_CHARSET = re.compile(
    rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r ;\"'][^\t\n\f\r ;]*))", re.I
)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([-\w.]+)")
_LABEL = re.compile(r"[\w.:+-]+", re.A)
_TEXT = frozenset((b"script", b"style", b"title", b"textarea", b"xmp", b"iframe", b"noembed", b"noframes"))
"""Elements whose content is text, whatever it looks like."""


def declared_charset(head: bytes) -> str | None:
    """Return the label that the first bytes of a page declare; None when there is none that is known.

    A ``<meta>`` goes before the XML declaration. One inside a script counts only if there is no other and the bytes are
    not UTF-8: programs that write pages keep their heads there.
    """
    # Whatever declares a charset has this word in it.
    inside, outside = _scan(head) if b"charset" in head.lower() else (None, None)
    if outside is None and (found := _XML.match(head)):
        outside = found[1].decode("ascii", "replace")
    return outside or (None if _is_utf8(head) else inside)


def _scan(head: bytes) -> tuple[str | None, str | None]:
    """Return the first label within elements of text, and the first outside of them."""
    inside: str | None = None
    place, text_until, lowered = 0, 0, b""
    while begin := _BEGIN.search(head, place):
        if begin[1]:
            # "<!-->" is a comment already.
            end = head.find(b"-->", begin.start() + 2)
            if end < 0:
                break
            place = end + 3
            continue
        if not begin[3]:
            end = head.find(b">", begin.end())
            if end < 0:
                break
            place = end + 1
            continue
        name = begin[3].lower()
        attributes, place = _attributes(head, begin.end())
        if name == b"meta" and not begin[2] and (label := _label(attributes)):
            if begin.start() >= text_until:
                return inside, label
            inside = inside or label
        elif name in _TEXT and not begin[2] and begin.start() >= text_until:
            lowered = lowered or head.lower()
            end = lowered.find(b"</" + name, place)
            text_until = end if end >= 0 else len(head)
    return inside, None


def _attributes(head: bytes, place: int) -> tuple[dict[bytes, bytes], int]:
    """Return the attributes of the tag whose name ends at ``place``, the first of each name, and where it ends.

    A tag that does not end within the head has none.
    """
    attributes: dict[bytes, bytes] = {}
    while True:
        place = _after_space(head, place)
        if place >= len(head):
            return {}, len(head)
        if head[place : place + 1] == b">":
            return attributes, place + 1
        found = _ATTRIBUTE.match(head, place)
        if found is None or found.end() == place:
            place += 1
            continue
        if found[0].rstrip(_SPACE).endswith(b"=") or head[found.end() : found.end() + 1] in (b'"', b"'"):
            # A value that opens a quote and never ends it takes all that follows.
            rest = head[found.end() :].lstrip(_SPACE)
            if rest[:1] in (b'"', b"'") and rest.find(rest[:1], 1) < 0:
                return {}, len(head)
        value = found[2] or found[3] or found[4] or b""
        attributes.setdefault(found[1].lower(), value)
        place = max(found.end(), place + 1)


def _after_space(head: bytes, place: int) -> int:
    while place < len(head) and head[place] in b"\t\n\f\r /":
        place += 1
    return place


def _label(attributes: dict[bytes, bytes]) -> str | None:
    """Return the charset that a ``<meta>`` declares, if there is such a one."""
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _CHARSET.search(attributes.get(b"content", b""))
        label = (found[1] or found[2] or found[3]) if found else None
    spelled = (label or b"").strip(_SPACE).decode("ascii", "replace")
    # Python would pass over other signs: a quote that was never opened ends no label.
    codec = codec_of(spelled) if _LABEL.fullmatch(spelled) else None
    if codec is None:
        return None
    # A declaration that could be read as bytes is not UTF-16.
    return "utf-8" if is_wide(codec) else spelled


def _is_utf8(head: bytes) -> bool:
    try:
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
