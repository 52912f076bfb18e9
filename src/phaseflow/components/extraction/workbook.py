"""What calamine passes over in an Excel workbook: errors, uncalculated formulas, comments, text in drawings."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.pptx import drawn
from phaseflow.components.extraction.xml_events import Elements, Texts
from phaseflow.domain.errors import DocumentError

_UNREAD = re.compile(
    rb"</(?:\w+:)?f>\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</|</(?:\w+:)?c>)"  # a formula without a value
    rb"|\bt=[\"']e[\"']"  # an error, as #DIV/0!
)
STAND_IN = "[Threaded comment]"
"""What stands in the place of a conversation for programs that do not know them."""
_OVERLAP = 64
_SIGNS_OF_UNREAD = (b"f>", b'"e"', b"'e'")
_REFERENCE = re.compile(r"([A-Za-z]{1,3})(\d{1,7})")

Place = tuple[int, int]
"""Row and column of a cell, from 0."""
ByRow = Mapping[int, Sequence[tuple[int, str]]]
"""What cells show: columns and texts, by row."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    cells: Mapping[Place, str]
    """Formulas without a value, as programs write them that cannot calculate, and errors as they are shown."""
    remarks: tuple[str, ...]
    member: str = ""
    """Where the sheet stands in the archive."""


@dataclass(frozen=True, slots=True)
class Workbook:
    """``sheets``: their names, with the members that hold them. ``is_1904``: days count from 1904."""

    package: Package
    sheets: Sequence[tuple[str, str]]
    is_1904: bool = False

    @classmethod
    def read(cls, package: Package) -> "Workbook":
        """Read which sheets it has: none if they are no XML."""
        main = package.main("xl/workbook.xml")
        if main not in package or not main.endswith(".xml"):
            return cls(package, [])
        relations = package.relations(main)
        sheets: list[tuple[str, str]] = []
        is_1904 = False

        def note(name: str, attributes: dict[str, str]) -> None:
            nonlocal is_1904
            relation = relations.get(attributes.get("r-id", ""))
            if name == "sheet" and relation and relation.target in package:
                sheets.append((attributes.get("name", ""), relation.target))
            elif name == "workbookPr":
                is_1904 = attributes.get("date1904", "0") in ("1", "true")

        package.parse(main, Elements(note))
        return cls(package, sheets, is_1904)

    def passed_over(self) -> dict[str, PassedOver]:
        """Return what was passed over, by the name of the sheet."""
        return {
            name: PassedOver(_cells(self.package, sheet), tuple(remarks(self.package, sheet)), sheet)
            for name, sheet in self.sheets
        }


def by_row(cells: Iterable[tuple[Place, str]]) -> ByRow:
    """Return what cells show by row."""
    found: dict[int, list[tuple[int, str]]] = {}
    for (row, column), text in cells:
        found.setdefault(row, []).append((column, text))
    return found


def reaches_too_far(document: str, sheet: str, rows: int, columns: int) -> DocumentError:
    """The error for a sheet whose cells are so far from each other that what is between them takes too much memory."""
    message = (
        f"{document}: sheet {sheet} reaches to row {rows:,} and column {columns:,}; delete what is empty, or split it"
    )
    return DocumentError(message, code="too_large")


@dataclass(slots=True)
class Reach:
    """How far the cells of a sheet reach, from the first row and the first of their columns: the library takes memory
    for all that may be between them, and gives every row."""

    document: str
    sheet: str
    most: int
    rows: int = 0
    left: int | None = None
    right: int = 0

    def take(self, row: int, column: int) -> None:
        """Take a cell. Raises DocumentError ``too_large`` when there would be more than ``most``."""
        left = column if self.left is None else self.left
        if row < self.rows and left <= column <= self.right:
            return
        self.rows, self.left, self.right = max(self.rows, row + 1), min(left, column), max(self.right, column)
        if self.rows * (self.right - self.left + 1) > self.most:
            raise reaches_too_far(self.document, self.sheet, self.rows, self.right + 1)


def place_of(reference: str) -> Place | None:
    """Return what a reference like ``B3`` means."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return None
    column = 0
    for letter in found[1].upper():
        column = column * 26 + ord(letter) - 64
    return int(found[2]) - 1, column - 1


def _cells(package: Package, sheet: str) -> dict[Place, str]:
    found = _Cells()
    if _has_unread(package, sheet):
        package.parse(sheet, found)
    return found.by_place


def _has_unread(package: Package, sheet: str) -> bool:
    cut = b""
    for chunk in package.chunks(sheet):
        text = cut + chunk
        # To look for what nearly every such place has is much quicker, and most sheets have none.
        if any(sign in text for sign in _SIGNS_OF_UNREAD) and _UNREAD.search(text):
            return True
        cut = chunk[-_OVERLAP:]
    return False


def remarks(package: Package, sheet: str) -> Iterator[str]:
    """Yield what comments, conversations, drawings and charts of a sheet say, as far as they are XML."""
    for relation in package.relations(sheet).values():
        if relation.target not in package or relation.target.lower().endswith(".bin"):
            continue
        if relation.kind == "comments":
            comments = Texts("text")
            package.parse(relation.target, comments)
            yield from (text for text in comments.texts if not text.startswith(STAND_IN))
        elif relation.kind == "threadedComment":
            threads = Texts("text")
            package.parse(relation.target, threads)
            yield from threads.texts
        elif relation.kind == "drawing":
            yield drawn(package, relation.target)
            for inner in package.relations(relation.target).values():
                if inner.kind in ("chart", "diagramData") and inner.target in package:
                    yield drawn(package, inner.target)


@dataclass(slots=True)
class _Cells:
    """Takes the events of a sheet."""

    by_place: dict[Place, str] = field(default_factory=dict)
    _cell: str = ""
    _formula: str = ""
    _element: str = ""
    _value: str = ""
    _is_error: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._element = name
        if name == "c":
            self._cell, self._formula, self._value = attributes.get("r", ""), "", ""
            self._is_error = attributes.get("t") == "e"

    def end(self, name: str) -> None:
        self._element = ""
        if name != "c" or (self._value and not self._is_error):
            return
        text = self._value or (f"={self._formula}" if self._formula else "")
        if text and (place := place_of(self._cell)):
            self.by_place[place] = text

    def data(self, text: str) -> None:
        if self._element == "f":
            self._formula += text
        elif self._element in ("v", "t"):
            self._value += text
