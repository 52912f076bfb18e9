"""Word documents: headings, lists and tables as Markdown, notes and comments at the end.

Own reading, event by event. Measured against python-docx 1.2, which builds a tree of all the markup first:
benchmarks/extraction.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction import html, mail, plain, rtf
from phaseflow.components.extraction.markdown_writer import Draft, line
from phaseflow.components.extraction.numbering import OFF, Numbering, Styles
from phaseflow.components.extraction.package import Package, Relation, no_text_layer, nothing_found
from phaseflow.components.extraction.pptx import drawn
from phaseflow.components.extraction.types import Extracted, Extractor, Raw

# Fallback repeats what Choice says; moveFrom and del are what tracked changes took out.
_SKIPPED = frozenset(("Fallback", "moveFrom", "del", "rPrChange", "pPrChange", "sectPr", "tblGrid"))
_DRAWN = ("chart", "diagramData")
_NOTES = ("footnotes", "endnotes", "comments", "header", "footer")
# Formulas on one line: a fraction, a power, an index.
_MATHS = {"den": "/", "sup": "^", "sub": "_"}
_CHUNKS: Mapping[str, Extractor] = {
    **dict.fromkeys(("html", "htm", "xhtml"), html.extract_whole),
    **dict.fromkeys(("mht", "mhtml", "eml"), mail.extract),
    "rtf": rtf.extract,
    "txt": plain.extract_text,
}
"""Documents inside a document: programs that turn pages into Word files leave the page as it is."""
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}


def extract(raw: Raw) -> Extracted:
    """Return the document as Markdown. Parts: what is under each heading. Title: the property, else the first heading.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer``, ``nothing_found``.
    """
    package = Package(raw)
    main = package.main("word/document.xml")
    relations = package.relations(main)
    related = list(relations.values())
    styles, numbering = Styles(), Numbering()
    for relation in related:
        if relation.kind in ("styles", "numbering") and relation.target in package:
            package.parse(relation.target, styles if relation.kind == "styles" else numbering)
    draft = Draft(raw.name)
    body = _Body(draft, styles, numbering, lambda each: _add_chunk(package, relations.get(each), draft))
    package.parse(main, body)
    for relation in related:
        if relation.kind in _DRAWN and relation.target in package:
            draft.put(drawn(package, relation.target))
    said: set[str] = set()
    for kind in _NOTES:
        for relation in related:
            if relation.kind == kind and relation.target in package:
                _add_notes(package, relation.target, draft, said)
    if draft.is_empty:
        _explain(package, body)
    return draft.finish(package.title())


def _add_notes(package: Package, member: str, draft: Draft, said: set[str]) -> None:
    """Headers and footers are the same on every page: each is said once."""
    apart = Draft(draft.name)
    package.parse(member, _Body(apart, Styles(), Numbering()))
    text = "".join(apart.pieces)
    if text not in said:
        said.add(text)
        draft.put(text)


def _add_chunk(package: Package, relation: Relation | None, draft: Draft) -> bool:
    """Add a document inside the document; return whether it can be read."""
    reader = _CHUNKS.get(relation.target.rpartition(".")[2].lower()) if relation else None
    if relation is None or reader is None or relation.target not in package:
        return False
    draft.put(reader(Raw(package.read(relation.target), f"{package.name} ({relation.target})")).text)
    return True


def _explain(package: Package, body: "_Body") -> None:
    if package.has_pictures():
        raise no_text_layer(package.name)
    if body.unread:
        raise nothing_found(package.name, "it has text of a kind that is not known")


@dataclass(slots=True)
class _Paragraph:
    pieces: list[str] = field(default_factory=list)
    style: str = ""
    list_id: str | None = None
    list_level: int = 0
    outline: int | None = None


@dataclass(slots=True)
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] | None = None
    span: int = 1
    is_covered: bool = False
    """The cell in hand lies under the one above it: what it holds is not seen."""


class _Body:
    """Turns the events of a part of the document into blocks."""

    def __init__(
        self,
        draft: Draft,
        styles: Styles,
        numbering: Numbering,
        add_chunk: Callable[[str], bool] = lambda each: False,
    ) -> None:
        self._draft = draft
        self._styles = styles
        self._numbering = numbering
        self._skipping = 0
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._in_properties = 0
        self._in_text = False
        self._is_hidden = False
        self._sign = ""
        self._add_chunk = add_chunk
        self.unread = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipping or name in _SKIPPED:
            self._skipping += 1
        elif name == "t":
            self._in_text = True
        elif name == "p":
            self._paragraphs.append(_Paragraph())
        elif name == "r":
            self._is_hidden = bool(self._paragraphs and self._styles.hides(self._paragraphs[-1].style))
        elif name in ("pPr", "tcPr"):
            self._in_properties += 1
        elif self._in_properties:
            self._set(name, attributes.get("val", ""))
        elif name in ("rStyle", "vanish"):
            self._hide(name, attributes.get("val", ""))
        elif name in _SIGNS:
            self._write(_SIGNS[name])
        elif name in _MATHS:
            self._sign = _MATHS[name]
        elif name == "altChunk":
            self.unread = not self._add_chunk(attributes.get("r-id", "")) or self.unread
        elif name in ("tbl", "tr", "tc"):
            self._open(name)
        elif name == "docPr" and attributes.get("descr"):
            self._write(f" {attributes['descr']} ")

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p":
            self._close_paragraph()
        elif name == "r":
            self._is_hidden = False
        elif name in _MATHS:
            self._sign = ""
        elif name in ("pPr", "tcPr"):
            self._in_properties -= 1
        elif name in ("tbl", "tc"):
            self._close(name)

    def data(self, text: str) -> None:
        if self._in_text and not self._skipping and not self._is_hidden:
            self._write(self._sign + text)
            self._sign = ""

    def _hide(self, name: str, value: str) -> None:
        hides = value not in OFF if name == "vanish" else self._styles.hides(value)
        self._is_hidden = self._is_hidden if hides is None else hides

    def _write(self, text: str) -> None:
        if self._paragraphs:
            self._paragraphs[-1].pieces.append(text)
        elif text.strip():
            self.unread = True

    def _set(self, name: str, value: str) -> None:
        if name == "gridSpan" and self._tables:
            self._tables[-1].span = min(_number(value, 1), 100)
        elif name == "vMerge" and self._tables:
            self._tables[-1].is_covered = value != "restart"
        if not self._paragraphs:
            return
        paragraph = self._paragraphs[-1]
        if name == "pStyle":
            paragraph.style = value
        elif name == "numId":
            paragraph.list_id = value
        elif name == "ilvl":
            paragraph.list_level = _number(value, 0)
        elif name == "outlineLvl":
            paragraph.outline = _number(value, 9)

    def _open(self, name: str) -> None:
        if name == "tbl":
            self._tables.append(_Table())
        elif self._tables and name == "tr":
            self._tables[-1].rows.append([])
        elif self._tables:
            table = self._tables[-1]
            table.cell, table.span, table.is_covered = [], 1, False

    def _close(self, name: str) -> None:
        if not self._tables:
            return
        table = self._tables[-1]
        if name == "tbl":
            self._tables.pop()
            self._put_table(table.rows)
        elif table.cell is not None and table.rows:
            text = "" if table.is_covered else "\n\n".join(table.cell)
            table.rows[-1] += [text] + [""] * (table.span - 1)
            table.cell = None

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

    def _close_paragraph(self) -> None:
        if not self._paragraphs:
            return
        paragraph = self._paragraphs.pop()
        text = "".join(paragraph.pieces)
        if not text.strip():
            return
        if self._cell is not None:
            self._cell.append(text.strip())
        else:
            self._put_paragraph(paragraph, text)

    def _put_paragraph(self, paragraph: _Paragraph, text: str) -> None:
        level = self._styles.level(paragraph.style, paragraph.outline)
        if level is not None:
            self._draft.section(level, line(text))
            return
        list_id = paragraph.list_id or self._styles.list_id(paragraph.style)
        number = self._numbering.number(list_id, paragraph.list_level)
        if number is None:
            self._draft.put(text)
        else:
            self._draft.item(paragraph.list_level, text, number or None)


def _number(value: str, otherwise: int) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else otherwise
