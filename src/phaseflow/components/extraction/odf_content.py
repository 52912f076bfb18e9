"""The content of an OpenDocument text or presentation: its events as blocks of Markdown."""

from collections.abc import Callable

from phaseflow.components.extraction.markdown_writer import BULLET, Draft, line
from phaseflow.components.extraction.odf_blocks import List, Paragraph, Table
from phaseflow.components.extraction.odf_styles import Styles, number_of

# Deleted text, style samples, pictures as letters.
_SKIPPED = frozenset(("tracked-changes", "forms", "binary-data", "sequence-decls", "note-citation"))
_DESCRIPTIONS = frozenset(("svg-title", "svg-desc"))
"""Of pictures and drawings."""
_FIELDS_THAT_HIDE = frozenset(("hidden-text", "hidden-paragraph"))
# Who wrote a comment and when stands in it as text.
_OF_COMMENTS = frozenset(("creator", "date", "creator-initials"))
_ASIDES = frozenset(("note-body", "annotation"))
# On every slide and page of notes, and no content of it.
_REPEATED = frozenset(("header", "footer", "date-time", "page-number"))
_HIDEABLE = frozenset(("p", "h", "span", "section"))
_SPANS = frozenset(("span", "a"))
_SIGNS = {"tab": "\t", "line-break": "\n"}
_NAMES = """
    s number list list-item ruby-text page-number object notes frame page table table-row table-cell covered-table-cell
"""
CONTENT = _SKIPPED.union(
    _DESCRIPTIONS, _FIELDS_THAT_HIDE, _OF_COMMENTS, _ASIDES, _HIDEABLE, _SPANS, _SIGNS, _NAMES.split()
)
"""Elements of which the content is told."""
_LEVELS = 10
_MAX_SPACES = 100
_MAX_REPEATED = 20


