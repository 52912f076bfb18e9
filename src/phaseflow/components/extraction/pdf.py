"""PDF: the text layer, page by page, by pdfium.

pypdfium2 is the quickest by far and refuses broken files instead of hanging; it is not safe in several threads, which
is one reason why this runs in a process of its own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from phaseflow.components.extraction.libraries import library
from phaseflow.components.extraction.markdown_writer import Draft, line
from phaseflow.components.extraction.metadata import office_properties
from phaseflow.components.extraction.package import encrypted, no_text_layer
from phaseflow.components.extraction.pdf_columns import in_columns
from phaseflow.components.extraction.pdf_text import TextReader
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.vocabulary import OCR, PAGES_BY_OCR, PAGES_WITHOUT_TEXT

_WRONG_PASSWORD = 4
_UNKNOWN_SECURITY = 5
# A word broken at the end of a line: pdfium marks the hyphen that the typesetter put in.
_BROKEN_WORD = re.compile(r"[\ufffe\x02](?:\r?\n)?(?:(?=([A-ZÀ-ÖØ-Þ\d]))|)")
_OF_ADDRESS = re.compile("[/@_\\\\]|^www[.]")
_LONGEST_ADDRESS = 300
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


def extract(raw: Raw, recognised: Mapping[int, str] | None = None) -> Extracted:
    """Return the text of all pages with what is filled into forms, a blank line between pages.

    Parts: pages. Title: the property, else the file's name. ``recognised`` has the texts of pages, by number from 0,
    that have none themselves. The metadata says how many pages these are, or that nothing was read of them.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer`` (pictures and no text).
    """
    with opened(raw) as document:
        pdfium = library("pypdfium2", "PDF")
        draft = Draft(raw.name)
        pages = _Pages(document, draft, pdfium, recognised or {})
        drawn = pages.add()
        names = list(dict.fromkeys(filter(None, [*_attachments(document, pdfium.raw), *pages.attached])))
        if names:
            draft.put(f"Attachments: {', '.join(names)}")
        if draft.is_empty and drawn:
            raise no_text_layer(raw.name)
        properties = document.get_metadata_dict()
        # Its creator is a program.
        said = office_properties({name.lower(): value for name, value in properties.items() if name != "Creator"})
        if recognised:
            said = {**said, OCR: True, PAGES_BY_OCR: len(recognised)}
        elif pages.without_text:
            said = {**said, PAGES_WITHOUT_TEXT: len(pages.without_text)}
        return draft.finish(_title(properties) or raw.base_name, MEDIA_TYPE, said)


@contextmanager
def opened(raw: Raw) -> Iterator[Any]:
    """Open a document. Raises DocumentError ``encrypted`` or ``malformed``."""
    pdfium = library("pypdfium2", "PDF")
    try:
        document = pdfium.PdfDocument(raw.data)
    except pdfium.PdfiumError as error:
        raise _refusal(raw.name, error) from error
    with document:
        if not len(document):
            raise _refusal(raw.name, why=" (it has no pages)")
        yield document


def pages_without_text(raw: Raw) -> list[int]:
    """The numbers, from 0, of the pages on which something is drawn and no text stands. Raises DocumentError."""
    with opened(raw) as document:
        pages = _Pages(document, Draft(raw.name), library("pypdfium2", "PDF"), {})
        pages.add()
        return pages.without_text


class _Pages:
    """The pages of a document, put into a draft. ``without_text``: those on which something is drawn, and no text."""

    def __init__(self, document: Any, draft: Draft, pdfium: Any, recognised: Mapping[int, str]) -> None:
        self.without_text: list[int] = []
        self.attached: list[str] = []
        """Names of files that stand on the pages as signs."""
        self._document = document
        self._draft = draft
        self._pdfium = pdfium
        self._recognised = recognised

    def add(self) -> bool:
        """Add all pages; return whether anything is drawn on them, as far as they have no text.

        Raises DocumentError ``malformed`` when none can be read: a list of pages that contains itself, for example.
        """
        raw, document, count = self._pdfium.raw, self._document.raw, len(self._document)
        unread, reader = 0, TextReader(raw)
        for number in range(count):
            page = raw.FPDF_LoadPage(document, number)
            if not page:
                unread += 1
                if unread > number and (unread == count or unread >= _MOST_UNREAD):
                    raise _refusal(self._draft.name)
                continue
            notes, names, has_fields = _marks(page, reader)
            self.attached += names
            if has_fields:
                # What is filled in stands beside the page, not on it.
                raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)
                raw.FPDF_ClosePage(page)
                page = raw.FPDF_LoadPage(document, number)
            # Not all documents number their pages.
            self._draft.part(f"page {reader.label(document, number) or number + 1}")
            self._add_page(page, number, notes, reader)
            raw.FPDF_ClosePage(page)
        return bool(self.without_text) or unread > 0

    def _add_page(self, page: Any, number: int, notes: Sequence[str], reader: TextReader) -> None:
        draft, raw = self._draft, reader.raw
        text_page = raw.FPDFText_LoadPage(page)
        text = reader.page_text(text_page)
        text = _BROKEN_WORD.sub(_joined, in_columns(page, text_page, text, reader) or text)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        raw.FPDFText_ClosePage(text_page)
        if not text or text.isspace():
            if raw.FPDFPage_CountObjects(page) > 0:
                self.without_text.append(number)
            text = self._recognised.get(number, "")
        if _LIGATURE.search(text):
            text = _LIGATURE.sub(lambda found: found[0].encode("utf-16-le").decode("utf-16-be"), text)
        draft.put(text)
        shown = line(text) if notes else ""
        for note in notes:
            if line(note) not in shown:
                draft.put(note)


def _joined(broken: re.Match[str]) -> str:
    """Before a capital or a digit the hyphen is the word's own: Nord-Süd, COVID-19. So it is in an address."""
    if broken[1]:
        return "-"
    before = broken.string[max(broken.start() - _LONGEST_ADDRESS, 0) : broken.start()].split()
    return "-" if before and _OF_ADDRESS.search(before[-1]) else ""


