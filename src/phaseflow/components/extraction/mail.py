"""E-mail: the headers that people read, then the text."""

import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from phaseflow.components.extraction import html
from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.package import encrypted
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError

if TYPE_CHECKING:
    from phaseflow.components.extraction.message import Part

_PAGES = ("text/html", "application/xhtml+xml")
_CODE = ("text/css", "text/javascript", "text/x-javascript")
"""What belongs to a saved page, and nobody reads."""
_SMIME = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_REPORTS = ("message/delivery-status", "message/disposition-notification", "message/feedback-report")
"""What became of a mail, as fields."""
_OF_OTHERS = {
    "text/rtf": "rtf", "application/rtf": "rtf", "text/calendar": "content_lines", "text/vcard": "content_lines",
    "text/x-vcard": "content_lines",
}  # fmt: skip
"""Texts that are read as documents of their own, and the modules that do."""
_ENRICHED = ("text/enriched", "text/richtext")
_SIGNATURE = "-- "
# In linear time: no command is longer, and none holds the sign that begins one.
_COMMAND = re.compile(r"</?[A-Za-z0-9-]{1,60}>")
_PARAMETER = re.compile(r"<param>.*?(?:</param>|\Z)", re.I | re.S)
_LINE_ENDS = re.compile(r"\n+")

_ENCODED = ("base64", "quoted-printable", "x-uuencode")
_SHOWN = ("From", "To", "Cc", "Date", "Subject")


def extract(raw: Raw) -> Extracted:
    """Return headers, every text in its order (of alternatives one), what was forwarded, and attachments' names.

    Title: the subject. Attached files are not read. Raises DocumentError ``encrypted`` when the letter is, and
    ``too_complex`` for parts nested beyond reason.
    """
    from phaseflow.components.extraction.message import Part

    if not raw.data.strip():
        return Extracted("", raw.base_name, MEDIA_TYPE)
    try:
        message = Part.parse(raw.data)
        text, title = _clean(_read(message, raw)), _clean(message.header("Subject"))
    except RecursionError as error:
        raise DocumentError(f"{raw.name} nests its parts too deeply to be read", code="too_complex") from error
    return Extracted(text, title or raw.base_name, MEDIA_TYPE)


def _read(message: "Part", raw: Raw) -> str:
    headers = [f"{name}: {value}" for name in _SHOWN if (value := message.header(name))]
    body = _Body(raw)
    body.add(message)
    attachments = [f"Attachments: {', '.join(body.names)}"] if body.names else []
    return "\n\n".join(filter(None, ["\n".join(headers), *body.texts, *attachments]))


class _Body:
    """The texts of one message, those forwarded with it too, and the names of what is attached."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self.texts: list[str] = []
        self.names: list[str] = []

    def add(self, part: "Part", *, shown: bool = True) -> None:
        """Take in a part and all below. Of one that is not ``shown``, only what was forwarded and attached."""
        kind = part.get_content_type()
        # After a letter that can be read, it is one more file.
        if _is_encrypted(part, kind) and not self.texts:
            raise encrypted(self._raw.name)
        if kind in _REPORTS:
            self.texts += filter(None, (each.fields for each in part.parts))
        elif kind.startswith("message/"):
            self.texts += filter(None, (_read(each, self._raw) for each in part.parts))
        elif kind == "multipart/alternative":
            self._add_one_of(part.parts, shown=shown)
        elif part.parts:
            for each in _root_first(part) if kind == "multipart/related" else part.parts:
                self.add(each, shown=shown)
        else:
            self._add_leaf(part, kind, shown=shown)

    def _add_one_of(self, parts: Sequence["Part"], *, shown: bool) -> None:
        """Show the simplest of the alternatives that has text, and of two the last: the sender's best comes last."""
        ranked = sorted(((_plainness(part), place) for place, part in enumerate(parts)), reverse=True)
        for part in (parts[place] for _, place in ranked):
            before = len(self.texts)
            self.add(part, shown=shown)
            shown = shown and len(self.texts) == before

    def _add_leaf(self, part: "Part", kind: str, *, shown: bool) -> None:
        # The first text is the letter, even if a program gave it a name.
        is_file = part.is_attachment or bool(self.texts) or not _is_text(kind)
        if is_file and (name := part.file_name):
            self.names.append(name)
        elif shown and _is_text(kind) and (text := _text(part, kind, self._raw)):
            # Several, for mail programs cut a text in two where a picture stands in it, and lists add a footer.
            self.texts.append(text)


