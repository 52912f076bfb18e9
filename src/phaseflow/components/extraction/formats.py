"""The table of formats. To add one, write a module with an ``Extractor`` and its row; no other format has to know."""

from collections.abc import Mapping
from dataclasses import dataclass

from phaseflow.components.extraction import (
    content_lines,
    docx,
    epub,
    html,
    mail,
    mailbox,
    markdown,
    markup,
    notebook,
    odf,
    pdf,
    plain,
    pptx,
    rst,
    rtf,
    sheets,
)
from phaseflow.components.extraction.data import extract_csv, extract_json, extract_xml
from phaseflow.components.extraction.types import Extractor

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


_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_EXCEL = "application/vnd.ms-excel"

FORMATS = (
    Format("Markdown", markdown.extract, ("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"), (MARKDOWN,)),
    Format("plain text", plain.extract_text, ("txt", "text", "log", "asc"), (PLAIN,)),
    Format("AsciiDoc", markup.extract_asciidoc, ("adoc", "asciidoc"), ("text/asciidoc",)),
    Format("Org", markup.extract_org, ("org",), ("text/org", "text/x-org")),
    Format("LaTeX", markup.extract_latex, ("tex", "latex", "ltx"), ("application/x-latex", "text/x-tex")),
    Format("reStructuredText", rst.extract, ("rst", "rest"), ("text/x-rst",)),
    Format("HTML", html.extract, ("html", "htm", "xhtml", "xht"), ("text/html", "application/xhtml+xml")),
    Format("CSV", extract_csv, ("csv", "tsv", "tab"), ("text/csv", "text/tab-separated-values")),
    Format("JSON", extract_json, ("json", "geojson", "json5"), ("application/json",)),
    Format("JSON Lines", extract_json, ("jsonl", "ndjson"), ("application/jsonl", "application/x-ndjson")),
    Format("feed", extract_xml, ("rss", "atom"), ("application/rss+xml", "application/atom+xml")),
    Format("XML", extract_xml, ("xml", "xsd", "xsl", "xslt", "svg"), ("application/xml", "text/xml")),
    Format(
        "e-mail",
        mail.extract,
        ("eml", "mht", "mhtml"),
        ("message/rfc822", "multipart/related"),
        is_risky=True,
    ),
    Format("mailbox", mailbox.extract, ("mbox", "mbx"), ("application/mbox",), is_risky=True),
    Format("vCard", content_lines.extract, ("vcf", "vcard"), ("text/vcard", "text/x-vcard"), is_risky=True),
    Format("calendar", content_lines.extract, ("ics", "ical", "ifb"), ("text/calendar",), is_risky=True),
    Format("notebook", notebook.extract, ("ipynb",), ("application/x-ipynb+json",)),
    Format("source code", plain.extract_code, plain.CODE_EXTENSIONS),
    Format("PDF", pdf.extract, ("pdf",), ("application/pdf", "application/x-pdf"), is_binary=True),
    Format("Word", docx.extract, ("docx", "docm", "dotx", "dotm"), (f"{_OFFICE}wordprocessingml.document",), True),
    Format(
        "PowerPoint",
        pptx.extract,
        ("pptx", "pptm", "ppsx", "ppsm", "potx", "potm"),
        (f"{_OFFICE}presentationml.presentation",),
        True,
    ),
    Format(
        "Excel",
        sheets.extract,
        ("xlsx", "xlsm", "xlsb", "xltx", "xltm", "xls"),
        (f"{_OFFICE}spreadsheetml.sheet", _EXCEL),
        True,
    ),
    Format(
        "OpenDocument text",
        odf.extract,
        ("odt", "ott", "odp", "otp", "odg"),
        (f"{_OPEN}text", f"{_OPEN}presentation"),
        True,
    ),
    Format(
        "flat OpenDocument",
        odf.extract_flat,
        ("fodt", "fodp", "fodg", "fods"),
        (f"{_OPEN}text-flat-xml",),
        is_risky=True,
    ),
    Format("OpenDocument spreadsheet", sheets.extract, ("ods", "ots"), (f"{_OPEN}spreadsheet",), True),
    Format("EPUB", epub.extract, ("epub",), ("application/epub+zip",), True),
    Format("RTF", rtf.extract, ("rtf",), ("application/rtf", "text/rtf"), True),
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
