"""RTF: headings, lists of cells and text, from the control words that say something about the text.

Own reading, in one pass: striprtf 0.0.35 gives no headings, and cells without the rows they stand in.
"""

from phaseflow.components.extraction.markdown_writer import BULLET, Draft, line
from phaseflow.components.extraction.package import no_text_layer, nothing_found
from phaseflow.components.extraction.rtf_definitions import Definitions
from phaseflow.components.extraction.rtf_equations import EQUATIONS, Equation
from phaseflow.components.extraction.rtf_letters import Letters, as_numbers
from phaseflow.components.extraction.rtf_state import Group, Paragraph
from phaseflow.components.extraction.rtf_words import (
    APART,
    ASIDES,
    HEADERS,
    LIST_MARKS,
    LIST_TABLES,
    MARKS,
    POSITIONS,
    SIGNS,
    TELLING,
    is_one_letter,
    known,
    tokens,
)
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError

_MAX_DEPTH = 1000
_TABLES = frozenset((b"fonttbl", b"stylesheet")) | LIST_TABLES
_KEPT = frozenset((b"title", b"stylesheet", b"fonttbl", b"leveltext")) | LIST_MARKS
"""Groups whose text says something about the document."""


def extract(raw: Raw) -> Extracted:
    """Return the document as Markdown. Parts: what is under each heading. Title: the property, else the first heading.

    Raises DocumentError ``malformed``, ``too_large``, ``no_text_layer``, ``nothing_found``.
    """
    data = raw.data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if data and not data.startswith(b"{\\rtf"):
        message = f"{raw.name} is no RTF file; open and save it again, or exclude it"
        raise DocumentError(message, code="malformed")
    reader = _Reader(Draft(raw.name))
    reader.read(as_numbers(data) if raw.charset and not data.isascii() else data)
    if reader.draft.is_empty and reader.has_pictures:
        raise no_text_layer(raw.name)
    if reader.draft.is_empty and reader.has_objects:
        raise nothing_found(raw.name, "it holds documents of other programs")
    return reader.draft.finish(reader.title)


