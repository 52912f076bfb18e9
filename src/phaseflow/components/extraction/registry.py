"""Which extractor reads which document.

The table is in ``formats``; here is how a document finds its row.
"""

import re
from collections.abc import Iterable, Mapping
from posixpath import splitext

from phaseflow.components.extraction.blobs import without_blobs
from phaseflow.components.extraction.decoding import FAR
from phaseflow.components.extraction.formats import FORMATS, PLAIN, TYPES, UNSUPPORTED, Format
from phaseflow.components.extraction.metadata import within_limits
from phaseflow.components.extraction.types import Extracted, Parts, Raw
from phaseflow.domain.errors import DocumentError

LARGE = 256 * 1024
"""Bytes from which on a document of any format is read in a worker: a parser of JSON or HTML, and every regular
expression, holds the interpreter lock until it is done, and with it the whole service."""
UNREADABLE = "unreadable_share"
"""The key under which metadata says which share of the characters, from 0 to 1, could not be read (U+FFFD)."""
LEFT_OUT = "left_out_characters"
"""The key under which it says how many characters were files that stood in the text as letters."""


# Signatures that no text begins with, for files whose extension says nothing.
_SIGNATURES: Mapping[bytes, str] = {
    b"\x1f\x8b": "An archive",
    b"BZh": "An archive",
    b"\xfd7zXZ": "An archive",
    b"7z\xbc\xaf": "An archive",
    b"\x89PNG": "A picture",
    b"\xff\xd8\xff": "A picture",
    b"GIF8": "A picture",
    b"SQLite format 3": "A database",
    b"\x7fELF": "A program",
    b"OggS": "Sound or video",
    b"ID3": "Sound or video",
}
_PDF = b"%PDF-"
_PDF_HEAD = 1024
"""Bytes in which readers look for the signature of a PDF."""
_RTF = b"{\\rtf"
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Names of members stand in a ZIP archive as they are.
_MEMBERS: Mapping[bytes, str] = {
    b"word/document": "docx",
    b"ppt/presentation": "pptx",
    b"xl/workbook": "xlsx",
    b"application/epub+zip": "epub",
    b"opendocument.text": "odt",
    b"opendocument.presentation": "odp",
    b"opendocument.spreadsheet": "ods",
}
_WORKBOOK = "Workbook".encode("utf-16-le")
_AROUND_WORKBOOKS = tuple(
    name.encode("utf-16-le") for name in ("EncryptedPackage", "WordDocument", "PowerPoint Document")
)
"""Documents of others may hold a workbook."""
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")
_XML, _XHTML = b"<?xml", b"<html"
_CONTENT_LINES = {b"begin:vcard": "vcf", b"begin:vcalendar": "ics"}
_MAIL = (b"mime-version:", b"return-path:", b"delivered-to:", b"received: from ", b"x-mozilla-status:")
"""The first line of mails as servers keep them. One that was only written may begin like a note."""
_MAILBOX = re.compile(rb"from \S[^\r\n]* \d\d?:\d\d[^\r\n]*\r?\n(?:>?from |[a-z][\w-]*:)")
_MARKUP_HEAD = 512
_IS_UNICODE, _GIVEN_PLAIN = "; charset=utf-8", "text/plain; as=given"
# A page, XML and source code that declare a charset, the shifts of encodings in seven bits, and RTF, whose bytes are
# those of a code page.
_DECLARATIONS = re.compile(r"charset|coding|~\{|\x1b\$|\A\s*\{\\rtf", re.I)
_BLANK = b"\xef\xbb\xbf \t\r\n"


