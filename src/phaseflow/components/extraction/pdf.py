"""PDF: the text layer, page by page, by pdfium.

pypdfium2 is the quickest by far and refuses broken files instead of hanging; it is not safe in several threads, which
is one reason why this runs in a process of its own.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from ctypes import POINTER, cast, create_string_buffer
from functools import partial
from typing import Any

from phaseflow.components.extraction.libraries import library
from phaseflow.components.extraction.markdown_writer import Draft, line
from phaseflow.components.extraction.metadata import office_properties
from phaseflow.components.extraction.package import encrypted, no_text_layer
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError

_WRONG_PASSWORD = 4
_UNKNOWN_SECURITY = 5
# A word broken at the end of a line: pdfium marks the hyphen that the typesetter put in.
_BROKEN_WORD = re.compile(r"[\ufffe\x02](?:\r?\n)?(?:(?=([A-ZÀ-ÖØ-Þ\d]))|)")
_NOTES = (
    "TEXT",
    "FREETEXT",
    "HIGHLIGHT",
    "UNDERLINE",
    "SQUIGGLY",
    "STRIKEOUT",
    "CARET",
    "INK",
    "LINE",
    "SQUARE",
    "CIRCLE",
    "STAMP",
    "FILEATTACHMENT",
)
_MOST_NOTES = 10_000
_LONGEST_NOTE = 200_000
"""Bytes."""
_MOST_UNREAD = 100
"""Pages at the beginning that cannot be read: then none can."""
# Ghostscript 10.0 wrote the letters of ligatures with their bytes swapped: 昀椀 is fi.
_LIGATURE = re.compile("昀[昀椀氀]+|琀[琀椀]+")
_FILE_NAME = re.compile(
    r"(?i)^(\(?(?:untitled|anonymous)\)?|microsoft \w+ - .*|.*\.(docx?|tex|dvi|indd|qxd|pptx?|xlsx?|pdf|rtf|odt))$"
)


def extract(raw: Raw) -> Extracted:
    """Return the text of all pages with what is filled into forms, a blank line between pages.

    Parts: pages. Title: the property, else the file's name.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer`` (pictures and no text).
    """
    pdfium = library("pypdfium2", "PDF")
    try:
        document = pdfium.PdfDocument(raw.data)
    except pdfium.PdfiumError as error:
        raise _refusal(raw.name, error) from error
    with document:
        if not len(document):
            raise _refusal(raw.name, "it has no pages")
        draft = Draft(raw.name)
        drawn = _add_pages(document, draft, pdfium)
        names = list(filter(None, _attachments(document, pdfium.raw)))
        if names:
            draft.put(f"Attachments: {', '.join(names)}")
        if draft.is_empty and drawn:
            raise no_text_layer(raw.name)
        properties = document.get_metadata_dict()
        # Its creator is a program.
        said = office_properties({name.lower(): value for name, value in properties.items() if name != "Creator"})
        return draft.finish(_title(properties) or raw.base_name, MEDIA_TYPE, said)


def _add_pages(document: Any, draft: Draft, pdfium: Any) -> bool:
    """Add all pages; return whether anything is drawn on them, as far as they have no text.

    Raises DocumentError ``malformed`` when none can be read: a list of pages that contains itself, for example.
    """
    drawn, unread = False, 0
    for number in range(len(document)):
        try:
            page = document[number]
        except pdfium.PdfiumError as error:
            unread += 1
            if unread > number and (unread == len(document) or unread >= _MOST_UNREAD):
                raise _refusal(draft.name, error) from error
            continue
        drawn = _add_page(document, page, number, draft, pdfium) or drawn
    return drawn or unread > 0


def _add_page(document: Any, page: Any, number: int, draft: Draft, pdfium: Any) -> bool:
    """Add a page; return whether anything is drawn on it."""
    notes, has_fields = _marks(page, pdfium.raw)
    if has_fields:
        # What is filled in stands beside the page, not on it.
        pdfium.raw.FPDFPage_Flatten(page, pdfium.raw.FLAT_NORMALDISPLAY)
        page.close()
        page = document[number]
    # As viewers show it: iv, A-3. Not all documents number their pages.
    draft.part(f"page {document.get_page_label(number) or number + 1}")
    text_page = page.get_textpage()
    text = _BROKEN_WORD.sub(_joined, text_page.get_text_range())
    draft.put(_LIGATURE.sub(lambda found: found[0].encode("utf-16-le").decode("utf-16-be"), text))
    shown = line(text)
    for note in notes:
        if line(note) not in shown:
            draft.put(note)
    text_page.close()
    drawn = draft.is_empty and next(iter(page.get_objects(max_depth=1)), None) is not None
    page.close()
    return drawn


def _joined(broken: re.Match[str]) -> str:
    """Before a capital or a digit the hyphen is the word's own: Nord-Süd, COVID-19."""
    return "-" if broken[1] else ""


def _marks(page: Any, raw: Any) -> tuple[list[str], bool]:
    """Return what readers noted on a page (sticky notes, text beside it, remarks on what they marked), and whether it
    has fields of a form or text that a reader typed on it.
    """
    count = raw.FPDFPage_GetAnnotCount(page)
    if count < 1:
        return [], False
    noted = {getattr(raw, f"FPDF_ANNOT_{kind}") for kind in _NOTES}
    notes: list[str] = []
    has_fields = False
    for place in range(min(count, _MOST_NOTES)):
        mark = raw.FPDFPage_GetAnnot(page, place)
        if not mark:
            continue
        kind = raw.FPDFAnnot_GetSubtype(mark)
        has_fields = has_fields or kind in (raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FREETEXT)
        if kind in noted:
            notes.append(_string(partial(raw.FPDFAnnot_GetStringValue, mark, b"Contents"), raw))
        raw.FPDFPage_CloseAnnot(mark)
    return list(filter(None, notes)), has_fields


def _attachments(document: Any, raw: Any) -> Iterator[str]:
    for place in range(min(raw.FPDFDoc_GetAttachmentCount(document), _MOST_NOTES)):
        found = raw.FPDFDoc_GetAttachment(document, place)
        if found:
            yield line(_string(partial(raw.FPDFAttachment_GetName, found), raw))


def _string(read: Callable[[Any, int], int], raw: Any) -> str:
    """Return a string of the library, which says its size first and then writes it as UTF-16."""
    size = read(None, 0)
    if not 2 < size <= _LONGEST_NOTE:
        return ""
    held = create_string_buffer(size)
    read(cast(held, POINTER(raw.FPDF_WCHAR)), size)
    return held.raw[: size - 2].decode("utf-16-le", "replace")


def _title(properties: Mapping[str, str]) -> str | None:
    title = line(properties.get("Title", ""))
    return None if _FILE_NAME.match(title) else title


def _refusal(name: str, error: Any) -> DocumentError:
    if getattr(error, "err_code", None) in (_WRONG_PASSWORD, _UNKNOWN_SECURITY):
        return encrypted(name)
    message = f"{name} is damaged or no PDF ({error}); print or save it anew, or exclude it"
    return DocumentError(message, code="malformed")
