"""The table of formats. To add one, write a module with an ``Extractor`` and its row; no other format has to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from phaseflow.components.extraction.plain import CODE_EXTENSIONS
from phaseflow.components.extraction.types import Extracted, Extractor, Raw

MARKDOWN = "text/markdown"
PLAIN = "text/plain"


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be read: its extractor, the extensions and the media types that stand for it."""

    name: str
    extractor: Extractor
    extensions: tuple[str, ...]
    media_types: tuple[str, ...] = ()
    is_binary: bool = False
    """Read by a parser that a hostile document can keep busy or break: belongs in a worker process."""
    is_risky: bool = False
    """Text, and yet such a parser."""


def _in(module: str, name: str = "extract") -> Extractor:
    """An extractor whose module is imported with the first document that it reads: a job mostly has a few formats."""

    extractor: Extractor | None = None

    def extract(raw: Raw) -> Extracted:
        nonlocal extractor
        if extractor is None:
            extractor = getattr(import_module(f"phaseflow.components.extraction.{module}"), name)
            assert extractor is not None
        return extractor(raw)

    return extract


_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_EXCEL = "application/vnd.ms-excel"

FORMATS = (
    Format("Markdown", _in("markdown"), ("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"), (MARKDOWN,)),
    Format("plain text", _in("plain", "extract_text"), ("txt", "text", "log", "asc"), (PLAIN,)),
    Format("AsciiDoc", _in("markup", "extract_asciidoc"), ("adoc", "asciidoc"), ("text/asciidoc",)),
    Format("Org", _in("markup", "extract_org"), ("org",), ("text/org", "text/x-org")),
    Format("LaTeX", _in("markup", "extract_latex"), ("tex", "latex", "ltx"), ("application/x-latex", "text/x-tex")),
    Format("reStructuredText", _in("rst"), ("rst", "rest"), ("text/x-rst",)),
    Format("HTML", _in("html"), ("html", "htm", "xhtml", "xht"), ("text/html", "application/xhtml+xml")),
    Format("CSV", _in("data", "extract_csv"), ("csv", "tsv", "tab"), ("text/csv", "text/tab-separated-values")),
    Format("JSON", _in("data", "extract_json"), ("json", "geojson", "json5"), ("application/json",)),
    Format(
        "JSON Lines", _in("data", "extract_json"), ("jsonl", "ndjson"), ("application/jsonl", "application/x-ndjson")
    ),
    Format("feed", _in("data", "extract_xml"), ("rss", "atom"), ("application/rss+xml", "application/atom+xml")),
    Format("XML", _in("data", "extract_xml"), ("xml", "xsd", "xsl", "xslt", "svg"), ("application/xml", "text/xml")),
    Format(
        "e-mail",
        _in("mail"),
        ("eml", "mht", "mhtml"),
        ("message/rfc822", "multipart/related"),
        is_risky=True,
    ),
    Format("mailbox", _in("mailbox"), ("mbox", "mbx"), ("application/mbox",), is_risky=True),
    Format("vCard", _in("content_lines"), ("vcf", "vcard"), ("text/vcard", "text/x-vcard"), is_risky=True),
    Format("calendar", _in("content_lines"), ("ics", "ical", "ifb"), ("text/calendar",), is_risky=True),
    Format("notebook", _in("notebook"), ("ipynb",), ("application/x-ipynb+json",)),
    Format("source code", _in("plain", "extract_code"), CODE_EXTENSIONS),
    Format("PDF", _in("pdf"), ("pdf",), ("application/pdf", "application/x-pdf"), is_binary=True),
    Format("Word", _in("docx"), ("docx", "docm", "dotx", "dotm"), (f"{_OFFICE}wordprocessingml.document",), True),
    Format(
        "PowerPoint",
        _in("pptx"),
        ("pptx", "pptm", "ppsx", "ppsm", "potx", "potm"),
        (f"{_OFFICE}presentationml.presentation",),
        True,
    ),
    Format(
        "Excel",
        _in("sheets"),
        ("xlsx", "xlsm", "xlsb", "xltx", "xltm", "xls"),
        (f"{_OFFICE}spreadsheetml.sheet", _EXCEL),
        True,
    ),
    Format(
        "OpenDocument text",
        _in("odf"),
        ("odt", "ott", "odp", "otp", "odg"),
        (f"{_OPEN}text", f"{_OPEN}presentation"),
        True,
    ),
    Format(
        "flat OpenDocument",
        _in("odf", "extract_flat"),
        ("fodt", "fodp", "fodg", "fods"),
        (f"{_OPEN}text-flat-xml",),
        is_risky=True,
    ),
    Format("OpenDocument spreadsheet", _in("sheets"), ("ods", "ots"), (f"{_OPEN}spreadsheet",), True),
    Format("EPUB", _in("epub"), ("epub",), ("application/epub+zip",), True),
    Format("RTF", _in("rtf"), ("rtf",), ("application/rtf", "text/rtf"), True),
)

TYPES: Mapping[str, str] = {
    "tsv": "text/tab-separated-values", "tab": "text/tab-separated-values", "xhtml": "application/xhtml+xml",
    "xht": "application/xhtml+xml", "atom": "application/atom+xml", "mht": "multipart/related",
    "mhtml": "multipart/related", "xls": _EXCEL, "odp": f"{_OPEN}presentation", "otp": f"{_OPEN}presentation",
}  # fmt: skip
"""The media types of extensions that are not the first of their format."""

UNSUPPORTED: Mapping[str, tuple[str, ...]] = {
    "An old Word document": ("doc", "dot"),
    "An old PowerPoint presentation": ("ppt", "pps"),
    "An Outlook message": ("msg",),
    "A Kindle book": ("mobi", "azw3"),
    "An archive": ("zip", "tar", "gz", "tgz", "bz2", "xz", "7z", "rar", "zst", "jar", "whl"),
    "A picture": ("png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "ico", "heic", "psd"),
    "Sound or video": ("mp3", "wav", "flac", "ogg", "m4a", "mp4", "mkv", "mov", "avi", "webm"),
    "A database": ("db", "sqlite", "sqlite3", "mdb"),
    "A program": ("exe", "dll", "so", "dylib", "o", "a", "class", "pyc", "wasm"),
    "A font": ("ttf", "otf", "woff", "woff2"),
}