class Content:
    """Turns the events of ``content.xml`` into blocks."""

    def __init__(self, draft: Draft, styles: Styles, formula: Callable[[str], str]) -> None:
        self._draft = draft
        self._styles = styles
        self._formula = formula
        self._paragraphs: list[Paragraph] = []
        self._tables: list[Table] = []
        self._lists: list[List] = []
        self._counts: dict[tuple[str, int], int] = {}
        """How far lists have come, by their root and by depth."""
        self._roots: dict[str, str] = {}
        """By the name of the list, and of each style the list that had it last."""
        self._unnamed = 0
        self._headings = [0] * _LEVELS
        self._positions: list[str] = []
        """Above or below the line: of each span that is open."""
        self._number: list[str] | None = None
        self._slides = 0
        self._is_first_of_item = self._is_title = False
        self._in_aside = 0
        self._asides: list[str] = []
        self._notes = ""
        self._skipping = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipping or self._is_unseen(name, attributes):
            self._skipping += 1
        elif name in ("p", "h"):
            if self._lists:
                self._lists[-1].count()
            self._paragraphs.append(self._paragraph(name, attributes))
        elif name in _SPANS:
            inherited = self._positions[-1] if self._positions else ""
            self._positions.append(self._styles.positions.get(attributes.get("style-name", ""), inherited))
        elif name == "s":
            self._write(" " * min(number_of(attributes.get("c"), 1), _MAX_SPACES))
        elif name in _SIGNS:
            self._write(_SIGNS[name])
        elif name == "number":
            self._number = []
        elif name in ("list", "list-item"):
            self._open_list(name, attributes)
        elif name in _ASIDES:
            self._in_aside += 1
        elif name in _DESCRIPTIONS:
            self._in_aside += 1
            self._paragraphs.append(Paragraph())
        elif name == "ruby-text":
            # How a word is read stands above it.
            self._write("(")
        else:
            self._open(name, attributes)

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif name in ("p", "h"):
            self._close_paragraph()
        elif name in _SPANS:
            self._positions.pop()
        elif name == "number":
            self._end_number()
        elif name == "list":
            self._close_list()
        elif name in _ASIDES:
            self._in_aside -= 1
        elif name in _DESCRIPTIONS:
            self._close_paragraph()
            self._in_aside -= 1
        elif name == "ruby-text":
            self._write(")")
        elif name == "notes":
            self._notes = ""
        elif name == "frame":
            self._is_title = False
        elif name in ("table", "table-cell", "covered-table-cell"):
            self._close(name)

    def data(self, text: str) -> None:
        if self._number is not None:
            self._number.append(text)
        elif not self._skipping:
            # Line ends and runs of blanks in the markup mean one blank; those that count are elements.
            self._write(text)

    def _write(self, text: str) -> None:
        if self._paragraphs:
            self._paragraphs[-1].line.write(text, self._positions[-1] if self._positions else "")

    def _paragraph(self, name: str, attributes: dict[str, str]) -> Paragraph:
        if name == "p" and attributes.get("style-name") not in self._styles.titles:
            return Paragraph()
        restarts = attributes.get("restart-numbering") == "true"
        return Paragraph(
            level=number_of(attributes.get("outline-level"), 1),
            restarts_at=number_of(attributes.get("start-value"), 1) if restarts else None,
            is_unnumbered=name == "p" or attributes.get("is-list-header") == "true",
        )

    def _end_number(self) -> None:
        """Writers may say the number as it is shown: beside what is computed, it would stand there twice."""
        if self._number is not None and self._paragraphs:
            self._paragraphs[-1].number = "".join(self._number).strip()
        self._number = None

    def _is_unseen(self, name: str, attributes: dict[str, str]) -> bool:
        if name in _HIDEABLE:
            return attributes.get("display") == "none" or attributes.get("style-name", "") in self._styles.hidden
        if name in _FIELDS_THAT_HIDE:
            return attributes.get("is-hidden") == "true"
        is_of_slide = name == "page-number" and self._slides > 0
        return name in _SKIPPED or is_of_slide or (self._in_aside > 0 and name in _OF_COMMENTS)

    def _open_list(self, name: str, attributes: dict[str, str]) -> None:
        if name == "list-item":
            self._is_first_of_item = True
            if self._lists:
                innermost = self._lists[-1]
                innermost.next_number = number_of(attributes.get("start-value"), innermost.number + 1)
                innermost.style_of_item = attributes.get("style-override") or innermost.style
            return
        style = attributes.get("style-name") or (self._lists[-1].style if self._lists else "")
        depth = len(self._lists) + 1
        number = self._styles.first(style, depth) - 1
        before = ""
        if "continue-list" in attributes:
            before = self._roots.get(attributes["continue-list"], "")
        elif attributes.get("continue-numbering") == "true":
            before = self._lists[0].root if self._lists else self._roots.get(f"\0{style}", "")
        if before:
            number = self._counts.get((before, depth), number)
        self._unnamed += 1
        root = before or (self._lists[0].root if self._lists else f"\0{self._unnamed}")
        if not self._lists:
            self._roots[f"\0{style}"] = root
        self._roots[attributes.get("id", "")] = root
        self._lists.append(List(style, number, root, has_items=(before, depth) in self._counts))

    def _close_list(self) -> None:
        depth, done = len(self._lists), self._lists.pop()
        self._counts[done.root, depth] = done.number

    def _open_frame(self, kind: str) -> None:
        self._is_title = kind == "title"
        if kind in _REPEATED:
            self._skipping += 1

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if name == "object":
            self._write(self._formula(attributes.get("href", "")))
        elif name == "notes":
            self._notes = "Notes: "
        elif name == "frame":
            self._open_frame(attributes.get("class", ""))
        elif name == "page":
            self._slides += 1
            self._draft.part(f"slide {self._slides}")
        elif name == "table":
            self._tables.append(Table())
        elif self._tables and name == "table-row":
            self._tables[-1].rows.append([])
        elif self._tables and name in ("table-cell", "covered-table-cell"):
            self._tables[-1].cell = []
            self._tables[-1].repeated = min(number_of(attributes.get("number-columns-repeated"), 1), _MAX_REPEATED)

    def _close(self, name: str) -> None:
        if not self._tables:
            return
        table = self._tables[-1]
        if name == "table":
            self._tables.pop()
            self._put_table(table.rows)
        elif table.cell is not None and table.rows:
            table.rows[-1] += [" ".join(table.cell)] * table.repeated
            table.cell = None

    def _put_table(self, rows: list[list[str]]) -> None:
        if self._cell is not None:
            self._cell.extend(text for row in rows for text in row if text)
        else:
            self._draft.table(rows)

    @property
    def _cell(self) -> list[str] | None:
        return self._tables[-1].cell if self._tables else None

    def _close_paragraph(self) -> None:
        if not self._paragraphs:
            return
        paragraph = self._paragraphs.pop()
        text = paragraph.line.take()
        if not text.strip():
            return
        if self._in_aside and self._paragraphs:
            self._asides.append(line(text))
        else:
            self._put_paragraph(paragraph, text)
        if not self._in_aside:
            self._put_asides()

    def _put_asides(self) -> None:
        asides, self._asides = self._asides, []
        for text in asides:
            self._put_paragraph(Paragraph(), text)

    def _put_paragraph(self, paragraph: Paragraph, text: str) -> None:
        if self._cell is not None:
            self._cell.append(line(text))
        elif self._is_title:
            self._draft.heading(2, text)
        elif paragraph.level is not None:
            self._draft.section(paragraph.level, text, self._heading_number(paragraph))
        elif self._lists and self._is_first_of_item:
            self._draft.item(len(self._lists) - 1, text, self._item_mark())
        else:
            self._draft.put(self._notes + text)
            self._notes = ""

    def _item_mark(self) -> str:
        self._is_first_of_item = False
        return self._styles.mark(self._lists[-1].style_of_item, [each.shown_number for each in self._lists])

    def _heading_number(self, paragraph: Paragraph) -> str:
        if self._lists and self._is_first_of_item:
            mark = self._item_mark()
            return "" if mark == BULLET else mark
        level = min(max(paragraph.level or 1, 1), _LEVELS)
        if paragraph.is_unnumbered or ("", level) not in self._styles.levels:
            return ""
        at = paragraph.restarts_at
        before = self._headings[level - 1] or self._styles.first("", level) - 1
        self._headings[level - 1] = before + 1 if at is None else at
        self._headings[level:] = [0] * (_LEVELS - level)
        if paragraph.number:
            return f"{paragraph.number} "
        return self._styles.mark("", self._headings[:level])