def extract(
    data: bytes, name: str, *, declared_charset: str | None = None, declared_type: str | None = None
) -> Extracted:
    """Return the text of a document.

    The format follows from ``declared_type`` (a media type; parameters are passed over), else from the extension of
    ``name``, else from the content; but a PDF is read as a PDF, and a page called ``.xls`` as a page, whatever the
    name, unless the type comes from ``as_given``. ``declared_charset`` is what an HTTP header says. An empty document
    has the text ``""``. Blocking; call it in a worker thread, or where ``needs_worker`` says so in a worker process.

    Raises DocumentError: ``unsupported_format`` and ``missing_extra`` (not counted against the error budget),
    ``decode_error``, ``too_complex``, ``too_large``, ``malformed``, ``encrypted``, ``no_text_layer``,
    ``nothing_found``.
    """
    if not data:
        return Extracted("", Raw(data, name).base_name, PLAIN)
    extension, declared = _extension(name), _media_type(declared_type)
    named = _chosen(data, name, declared_type)
    found = named.extractor(Raw(data, name, declared_charset))
    text, parts = found.text, found.parts
    if (clean := without_blobs(text)) is not text:
        text, parts = _without_blobs_in_parts(text, parts) if parts else (clean, parts)
    said: Mapping[str, object] = found.metadata
    if shorter := len(found.text) - len(text):
        if not text.strip():
            message = f"{name} holds only a file that stands as letters (base64); decode it, or exclude it"
            raise DocumentError(message, code="nothing_found")
        said = {**said, LEFT_OUT: shorter}
    if damaged := text.count("\ufffd"):
        said = {**said, UNREADABLE: max(round(damaged / len(text), 6), 1e-6)}
    own_type = _own_type(named, extension, declared)
    read_as = None if own_type == found.media_type else own_type
    if text is found.text and not said and read_as == found.read_as:
        return found
    return Extracted(text, found.title, found.media_type, parts, within_limits(said) if said else {}, read_as)


def needs_worker(data: bytes, name: str, *, declared_type: str | None = None) -> bool:
    """Say whether the document belongs in a worker process: a binary format, e-mail, or a large one.

    Raises DocumentError ``unsupported_format``, as ``extract`` would.
    """
    if not data:
        return False
    found = _chosen(data, name, declared_type)
    return found.is_binary or found.is_risky or len(data) > LARGE


def type_of_text(uri: str, text: str) -> str | None:
    """Return the media type to keep for a text that was given none, so that it is read as what it is.

    None where it needs none: its name and content are judged like those of a file, and its bytes as UTF-8. Most texts
    are such, and what was kept of them before is the same as what is kept when they are pushed again. A type without a
    name, only with a charset, leaves the format to be judged.
    """
    if _is_no_text(text[:_PDF_HEAD].encode(), uri):
        return PLAIN + _IS_UNICODE
    return _IS_UNICODE if _DECLARATIONS.search(text, 0, FAR) else None


def as_given(media_type: str | None, name: str) -> str | None:
    """Return the type to declare for a text that was kept with this one: plain text is then plain, whatever its name.

    Servers call whatever they do not know so, and the name knows better; whoever gives a text with its type knows it.
    """
    if _media_type(media_type) != PLAIN:
        return media_type
    named = _KNOWN.get(_extension(name))
    is_ours = media_type == PLAIN + _IS_UNICODE and (named is None or named.is_binary)  # of ``type_of_text``
    return media_type if is_ours else _GIVEN_PLAIN


def _is_no_text(data: bytes, name: str) -> bool:
    """Whether the name, or how the document begins, says that it is not text, but a PDF or a picture, say."""
    try:
        found = _format(data, name, _extension(name), "")
    except DocumentError:
        return True
    return found.is_binary and not _fits(found, data)


def _extension(name: str) -> str:
    return splitext(name)[1][1:].lower()


def _media_type(declared: str | None) -> str:
    return declared.partition(";")[0].strip().lower() if declared else ""


def _without_blobs_in_parts(text: str, parts: Parts) -> tuple[str, Parts]:
    """Return the text without blocks of base64, and where its parts begin then; what was nothing else is no part."""
    pieces = [without_blobs(text[: parts[0][0]])]
    kept: list[tuple[int, str]] = []
    length = len(pieces[0])
    ends = (*(begin for begin, _ in parts[1:]), len(text))
    for (begin, label), end in zip(parts, ends, strict=True):
        if piece := without_blobs(text[begin:end]):
            kept.append((length, label))
            pieces.append(piece)
            length += len(piece)
    return "".join(pieces), tuple(kept)


def _by_extension(formats: Iterable[Format]) -> Mapping[str, Format]:
    return {extension: each for each in formats for extension in each.extensions}


_KNOWN = _by_extension(FORMATS)
_DECLARED = {media_type: each for each in FORMATS for media_type in each.media_types}
_REFUSED = {extension: name for name, extensions in UNSUPPORTED.items() for extension in extensions}
_MISLEADING = frozenset(("text/plain", "application/octet-stream", "application/zip"))
"""Servers send these for whatever they do not know: the extension knows better."""


def _chosen(data: bytes, name: str, declared_type: str | None) -> Format:
    if declared_type == _GIVEN_PLAIN:
        return _KNOWN["txt"]
    return _format(data, name, _extension(name), _media_type(declared_type))


