"""OpenDocument texts and presentations: headings, lists and tables as Markdown."""

from collections.abc import Callable
from dataclasses import dataclass, field

from phaseflow.components.extraction.markdown_writer import Draft, line
from phaseflow.components.extraction.package import Elements, Package, Texts, encrypted, no_text_layer, resolved
from phaseflow.components.extraction.types import Extracted, Raw

# Deleted text, style samples, and descriptions of pictures that stand inside paragraphs.
_SKIPPED = frozenset(("tracked-changes", "svg-title", "svg-desc", "forms", "binary-data", "sequence-decls"))
_NUMBERS = frozenset(("note-citation", "page-number"))
# Who wrote a comment and when stands in it as text.
_OF_COMMENTS = frozenset(("creator", "date", "creator-initials"))
_ASIDES = frozenset(("note-body", "annotation"))
# On every slide and page of notes, and no content of it.
_REPEATED = frozenset(("header", "footer", "date-time", "page-number"))
_HIDEABLE = frozenset(("p", "h", "span", "section"))
_TITLE = "Title"
_LIST_LEVEL = "list-level-style-"
_SIGNS = {"tab": "\t", "line-break": "\n"}
_MAX_SPACES = 100
_MAX_REPEATED = 20


def extract(raw: Raw) -> Extracted:
    """Return the document as Markdown. Parts: sections, or slides. Title: the property, else the first heading.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer``.
    """
    package = Package(raw)
    refuse_encrypted(package)
    draft = Draft(raw.name)
    styles = _Styles()
    for member in ("styles.xml", "content.xml"):
        if member in package:
            package.parse(member, styles)
    package.parse("content.xml", _Content(draft, styles, lambda place: _formula(package, place)))
    if draft.is_empty and package.has_pictures():
        raise no_text_layer(raw.name)
    return draft.finish(_title(package))


def refuse_encrypted(package: Package) -> None:
    """Raise DocumentError ``encrypted`` when the list of members says so."""

    def look(name: str, attributes: dict[str, str]) -> None:
        if name in ("encryption-data", "encrypted-key"):
            raise encrypted(package.name)

    if "META-INF/manifest.xml" in package:
        package.parse("META-INF/manifest.xml", Elements(look))


def _title(package: Package) -> str | None:
    found = Texts("title")
    if "meta.xml" in package:
        package.parse("meta.xml", found)
    return next(iter(found.texts), None)


def _formula(package: Package, place: str) -> str:
    """Return the formula that stands in a folder of its own, as it was typed if that is kept."""
    member = resolved("", f"{place}/content.xml")
    for element in ("annotation", "math"):
        found = Texts(element)
        if member in package:
            package.parse(member, found)
        if found.texts:
            return line(found.texts[0])
    return ""


@dataclass(slots=True)
class _Paragraph:
    pieces: list[str] = field(default_factory=list)
    level: int | None = None


@dataclass(slots=True)
class _List:
    style: str
    number: int


class _Styles:
    """Takes the events of styles: which levels of which lists have numbers, what is a title, and what is hidden."""

    def __init__(self) -> None:
        self.numbered: set[tuple[str, int]] = set()
        self.titles = {_TITLE}
        self.hidden: set[str] = set()
        self._style = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("list-style", "style"):
            self._style, parent = attributes.get("name", ""), attributes.get("parent-style-name", "")
            if parent == _TITLE:
                self.titles.add(self._style)
            if parent in self.hidden:
                self.hidden.add(self._style)
        elif name == "text-properties" and attributes.get("display") == "none":
            self.hidden.add(self._style)
        elif name == f"{_LIST_LEVEL}number" and attributes.get("num-format"):
            self.numbered.add((self._style, _number(attributes.get("level"), 1)))

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...


@dataclass(slots=True)
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] | None = None
    repeated: int = 1