def _marks(page: Any, reader: TextReader) -> tuple[list[str], list[str], bool]:
    """Return what readers noted on a page (sticky notes, text beside it, remarks on what they marked), the names of
    files they attached to it, and whether it has fields of a form or text that a reader typed on it.
    """
    raw = reader.raw
    count = raw.FPDFPage_GetAnnotCount(page)
    if count < 1:
        return [], [], False
    noted = _kinds_of_notes(raw)
    notes: list[str] = []
    attached: list[str] = []
    has_fields = False
    for place in range(min(count, _MOST_NOTES)):
        mark = raw.FPDFPage_GetAnnot(page, place)
        if not mark:
            continue
        kind = raw.FPDFAnnot_GetSubtype(mark)
        has_fields = has_fields or kind in (raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FREETEXT)
        if kind in noted:
            notes.append(reader.string(partial(raw.FPDFAnnot_GetStringValue, mark, b"Contents"), _LONGEST_NOTE))
        if kind == raw.FPDF_ANNOT_FILEATTACHMENT and (found := raw.FPDFAnnot_GetFileAttachment(mark)):
            attached.append(_name(found, reader))
        raw.FPDFPage_CloseAnnot(mark)
    return list(filter(None, notes)), attached, has_fields


@cache
def _kinds_of_notes(raw: Any) -> frozenset[int]:
    return frozenset(getattr(raw, f"FPDF_ANNOT_{kind}") for kind in _NOTES)


def _attachments(document: Any, raw: Any) -> Iterator[str]:
    reader = TextReader(raw)
    for place in range(min(raw.FPDFDoc_GetAttachmentCount(document), _MOST_NOTES)):
        found = raw.FPDFDoc_GetAttachment(document, place)
        if found:
            yield _name(found, reader)


def _name(attachment: Any, reader: TextReader) -> str:
    return line(reader.string(partial(reader.raw.FPDFAttachment_GetName, attachment), _LONGEST_NOTE))


def _title(properties: Mapping[str, str]) -> str | None:
    title = line(properties.get("Title", ""))
    return None if _FILE_NAME.match(title) else title


def _refusal(name: str, error: Any = None, why: str = "") -> DocumentError:
    if getattr(error, "err_code", None) in (_WRONG_PASSWORD, _UNKNOWN_SECURITY):
        return encrypted(name)
    message = f"{name} is damaged or no PDF{why}; print or save it anew, or exclude it"
    return DocumentError(message, code="malformed")