def _format(data: bytes, name: str, extension: str, declared: str) -> Format:
    named = _named(extension, declared)
    if named is None:
        return _by_signature(data) or _by_content(data, name, extension)
    if _fits(named, data):
        return named
    # Only where the name cannot be true: exports of web applications are pages or plain tables called ``.xls``.
    found = _by_signature(data) or (_by_markup(data) if named.is_binary else None) or _by_columns(named, data)
    return found or (_KNOWN["txt"] if named.is_binary and declared == PLAIN else named)


def _named(extension: str, media_type: str) -> Format | None:
    declared = _DECLARED.get(media_type) if media_type else None
    if declared and (media_type not in _MISLEADING or extension not in _KNOWN):
        return declared
    return _KNOWN.get(extension)


def _own_type(read: Format, extension: str, declared: str) -> str | None:
    """The media type of a document: the declared one, if it stands for the format, else that of the name."""
    if declared in read.media_types:
        return declared
    by_name = TYPES.get(extension)
    return by_name if by_name in read.media_types else next(iter(read.media_types), None)


def _fits(named: Format, data: bytes) -> bool:
    if named is _KNOWN["pdf"]:
        return _PDF in data[:_PDF_HEAD]
    if named is _KNOWN["rtf"]:
        return data[:_PDF_HEAD].lstrip(_BLANK).startswith(_RTF)
    if named.is_binary and data.startswith(_ZIP):
        packed = _packed(data)
        return not packed or named in packed
    return named.is_binary and data.startswith(_OLE) and (named is _KNOWN["xls"] or not _is_workbook(data))


def _by_signature(data: bytes) -> Format | None:
    """Return the format of a document whose first bytes leave no doubt, whatever its name."""
    if data.startswith(_PDF):
        return _KNOWN["pdf"]
    if data.startswith(_RTF):
        return _KNOWN["rtf"]
    if data.startswith(_OLE) and _is_workbook(data):
        return _KNOWN["xls"]
    return next(iter(_packed(data)), None) if data.startswith(_ZIP) else None


def _is_workbook(data: bytes) -> bool:
    return _WORKBOOK in data and not any(name in data for name in _AROUND_WORKBOOKS)


def _packed(data: bytes) -> list[Format]:
    """Return the formats whose members are named in a ZIP archive: several, when documents hold others."""
    return [_KNOWN[extension] for member, extension in _MEMBERS.items() if member in data]


def _by_content(data: bytes, name: str, extension: str) -> Format:
    markup = _by_markup(data)
    if markup is not None:
        return markup
    if extension in _REFUSED:
        raise _unsupported(name, _REFUSED[extension])
    if data.startswith((_ZIP, _OLE)):
        raise _unsupported(name, "An archive" if data.startswith(_ZIP) else "An old Office file")
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            raise _unsupported(name, kind)
    return _KNOWN["txt"]


def _by_markup(data: bytes) -> Format | None:
    """Return the format of a text that begins with the marks of one."""
    start = data[:_MARKUP_HEAD].lstrip(_BLANK).lower()
    if start.startswith(_HTML_STARTS) or (start.startswith(_XML) and _XHTML in start):
        return _KNOWN["html"]
    if start.startswith(_XML):
        return _KNOWN["xml"]
    for mark, extension in _CONTENT_LINES.items():
        if start.startswith(mark):
            return _KNOWN[extension]
    if start.startswith(b"from ") and _MAILBOX.match(start):
        return _KNOWN["mbox"]
    return _KNOWN["eml"] if start.startswith(_MAIL) else None


def _by_columns(named: Format, data: bytes) -> Format | None:
    if named is not _KNOWN["xls"]:
        return None
    head = data[:_MARKUP_HEAD]
    return _KNOWN["csv"] if b"\t" in head.partition(b"\n")[0] and b"\0" not in head else None


_OPEN_ZIP = "unpack it, have ZIP archives of a folder opened (--archives, or archives: true in the source)"
_RECOGNISED = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def _unsupported(name: str, kind: str) -> DocumentError:
    """The error for a document of a kind that cannot be read."""
    is_zip = kind == "An archive" and name.lower().endswith(".zip")
    is_inside = ".zip/" in name.lower()  # one level is opened: nothing to turn on for what is deeper
    advice = "unpack it" if is_zip and is_inside else _OPEN_ZIP if is_zip else "convert it to text"
    if kind == "A picture" and name.lower().endswith(_RECOGNISED):
        advice = "have its text recognised (settings.ocr, --ocr LANG)"
    message = f"{kind} is not supported: {name} was left out; {advice}, or exclude it"
    return DocumentError(message, code="unsupported_format", counts=False)
