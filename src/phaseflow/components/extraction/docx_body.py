"""The body of a part of a Word document: its events as blocks of Markdown."""

from collections.abc import Callable

from phaseflow.components.extraction import docx_elements as elements
from phaseflow.components.extraction.docx_blocks import Paragraph, Table
from phaseflow.components.extraction.formulas import Formula
from phaseflow.components.extraction.markdown_writer import BULLET, Draft, line
from phaseflow.components.extraction.numbering import Numbering
from phaseflow.components.extraction.raised import Line
from phaseflow.components.extraction.styles import OFF, Styles, position_of
from phaseflow.components.extraction.symbol_fonts import is_symbol_font, shown_text
from phaseflow.components.extraction.word_fields import Fields


class Body:
    """Turns the events of a part of the document into blocks."""

    def __init__(
        self,
        draft: Draft,
        styles: Styles,
        numbering: Numbering,
        add_chunk: Callable[[str], bool] = lambda each: False,
        *,
        has_headings: bool = True,
    ) -> None:
        self._draft = draft
        self._styles = styles
        self._numbering = numbering
        self._skipping = 0
        self._paragraphs: list[Paragraph] = []
        self._tables: list[Table] = []
        self._properties = ""
        self._is_taken_out = False
        """The row or cell in hand, by its properties."""
        self._in_text = self._in_code = False
        self._is_hidden = False
        self._around: list[bool] = []
        """Whether the runs are hidden around those that are open: one in a text box stands in another."""
        self._font = ""
        self._fields = Fields(self._number_in_line)
        self._around_reading: Line | None = None
        self._reading = ""
        """How the word in hand is read, which stands before it in the markup and above it on the page."""
        self._formula: Formula | None = None
        self._formula_depth = 0
        self._position = ""
        self._add_chunk = add_chunk
        self._has_headings = has_headings
        self.unread = False
        self._carried = ""
        """A paragraph that runs on in the next one."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        # Deleted and moved text, and the second choice of what is drawn in two ways. Counted, not noted, for they stand
        # in one another. First of all, so that nothing in them is taken for anything.
        if self._skipping or name in elements.SKIPPED:
            self._skipping += 1
            if name in ("del", "moveFrom") and self._properties:
                self._delete()
        elif name == elements.FORMULA or self._formula is not None:
            self._start_formula(name, attributes)
        elif name == "t":
            self._in_text = True
        elif name == "p":
            self._open_paragraph()
        elif name == "r":
            style = self._paragraphs[-1].style if self._paragraphs else ""
            self._around.append(self._is_hidden)
            self._is_hidden = self._is_hidden or bool(self._styles.hides(style))
            self._position, self._font = self._styles.position(style) or "", ""
        elif name in elements.PROPERTIES:
            self._properties, self._is_taken_out = name, False
        elif self._properties:
            self._set(name, attributes.get("val") or attributes.get("dropCap", ""))
        elif name in elements.OF_RUNS:
            self._set_run(name, attributes)
        elif name in elements.OF_FIELDS:
            self._write_apart(self._fields.start(name, attributes))
        elif name in elements.SIGNS:
            self._write(elements.SIGNS[name])
        else:
            self._open(name, attributes)

    def end(self, name: str) -> None:
        if name not in elements.ENDED and not self._skipping and self._formula is None:
            return
        if self._skipping:
            self._skipping -= 1
        elif self._formula is not None:
            self._end_formula(name)
        elif name == "t":
            self._in_text = False
        elif name == "p":
            self._close_paragraph()
        elif name == "r":
            self._is_hidden, self._position = bool(self._around and self._around.pop()), ""
        elif name in elements.PROPERTIES:
            self._end_properties(name)
        elif name == "instrText":
            self._in_code = False
        # The reading of a sign comes before the sign; it is kept until that has ended, and then put behind it.
        elif name == "rt" and self._around_reading is not None:
            self._reading = self._paragraphs[-1].line.take()
            self._paragraphs[-1].line, self._around_reading = self._around_reading, None
        elif name == "rubyBase":
            self._write(f"({self._reading})" if self._reading else "")
            self._reading = ""
        elif name in ("tbl", "tc"):
            self._close(name)

    def data(self, text: str) -> None:
        if self._in_text and not self._skipping and not self._is_hidden:
            if self._formula is not None:
                self._formula.data(text)
            else:
                self._write(shown_text(text, self._font) if self._font else text)
        elif self._in_code and not self._skipping:
            self._fields.data(text)

    def finish(self) -> None:
        """Put what was to run on in a paragraph that does not come."""
        text, self._carried = self._carried.strip(), ""
        if text and self._cell is not None:
            self._cell.append(text)
        elif text:
            self._draft.put(text)

    def _delete(self) -> None:
        """Take out what the properties in hand are those of; of a paragraph its end."""
        if self._properties != "pPr":
            self._is_taken_out = True
        elif self._paragraphs:
            self._paragraphs[-1].is_merged = self._paragraphs[-1].runs_on = True

    def _end_properties(self, name: str) -> None:
        self._properties = ""
        if self._is_taken_out and self._tables and name != "pPr":
            self._tables[-1].take_out(name)
            self._skipping = 1  # until the row or the cell has ended, whose properties these were

    def _start_formula(self, name: str, attributes: dict[str, str]) -> None:
        self._formula = self._formula or Formula(keeps_spaces=True)
        self._formula_depth += 1
        self._in_text = name == "t"
        self._formula.start(name, attributes)

    def _end_formula(self, name: str) -> None:
        if self._formula is None:
            return
        self._in_text = False
        self._formula.end(name)
        self._formula_depth -= 1
        if not self._formula_depth:
            text, self._formula = self._formula.text, None
            self._write_apart(text)

    def _set_run(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if name in ("vertAlign", "position"):
            self._position = position_of(name, value) or self._position
            return
        if name == "rFonts":
            font = attributes.get("ascii", "")
            self._font = font if is_symbol_font(font) else ""
            return
        hides = value not in OFF if name == "vanish" else self._styles.hides(value)
        if hides is not None and self._around:
            self._is_hidden = hides or self._around[-1]
        if name == "rStyle":
            self._position = self._styles.position(value) or self._position

    def _write_apart(self, text: str) -> None:
        if self._is_hidden:
            return
        if self._paragraphs:
            self._paragraphs[-1].line.write_apart(text, self._position)
        else:
            self._write(text)

    def _write(self, text: str) -> None:
        if self._is_hidden:
            return
        if self._paragraphs:
            self._paragraphs[-1].line.write(text, self._position)
        elif text.strip():
            self.unread = True

    def _set(self, name: str, value: str) -> None:
        if name in elements.TAKE_OUT:
            self._is_taken_out = value not in OFF
        if self._tables:
            self._tables[-1].set(name, value)
        if self._paragraphs:
            self._paragraphs[-1].set(name, value)

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if name == "instrText":
            self._in_code = True
        elif name == "rt" and self._paragraphs:
            self._around_reading, self._paragraphs[-1].line = self._paragraphs[-1].line, Line()
        elif name == "altChunk":
            self.unread = not self._add_chunk(attributes.get("r-id", "")) or self.unread
        elif name == "docPr":
            self._is_hidden = self._is_hidden or (self._around != [] and attributes.get("hidden", "0") not in OFF)
            self._write(f" {attributes['descr']} " if attributes.get("descr") else "")
        elif name == "textpath" or (name == "shape" and attributes.get("alt")):
            # Letters drawn by an older Word, and the description of what it drew.
            self._write(f" {attributes.get('string' if name == 'textpath' else 'alt', '')} ")
        elif name == "tbl":
            self.finish()
            self._tables.append(Table())
        elif self._tables and name == "tr":
            self._tables[-1].rows.append([])
        elif self._tables and name == "tc":
            self._tables[-1].open_cell()

    def _close(self, name: str) -> None:
        if not self._tables:
            return
        self.finish()
        table = self._tables[-1]
        if name == "tbl":
            self._tables.pop()
            self._put_table(table.rows)
        else:
            table.close_cell()

    def _put_table(self, rows: list[list[str]]) -> None:
        if self._cell is not None:
            self._cell.extend(text for row in rows for text in row if text)
        elif all(len(row) <= 1 for row in rows):
            # One column frames a text, it is no table of anything.
            for row in rows:
                self._draft.put("".join(row))
        else:
            self._draft.table(rows)

    @property
    def _cell(self) -> list[str] | None:
        return self._tables[-1].cell if self._tables else None

    def _open_paragraph(self) -> None:
        self._paragraphs.append(Paragraph())
        if self._carried:
            self._write(self._carried)
            self._carried = ""

    def _close_paragraph(self) -> None:
        if not self._paragraphs:
            return
        paragraph = self._paragraphs.pop()
        text = paragraph.line.take()
        if paragraph.runs_on and not self._paragraphs:
            self._carried = text
            return
        if not text.strip() and (paragraph.is_merged or self._styles.hides(paragraph.style)):
            return
        # Those without text have a number, too, and count: the first column of a table, for example.
        mark = self._mark_once(paragraph)
        if self._cell is not None:
            shown = "" if mark in (None, BULLET) else mark
            if text.strip() or shown:
                self._cell.append(f"{shown}{text.strip()}".strip())
        elif text.strip():
            self._put_paragraph(paragraph, text, mark)

    def _number_in_line(self, level: int | None) -> str | None:
        """Count an item that stands inside a paragraph of a list."""
        paragraph = self._paragraphs[-1] if self._paragraphs else Paragraph()
        if self._mark_once(paragraph) is None:
            return None
        list_id = paragraph.list_id or self._styles.list_of(paragraph.style)[0]
        return self._numbering.mark(list_id, (paragraph.list_level or 0) + 1 if level is None else level)

    def _mark_once(self, paragraph: Paragraph) -> str | None:
        if not paragraph.is_marked:
            paragraph.mark, paragraph.is_marked = self._mark(paragraph), True
        return paragraph.mark

    def _mark(self, paragraph: Paragraph) -> str | None:
        list_id, level, styles = self._styles.list_of(paragraph.style)
        if paragraph.list_id is not None:
            list_id, level = paragraph.list_id, paragraph.list_level or 0
        if list_id is None:
            return None
        if level is None or paragraph.list_level is not None:
            level = paragraph.list_level
        paragraph.list_level = self._numbering.level_of(list_id, styles) if level is None else level
        return self._numbering.mark(list_id, paragraph.list_level)

    def _put_paragraph(self, paragraph: Paragraph, text: str, mark: str | None) -> None:
        level = self._styles.level(paragraph.style, paragraph.outline) if self._has_headings else None
        if level is not None:
            self._draft.section(level, line(text), "" if mark in (None, BULLET) else mark)
        elif mark is None:
            self._draft.put(text)
        else:
            self._draft.item(paragraph.list_level or 0, text, mark)