class _Reader:
    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.title: str | None = None
        self.has_pictures = self.has_objects = False
        self._letters = Letters(self._write)
        self._group = Group()
        self._begins_group = False
        self._groups: list[Group] = []
        self._paragraph = Paragraph()
        self._cell: list[str] = []
        self._cells: list[str] = []
        self._rows: list[list[str]] = []
        self._definitions = Definitions()
        self._equation: Equation | None = None
        self._counts_lists = False
        self._headers: dict[str, None] = {}
        self._said: list[str] = []
        self._asides: list[str] = []

    def read(self, data: bytes) -> None:
        begins_next = False
        # Nearly all writers say the numbers; where they do, an item without one has none.
        self._counts_lists = b"\\listtext" not in data and b"\\ls" in data
        for token in tokens(data):
            word, number, code, mark, brace, text = token.groups()
            self._begins_group, begins_next = begins_next, brace == b"{"
            if code is not None:
                self._letters.byte(int(code, 16))
            elif text is not None:
                self._letters.text(text)
            else:
                self._letters.flush(self._group)
                if self._letters.to_skip:
                    self._letters.to_skip = 0
                    if is_one_letter(word, mark):
                        continue
                if brace is not None:
                    self._brace(brace)
                    if not self._groups:
                        break  # what follows the end is no part of the document
                elif mark is not None:
                    self._mark(mark)
                else:
                    self._word(word, None if number is None else int(number))
        self._letters.flush(self._group)
        self._paragraph.in_table = False
        self._end_paragraph()
        for text in self._headers:
            self.draft.put(text)

    def _brace(self, brace: bytes) -> None:
        if brace == b"{":
            if len(self._groups) > _MAX_DEPTH:
                message = f"{self.draft.name} has groups nested too deeply; open and save it again, or exclude it"
                raise DocumentError(message, code="too_complex")
            self._groups.append(self._group)
            self._group = self._group.inner()
            if self._equation is not None:
                self._equation.open()
        elif self._groups:
            if self._equation is not None and not self._equation.close():
                equation, self._equation = self._equation, None
                self._paragraph.line.write_apart(equation.text)
            self._leave(self._group)
            self._group = self._groups.pop()

    def _leave(self, group: Group) -> None:
        said = "".join(self._said)
        if group.destination == b"title" and said.strip():
            self.title = said
        elif group.destination in LIST_MARKS:
            self._paragraph.list_mark = said
        if group.destination in _KEPT:
            self._definitions.end(group.destination, said)
            self._said = []
        if group.outside is not None:
            text = self._paragraph.line.take().strip()
            if group.is_header:
                self._headers.setdefault(text)
            else:
                self._asides.append(text)
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
        if self._equation is not None:
            self._equation.word(word)
        if not group.destination and word not in TELLING:
            return
        if self._begins_text_apart(word) or self._begins_equation(word):
            return
        if group.destination == b"*":
            # A destination that may be passed over, and is; but for what is said again in other letters.
            group.destination = group.around if word == b"ud" else word if word in APART else b"unknown"
            self.has_pictures = self.has_pictures or word == b"shppict"
            self.has_objects = self.has_objects or word == b"objdata"
        elif word == b"title" and group.destination == b"info":
            group.destination, self._said = b"title", []
        elif word == b"upr":
            group.around, group.destination = group.destination, word
        elif group.destination in _TABLES and word != b"u":
            self._define(word, number or 0)
        elif word in APART and not group.destination:
            group.destination, self._said = word, []
            self.has_pictures = self.has_pictures or word == b"pict"
        elif word == b"u" and number is not None:
            self._letters.unicode(number, self._group)
        elif word in SIGNS:
            self._write(SIGNS[word])
        else:
            self._state(word, number)

    def _begins_text_apart(self, word: bytes) -> bool:
        group = self._group
        if word not in ASIDES or group.destination not in (b"", b"*", b"shpinst", b"do"):
            return False
        group.destination, group.outside, group.is_header = b"", self._paragraph, word in HEADERS
        self._paragraph = Paragraph(is_aside=True)
        return True

    def _begins_equation(self, word: bytes) -> bool:
        is_in_text = self._group.destination == b"*" and not self._groups[-1].destination
        if word not in EQUATIONS or not is_in_text:
            return False
        self._group.destination = b""
        if word == b"moMath":
            self._equation = self._equation or Equation()
        return True

    def _state(self, word: bytes, number: int | None) -> None:
        group = self._group
        if word == b"ansicpg":
            self._letters.encoding = known(f"cp{number}")
        elif word == b"mac":
            self._letters.encoding = "mac_roman"
        elif word == b"uc":
            group.unicode_skip = number or 0
        elif word == b"f":
            group.encoding, group.symbols = self._definitions.font(number or 0)
        elif word == b"v":
            group.is_hidden = number != 0
        elif word == b"deleted":
            group.is_deleted = number != 0
        elif word in POSITIONS:
            group.position = POSITIONS[word] if number != 0 else ""
        elif word == b"plain":
            group.is_hidden, group.position, group.symbols = False, "", ""
        elif not group.destination:
            self._paragraph_state(word, number)

    def _paragraph_state(self, word: bytes, number: int | None) -> None:
        paragraph = self._paragraph
        if word == b"pard":
            paragraph.style, paragraph.outline, paragraph.in_table = 0, None, False
            paragraph.list_level = paragraph.list_number = 0
        elif word == b"intbl":
            paragraph.in_table = True
        elif word == b"s":
            paragraph.style = number or 0
        elif word == b"outlinelevel":
            paragraph.outline = number
        elif word == b"ls":
            paragraph.list_number = number or 0
        elif word == b"ilvl":
            paragraph.list_level = number or 0
        elif paragraph.is_aside:
            return
        elif word in (b"cell", b"nestcell"):
            self._end_cell()
        elif word in (b"row", b"nestrow"):
            self._end_row()

    def _define(self, word: bytes, number: int) -> None:
        if self._group.destination in LIST_TABLES and word == b"leveltext":
            self._group.destination, self._said = word, []
        elif self._definitions.define(self._group.destination, word, number, "".join(self._said)):
            self._said = []

    def _write(self, text: str) -> None:
        group = self._group
        if group.destination in _KEPT:
            self._said.append(text)
        elif group.destination or group.is_hidden or group.is_deleted:
            return
        elif self._equation is not None:
            self._equation.write(" " if text == "\n" else text)
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
        if mark is None and paragraph.list_number and self._counts_lists:
            mark = self._definitions.lists.mark(paragraph.list_number, paragraph.list_level)
        if paragraph.in_table:
            if text.strip():
                self._cell.append(text + " ")
            return
        self._end_table()
        level = self._definitions.levels.get(paragraph.style)
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
