"""PDF: the text layer, page by page, by pdfium.

pypdfium2 is the quickest by far and refuses broken files instead of hanging; it is not safe in several threads, which
is one reason why this runs in a process of its own.
"""

import re
from typing import Any

from phaseflow.components.extraction.libraries import library
from phaseflow.components.extraction.markdown_writer import Draft, line
from phaseflow.components.extraction.package import encrypted, no_text_layer
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError

_WRONG_PASSWORD = 4
_UNKNOWN_SECURITY = 5
# A word broken at the end of a line: pdfium marks the hyphen that the typesetter put in.
_BROKEN_WORD = re.compile("[\ufffe\x02](?:\r?\n)?")
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
        drawn = sum(_add_page(document, number, draft, pdfium) for number in range(len(document)))
        if draft.is_empty and drawn:
            raise no_text_layer(raw.name)
        return draft.finish(_title(document) or raw.base_name, MEDIA_TYPE)


def _add_page(document: Any, number: int, draft: Draft, pdfium: Any) -> bool:
    """Add a page; return whether anything is drawn on it. A page that cannot be read is as good as a drawn one."""
    try:
        page = document[number]
    except pdfium.PdfiumError:
        return True
    if _has_fields(page, pdfium.raw):
        # What is filled in stands beside the page, not on it.
        pdfium.raw.FPDFPage_Flatten(page, pdfium.raw.FLAT_NORMALDISPLAY)
        page.close()
        page = document[number]
    draft.part(f"page {number + 1}")
    text_page = page.get_textpage()
    text = _BROKEN_WORD.sub("", text_page.get_text_range())
    draft.put(_LIGATURE.sub(lambda found: found[0].encode("utf-16-le").decode("utf-16-be"), text))
    text_page.close()
    drawn = draft.is_empty and next(iter(page.get_objects(max_depth=1)), None) is not None
    page.close()
    return drawn


def _has_fields(page: Any, raw: Any) -> bool:
    """Say whether the page has fields of a form, or text that a reader typed on it."""
    for place in range(raw.FPDFPage_GetAnnotCount(page)):
        mark = raw.FPDFPage_GetAnnot(page, place)
        kind = raw.FPDFAnnot_GetSubtype(mark)
        raw.FPDFPage_CloseAnnot(mark)
        if kind in (raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FREETEXT):
            return True
    return False


def _title(document: Any) -> str | None:
    title = line(document.get_metadata_dict().get("Title", ""))
    return None if _FILE_NAME.match(title) else title


def _refusal(name: str, error: Any) -> DocumentError:
    if getattr(error, "err_code", None) in (_WRONG_PASSWORD, _UNKNOWN_SECURITY):
        return encrypted(name)
    message = f"{name} is damaged or no PDF ({error}); print or save it anew, or exclude it"
    return DocumentError(message, code="malformed")
