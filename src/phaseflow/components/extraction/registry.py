"""Which extractor reads which document.

A format is one row in ``FORMATS`` or ``UNSUPPORTED``. To add one, write a module with an ``Extractor`` and
its row; no other format has to know.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from phaseflow.components.extraction import html, mail, markdown, notebook, plain, rst
from phaseflow.components.extraction.data import extract_csv, extract_json, extract_xml
from phaseflow.components.extraction.shapes import Extracted, Extractor, Raw
from phaseflow.domain.errors import DocumentError

MARKDOWN = "text/markdown"
PLAIN = "text/plain"


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be read: its extractor, the extensions and the media types that stand for it."""

    name: str
    extractor: Extractor
    extensions: tuple[str, ...]
    media_types: tuple[str, ...] = ()


FORMATS = (
    Format("Markdown", markdown.extract, ("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"), (MARKDOWN,)),
    Format("plain text", plain.extract_text, ("txt", "text", "log", "asc", "adoc", "org", "tex"), (PLAIN,)),
    Format("reStructuredText", rst.extract, ("rst", "rest"), ("text/x-rst",)),
    Format("HTML", html.extract, ("html", "htm", "xhtml", "xht"), ("text/html", "application/xhtml+xml")),
    Format("CSV", extract_csv, ("csv", "tsv", "tab"), ("text/csv", "text/tab-separated-values")),
    Format("JSON", extract_json, ("json", "geojson", "json5"), ("application/json",)),
    Format("JSON Lines", extract_json, ("jsonl", "ndjson"), ("application/jsonl", "application/x-ndjson")),
    Format("feed", extract_xml, ("rss", "atom"), ("application/rss+xml", "application/atom+xml")),
    Format("XML", extract_xml, ("xml", "xsd", "xsl", "xslt", "svg"), ("application/xml", "text/xml")),
    Format("e-mail", mail.extract, ("eml",), ("message/rfc822",)),
    Format("notebook", notebook.extract, ("ipynb",), ("application/x-ipynb+json",)),
    Format("source code", plain.extract_code, plain.CODE_EXTENSIONS),
)

UNSUPPORTED: Mapping[str, tuple[str, ...]] = {
    "PDF": ("pdf",),
    "Word": ("docx", "doc", "docm", "dotx"),
    "PowerPoint": ("pptx", "ppt", "pptm"),
    "Excel": ("xlsx", "xls", "xlsm", "xlsb"),
    "OpenDocument": ("odt", "ods", "odp"),
    "EPUB": ("epub", "mobi", "azw3"),
    "RTF": ("rtf",),
    "An archive": ("zip", "tar", "gz", "tgz", "bz2", "xz", "7z", "rar", "zst", "jar", "whl"),
    "A picture": ("png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "ico", "heic", "psd"),
    "Sound or video": ("mp3", "wav", "flac", "ogg", "m4a", "mp4", "mkv", "mov", "avi", "webm"),
    "A database": ("db", "sqlite", "sqlite3", "mdb"),
    "A program": ("exe", "dll", "so", "dylib", "o", "a", "class", "pyc", "wasm"),
    "A font": ("ttf", "otf", "woff", "woff2"),
}

# Signatures that no text begins with, for files whose extension says nothing.
_SIGNATURES: Mapping[bytes, str] = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "An archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "An old Office file",
    b"{\\rtf": "RTF",
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
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")


def extract(
    data: bytes, name: str, *, declared_charset: str | None = None, declared_type: str | None = None
) -> Extracted:
    """Return the text of a document.

    The format follows from ``declared_type`` (a media type; parameters are passed over), else from the extension of
    ``name``, else from the content. ``declared_charset`` is what an HTTP header says. An empty document has the text
    ``""``. Blocking; call it in a worker thread.

    Raises DocumentError: ``unsupported_format`` (not counted against the error budget), ``decode_error``,
    ``too_complex``, ``too_large``, ``malformed``.
    """
    return _extractor(data, name, declared_type)(Raw(data, name, declared_charset))


def _by_extension(formats: Iterable[Format]) -> Mapping[str, Extractor]:
    return {extension: each.extractor for each in formats for extension in each.extensions}


_EXTRACTORS = _by_extension(FORMATS)
_DECLARED = {media_type: each.extractor for each in FORMATS for media_type in each.media_types}
_REFUSED = {extension: name for name, extensions in UNSUPPORTED.items() for extension in extensions}


def _extractor(data: bytes, name: str, declared_type: str | None) -> Extractor:
    extension = PurePosixPath(name).suffix[1:].lower()
    declared = _declared(declared_type)
    # Servers send text/plain for whatever they do not know: the extension knows better.
    if declared and (declared is not plain.extract_text or extension not in _EXTRACTORS):
        return declared
    if extension in _EXTRACTORS:
        return _EXTRACTORS[extension]
    if extension in _REFUSED and data:
        raise unsupported(name, _REFUSED[extension])
    return _by_content(data, name)


def _declared(media_type: str | None) -> Extractor | None:
    return _DECLARED.get(media_type.partition(";")[0].strip().lower()) if media_type else None


def _by_content(data: bytes, name: str) -> Extractor:
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            raise unsupported(name, kind)
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_HTML_STARTS):
        return html.extract
    return extract_xml if start.startswith(b"<?xml") else plain.extract_text


def unsupported(name: str, kind: str) -> DocumentError:
    """The error for a document of a kind that cannot be read."""
    message = f"{kind} is not supported: {name} was left out; convert it to text, or exclude it"
    return DocumentError(message, code="unsupported_format", counts=False)
