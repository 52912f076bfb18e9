"""OpenDocument texts and presentations: headings, lists and tables as Markdown."""

from dataclasses import dataclass, field

from phaseflow.components.extraction.draft import Draft, line
from phaseflow.components.extraction.package import Elements, Package, Texts, encrypted, no_text_layer
from phaseflow.components.extraction.shapes import Extracted, Raw

# Deleted text, style samples, and descriptions of pictures that stand inside paragraphs.
_SKIPPED = frozenset(("tracked-changes", "svg-title", "svg-desc", "forms", "binary-data", "sequence-decls"))
_SIGNS = {"tab": "\t", "line-break": "\n"}
_MAX_SPACES = 100


def extract(raw: Raw) -> Extracted:
    """Return the document as Markdown. Parts: sections, or slides. Title: the property, else the first heading.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer``.
    """
    package = Package(raw)
    refuse_encrypted(package)
    draft = Draft(raw.name)
    package.parse("content.xml", _Content(draft))
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


@dataclass(slots=True)
class _Paragraph:
    pieces: list[str] = field(default_factory=list)
    level: int | None = None


@dataclass(slots=True)
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] | None = None


class _Content:
    """Turns the events of ``content.xml`` into blocks."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._lists = 0
        self._slides = 0
        self._is_first_of_item = False
        self._skipping = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipping or name in _SKIPPED:
            self._skipping += 1
        elif name in ("p", "h"):
            level = _number(attributes.get("outline-level"), 1)
            self._paragraphs.append(_Paragraph(level=level if name == "h" else None))
        elif name == "s" and self._paragraphs:
            self._paragraphs[-1].pieces.append(" " * min(_number(attributes.get("c"), 1), _MAX_SPACES))
        elif name in _SIGNS and self._paragraphs:
            self._paragraphs[-1].pieces.append(_SIGNS[name])
        elif name == "list":
            self._lists += 1
        elif name == "list-item":
            self._is_first_of_item = True
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
            self._lists -= 1
        elif name in ("table", "table-cell", "covered-table-cell"):
            self._close(name)

    def data(self, text: str) -> None:
        if self._paragraphs and not self._skipping:
            # Line ends and runs of blanks in the markup mean one blank; those that count are elements.
            self._paragraphs[-1].pieces.append(text)

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table":
            self._tables.append(_Table())
        elif self._tables and name == "table-row":
            self._tables[-1].rows.append([])
        elif self._tables and name in ("table-cell", "covered-table-cell"):
            self._tables[-1].cell = []

    def _close(self, name: str) -> None:
        if not self._tables:
            return
        table = self._tables[-1]
        if name == "table":
            self._tables.pop()
            self._put_table(table.rows)
        elif table.cell is not None and table.rows:
            table.rows[-1].append(" ".join(table.cell))
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
        if self._cell is not None:
            self._cell.append(line(text))
        elif paragraph.level is not None:
            self._draft.section(paragraph.level, text)
        elif self._lists and self._is_first_of_item:
            self._is_first_of_item = False
            self._draft.item(self._lists - 1, text)
        else:
            self._draft.put(text)


def _number(value: str | None, otherwise: int) -> int:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 6 else otherwise