class _Content:
    """Turns the events of ``content.xml`` into blocks."""

    def __init__(self, draft: Draft, styles: _Styles, formula: Callable[[str], str]) -> None:
        self._draft = draft
        self._styles = styles
        self._formula = formula
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._lists: list[_List] = []
        self._counts: dict[str, int] = {}
        """How far the outermost lists of each style have come."""
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
            is_heading = name == "h" or attributes.get("style-name") in self._styles.titles
            self._paragraphs.append(
                _Paragraph(level=_number(attributes.get("outline-level"), 1) if is_heading else None)
            )
        elif name == "s" and self._paragraphs:
            self._paragraphs[-1].pieces.append(" " * min(_number(attributes.get("c"), 1), _MAX_SPACES))
        elif name in _SIGNS and self._paragraphs:
            self._paragraphs[-1].pieces.append(_SIGNS[name])
        elif name == "list":
            self._open_list(attributes)
        elif name == "list-item":
            self._is_first_of_item = True
            if self._lists and "start-value" in attributes:
                self._lists[-1].number = _number(attributes["start-value"], 1) - 1
        elif name in _ASIDES:
            self._in_aside += 1
        elif name == "notes":
            self._notes = "Notes: "
        elif name == "frame":
            self._open_frame(attributes.get("class", ""))
        elif name == "page":
            self._slides += 1
            self._draft.part(f"slide {self._slides}")
        else:
            self._open(name, attributes)

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif name in ("p", "h"):
            self._close_paragraph()
        elif name == "list":
            self._close_list()
        elif name in _ASIDES:
            self._in_aside -= 1
        elif name == "notes":
            self._notes = ""
        elif name == "frame":
            self._is_title = False
        elif name in ("table", "table-cell", "covered-table-cell"):
            self._close(name)

    def data(self, text: str) -> None:
        if self._paragraphs and not self._skipping:
            # Line ends and runs of blanks in the markup mean one blank; those that count are elements.
            self._paragraphs[-1].pieces.append(text)

    def _is_unseen(self, name: str, attributes: dict[str, str]) -> bool:
        if name in _HIDEABLE:
            return attributes.get("display") == "none" or attributes.get("style-name", "") in self._styles.hidden
        return name in _SKIPPED or name in _NUMBERS or (self._in_aside > 0 and name in _OF_COMMENTS)

    def _open_list(self, attributes: dict[str, str]) -> None:
        style = attributes.get("style-name") or (self._lists[-1].style if self._lists else "")
        goes_on = attributes.get("continue-numbering") == "true" or "continue-list" in attributes
        self._lists.append(_List(style, self._counts.get(style, 0) if goes_on and not self._lists else 0))

    def _close_list(self) -> None:
        done = self._lists.pop()
        if not self._lists:
            self._counts[done.style] = done.number

    def _open_frame(self, kind: str) -> None:
        self._is_title = kind == "title"
        if kind in _REPEATED:
            self._skipping += 1

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if name == "object" and self._paragraphs:
            self._paragraphs[-1].pieces.append(self._formula(attributes.get("href", "")))
        elif name == "table":
            self._tables.append(_Table())
        elif self._tables and name == "table-row":
            self._tables[-1].rows.append([])
        elif self._tables and name in ("table-cell", "covered-table-cell"):
            self._tables[-1].cell = []
            self._tables[-1].repeated = min(_number(attributes.get("number-columns-repeated"), 1), _MAX_REPEATED)

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
        text = "".join(paragraph.pieces)
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
            self._put_paragraph(_Paragraph(), text)

    def _put_paragraph(self, paragraph: _Paragraph, text: str) -> None:
        if self._cell is not None:
            self._cell.append(line(text))
        elif self._is_title:
            self._draft.heading(2, text)
        elif paragraph.level is not None:
            self._draft.section(paragraph.level, text)
        elif self._lists and self._is_first_of_item:
            self._is_first_of_item = False
            innermost = self._lists[-1]
            innermost.number += 1
            is_numbered = (innermost.style, len(self._lists)) in self._styles.numbered
            self._draft.item(len(self._lists) - 1, text, innermost.number if is_numbered else None)
        else:
            self._draft.put(self._notes + text)
            self._notes = ""


def _number(value: str | None, otherwise: int) -> int:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 6 else otherwise
