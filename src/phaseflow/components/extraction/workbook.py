"""What calamine passes over in an Excel workbook: formulas that were never calculated, comments, text in drawings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction.package import Elements, Package, Texts
from phaseflow.components.extraction.pptx import drawn

_UNCALCULATED = re.compile(rb"</(?:\w+:)?f>\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</|</(?:\w+:)?c>)")
_OVERLAP = 64
_REFERENCE = re.compile(r"([A-Za-z]{1,3})(\d{1,7})")

Place = tuple[int, int]
"""Row and column of a cell, from 0."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    formulas: Mapping[Place, str]
    """Formulas without a value, as programs write them that cannot calculate."""
    remarks: tuple[str, ...]


def passed_over(package: Package) -> dict[str, PassedOver]:
    """Return what was passed over, by the name of the sheet. Nothing for sheets that are no XML."""
    main = package.main("xl/workbook.xml")
    if main not in package or not main.endswith(".xml"):
        return {}
    relations = package.relations(main)
    sheets: list[tuple[str, str]] = []

    def note(name: str, attributes: dict[str, str]) -> None:
        relation = relations.get(attributes.get("r-id", ""))
        if name == "sheet" and relation and relation.target in package:
            sheets.append((attributes.get("name", ""), relation.target))

    package.parse(main, Elements(note))
    return {name: PassedOver(_formulas(package, sheet), tuple(_remarks(package, sheet))) for name, sheet in sheets}


def place_of(reference: str) -> Place | None:
    """Return what a reference like ``B3`` means."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return None
    column = 0
    for letter in found[1].upper():
        column = column * 26 + ord(letter) - 64
    return int(found[2]) - 1, column - 1


def _formulas(package: Package, sheet: str) -> dict[Place, str]:
    found = _Formulas()
    if _has_uncalculated(package, sheet):
        package.parse(sheet, found)
    return found.by_place


def _has_uncalculated(package: Package, sheet: str) -> bool:
    cut = b""
    for chunk in package.chunks(sheet):
        if _UNCALCULATED.search(cut + chunk):
            return True
        cut = chunk[-_OVERLAP:]
    return False


def _remarks(package: Package, sheet: str) -> Iterator[str]:
    for relation in package.relations(sheet).values():
        if relation.target not in package:
            continue
        if relation.kind == "comments":
            comments = Texts("text")
            package.parse(relation.target, comments)
            yield from comments.texts
        elif relation.kind == "drawing":
            yield drawn(package, relation.target)
            for inner in package.relations(relation.target).values():
                if inner.kind == "chart" and inner.target in package:
                    yield drawn(package, inner.target)


@dataclass(slots=True)
class _Formulas:
    """Takes the events of a sheet."""

    by_place: dict[Place, str] = field(default_factory=dict)
    _cell: str = ""
    _formula: str = ""
    _element: str = ""
    _has_value: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._element = name
        if name == "c":
            self._cell, self._formula, self._has_value = attributes.get("r", ""), "", False

    def end(self, name: str) -> None:
        self._element = ""
        if name == "c" and self._formula and not self._has_value and (place := place_of(self._cell)):
            self.by_place[place] = f"={self._formula}"

    def data(self, text: str) -> None:
        if self._element == "f":
            self._formula += text
        elif self._element in ("v", "t"):
            self._has_value = True