def _is_encrypted(part: "Part", kind: str) -> bool:
    return kind == "multipart/encrypted" or (kind in _SMIME and part.get_param("smime-type") == "enveloped-data")


def _is_text(kind: str) -> bool:
    """A multipart that fell into no parts, for want of a boundary, is text as it stands."""
    return (kind.startswith(("text/", "multipart/")) and kind not in _CODE) or kind in _PAGES or kind in _OF_OTHERS


def _plainness(part: "Part") -> int:
    """Rank an alternative by the kind of its first text."""
    kinds = (each.get_content_type() for each in part.walk())
    first = next(filter(_is_leaf_text, kinds), "")
    return 3 if first == "text/plain" else 2 if first in _PAGES else 1 if first else 0


def _is_leaf_text(kind: str) -> bool:
    return _is_text(kind) and not kind.startswith("multipart/")


def _root_first(part: "Part") -> Sequence["Part"]:
    start = str(part.get_param("start", "")).strip("<> ")
    return (
        sorted(part.parts, key=lambda each: each.get("Content-ID", "").strip("<> ") != start) if start else part.parts
    )


def _text(part: "Part", kind: str, raw: Raw) -> str:
    piece = Raw(part.data, raw.name, _charset(part, raw))
    if kind in _PAGES:
        return html.extract_whole(piece).text.strip()
    if kind in _OF_OTHERS:
        reader = import_module(f"phaseflow.components.extraction.{_OF_OTHERS[kind]}")
        with suppress(DocumentError):
            return str(reader.extract(piece).text.strip())
    text = text_of(piece)
    if kind in _ENRICHED:
        return _without_commands(text).strip()
    # To look into the header costs far less than to take it apart, and few mails flow.
    if "flowed" in part.get("Content-Type", "").lower() and str(part.get_param("format", "")).lower() == "flowed":
        text = _unflowed(text, drops_space=str(part.get_param("delsp", "")).lower() == "yes")
    return text.strip()


def _unflowed(text: str, *, drops_space: bool) -> str:
    """Return a text whose lines were cut at a space, each paragraph in one line again (RFC 3676).

    ``drops_space``: the space at the end of a cut line is none of the text, as a long address needs it, and text in
    which words are not apart.
    """
    pieces: list[str] = []
    flows, last_depth = False, 0
    for line in text.split("\n"):
        body = line.lstrip(">")
        depth = len(line) - len(body)
        body = body.removeprefix(" ")
        is_signature = body == _SIGNATURE
        if not flows or depth != last_depth or is_signature:
            pieces.append("\n" + (f"{'>' * depth} " if depth else ""))
        flows, last_depth = body.endswith(" ") and not is_signature, depth
        pieces.append(body[:-1] if flows and drops_space else body)
    return "".join(pieces)[1:]


def _without_commands(text: str) -> str:
    """Return enriched text (RFC 1896) without commands; one end of a line is a space, and of several one is none."""
    shown = _COMMAND.sub("", _PARAMETER.sub("", text).replace("<<", "\0"))
    return _LINE_ENDS.sub(lambda ends: "\n" * (len(ends[0]) - 1) or " ", shown).replace("\0", "<")


def _charset(part: "Part", raw: Raw) -> str | None:
    """What the part declares; but of a mail whose letters are known, all that is not encoded in letters is in those."""
    if raw.charset and part.get("Content-Transfer-Encoding", "").strip().lower() not in _ENCODED:
        return raw.charset
    return part.get_content_charset()


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
