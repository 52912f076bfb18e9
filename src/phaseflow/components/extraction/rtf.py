"""RTF: headings, lists of cells and text, from the control words that say something about the text.

Own reading, in one pass: striprtf 0.0.35 gives no headings, and cells without the rows they stand in.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import replace

from phaseflow.components.extraction.markdown_writer import BULLET, Draft, line
from phaseflow.components.extraction.package import no_text_layer
from phaseflow.components.extraction.rtf_state import Group, Paragraph
from phaseflow.components.extraction.rtf_words import APART, ASIDES, CHARSETS, LIST_MARKS, MARKS, SIGNS
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError

_TOKEN = re.compile(rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)")
_MAX_DEPTH = 1000
_POSITIONS = {b"super": "superscript", b"sub": "subscript", b"nosupersub": ""}
_KEPT = frozenset((b"title", b"stylesheet")) | LIST_MARKS
"""Groups whose text says something about the document."""
_HEADING = re.compile(r"\s*heading (\d)\b", re.I)


def extract(raw: Raw) -> Extracted:
    """Return the document as Markdown. Parts: what is under each heading. Title: the property, else the first heading.

    Raises DocumentError ``malformed``, ``too_large``, ``no_text_layer``.
    """
    data = raw.data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if data and not data.startswith(b"{\\rtf"):
        message = f"{raw.name} is no RTF file; open and save it again, or exclude it"
        raise DocumentError(message, code="malformed")
    reader = _Reader(Draft(raw.name))
    reader.read(data)
    if reader.draft.is_empty and reader.has_pictures:
        raise no_text_layer(raw.name)
    return reader.draft.finish(reader.title)


class _Reader:
    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.title: str | None = None
        self.has_pictures = False
        self._encoding = "cp1252"
        self._group = Group()
        self._begins_group = False
        self._groups: list[Group] = []
        self._paragraph = Paragraph()
        self._cell: list[str] = []
        self._cells: list[str] = []
        self._rows: list[list[str]] = []
        self._fonts: dict[int, str] = {}
        self._levels: dict[int, int] = {}
        self._number = 0
        self._bytes = bytearray()
        self._to_skip = 0
        self._said: list[str] = []
        self._high = 0
        self._asides: list[str] = []

    def read(self, data: bytes) -> None:
        begins_next = False
        for token in self._tokens(data):
            word, number, code, mark, brace, text = token.groups()
            self._begins_group, begins_next = begins_next, brace == b"{"
            if code is not None:
                self._byte(int(code, 16))
            elif text is not None:
                self._text(text)
            else:
                self._flush_bytes()
                if brace is not None:
                    self._brace(brace)
                elif mark is not None:
                    self._mark(mark)
                else:
                    self._word(word, None if number is None else int(number))
        self._flush_bytes()
        self._paragraph.in_table = False
        self._end_paragraph()

    def _tokens(self, data: bytes) -> Iterator[re.Match[bytes]]:
        """Yield the tokens, without the binary data that ``\\bin`` announces."""
        place = 0
        while token := _TOKEN.search(data, place):
            place = token.end()
            if token[1] == b"bin" and token[2]:
                place += max(int(token[2]), 0)
            else:
                yield token

    def _brace(self, brace: bytes) -> None:
        if brace == b"{":
            if len(self._groups) > _MAX_DEPTH:
                message = f"{self.draft.name} has groups nested too deeply; open and save it again, or exclude it"
                raise DocumentError(message, code="too_complex")
            self._groups.append(self._group)
            self._group = replace(self._group, outside=None)
        elif self._groups:
            self._leave(self._group)
            self._group = self._groups.pop()

    def _leave(self, group: Group) -> None:
        said = "".join(self._said)
        if group.destination == b"title" and said.strip():
            self.title = said
        elif group.destination == b"stylesheet" and (heading := _HEADING.match(said)):
            self._levels[self._number] = int(heading[1])
        elif group.destination in LIST_MARKS:
            self._paragraph.list_mark = said
        if group.destination in _KEPT:
            self._said = []
        if group.outside is not None:
            self._asides.append(self._paragraph.line.take().strip())
            self._paragraph = group.outside

    def _mark(self, mark: bytes) -> None:
        if mark == b"*":
            # Elsewhere than at the start of a group, as OpenOffice 1 wrote it, it means nothing.
            if self._begins_group:
                self._group.destination = b"*"
        elif mark in (b"\n", b"\r"):
            self._write("\n")
        elif mark in MARKS:
            self._write(MARKS[mark])

    def _word(self, word: bytes, number: int | None) -> None:
        group = self._group
        if word in ASIDES and group.destination in (b"", b"*", b"shpinst"):
            group.destination, group.outside = b"", self._paragraph
            self._paragraph = Paragraph(is_aside=True)
        elif group.destination == b"*":
            # A destination that may be passed over, and is.
            group.destination = word if word in APART else b"unknown"
            self.has_pictures = self.has_pictures or word == b"shppict"
        elif word == b"title" and group.destination == b"info":
            group.destination, self._said = b"title", []
        elif word in APART and not group.destination:
            group.destination, self._said = word, []
            self.has_pictures = self.has_pictures or word == b"pict"
        elif word == b"u" and number is not None:
            self._unicode(number)
        elif group.destination in (b"fonttbl", b"stylesheet"):
            self._define(group.destination, word, number or 0)
        elif word in SIGNS:
            self._write(SIGNS[word])
        else:
            self._state(word, number)

    def _state(self, word: bytes, number: int | None) -> None:
        group = self._group
        if word == b"ansicpg":
            self._encoding = _known(f"cp{number}")
        elif word == b"mac":
            self._encoding = "mac_roman"
        elif word == b"uc":
            group.unicode_skip = number or 0
        elif word == b"f":
            group.encoding = self._fonts.get(number or 0, "")
        elif word == b"v":
            group.is_hidden = number != 0
        elif word == b"deleted":
            group.is_deleted = number != 0
        elif word in _POSITIONS:
            group.position = _POSITIONS[word] if number != 0 else ""
        elif word == b"plain":
            group.is_hidden, group.position = False, ""
        elif not group.destination:
            self._paragraph_state(word, number)

    def _paragraph_state(self, word: bytes, number: int | None) -> None:
        paragraph = self._paragraph
        if word == b"pard":
            paragraph.style, paragraph.outline, paragraph.in_table, paragraph.list_level = 0, None, False, 0
        elif word == b"intbl":
            paragraph.in_table = True
        elif word == b"s":
            paragraph.style = number or 0
        elif word == b"outlinelevel":
            paragraph.outline = number
        elif word == b"ilvl":
            paragraph.list_level = number or 0
        elif paragraph.is_aside:
            return
        elif word in (b"cell", b"nestcell"):
            self._end_cell()
        elif word in (b"row", b"nestrow"):
            self._end_row()

    def _define(self, destination: bytes, word: bytes, number: int) -> None:
        if word == (b"f" if destination == b"fonttbl" else b"s"):
            self._number = number
            self._said = []
        elif word == b"fcharset" and number in CHARSETS:
            self._fonts[self._number] = CHARSETS[number]
        elif word == b"outlinelevel" and destination == b"stylesheet" and 0 <= number < 9:
            self._levels.setdefault(self._number, number + 1)

    def _unicode(self, number: int) -> None:
        self._to_skip = self._group.unicode_skip
        unit = number & 0xFFFF
        if 0xD800 <= unit < 0xDC00:
            self._high = unit
            return
        if 0xDC00 <= unit < 0xE000:
            high, self._high = self._high, 0
            if high:
                self._write(chr(0x10000 + ((high - 0xD800) << 10) + unit - 0xDC00))
            return
        self._write(chr(unit))

    def _byte(self, value: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        else:
            self._bytes.append(value)

    def _text(self, text: bytes) -> None:
        skipped, self._to_skip = self._to_skip, max(self._to_skip - len(text), 0)
        # The second byte of a double-byte character may be an ordinary letter.
        self._bytes += text[skipped:]

    def _flush_bytes(self) -> None:
        if self._bytes:
            text = self._bytes.decode(self._group.encoding or self._encoding, "replace")
            self._bytes.clear()
            self._write(text)

    def _write(self, text: str) -> None:
        group = self._group
        if group.destination in _KEPT:
            self._said.append(text)
        elif group.destination or group.is_hidden or group.is_deleted:
            return
        elif text == "\n":
            self._end_paragraph()
        else:
            self._paragraph.line.write(text, group.position)

    def _end_paragraph(self) -> None:
        paragraph = self._paragraph
        if paragraph.is_aside:
            paragraph.line.write("\n")
            return
        text, mark, paragraph.list_mark = paragraph.line.take(), paragraph.list_mark, None
        if paragraph.in_table:
            if text.strip():
                self._cell.append(text + " ")
            return
        self._end_table()
        level = self._levels.get(paragraph.style)
        if paragraph.outline is not None and 0 <= paragraph.outline < 9:
            level = paragraph.outline + 1
        # A number or letter; anything else is a bullet, drawn with a sign of a font of symbols.
        shown = f"{line(mark)} " if mark and any(map(str.isalnum, mark)) else ""
        if level is not None:
            self.draft.section(level, text, shown)
        elif mark is not None:
            self.draft.item(paragraph.list_level, text, shown or BULLET)
        else:
            self.draft.put(text)
        while self._asides:
            self.draft.put(self._asides.pop(0))

    def _end_cell(self) -> None:
        self._cell.append(self._paragraph.line.take())
        self._cells.append("".join(self._cell))
        self._cell = []

    def _end_row(self) -> None:
        self._rows.append(self._cells)
        self._cells = []

    def _end_table(self) -> None:
        if self._cell:
            self._end_cell()
        rows = [*self._rows, self._cells] if self._cells else self._rows
        self._rows, self._cells = [], []
        self.draft.table(rows)


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return "cp1252"
