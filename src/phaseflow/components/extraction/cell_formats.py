"""What the cells in the sheets of an Excel workbook show."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction.common_formats import QUICK_BELOW
from phaseflow.components.extraction.number_format import BUILTIN, GENERAL, positive_way, shown, text_frame
from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.raised import Line
from phaseflow.components.extraction.workbook import ByRow, Place, by_row, place_of

_LONGEST = 1 << 20
"""Bytes that a cell may take before it is given up."""
_ATTRIBUTE = re.compile(rb"\b([rst])\s*=\s*[\"']([^\"']*)[\"']")
_STYLES = "xl/styles.xml"
_TEXTS = "xl/sharedStrings.xml"
_RAISED = b"vertAlign"
_NAMELESS = re.compile(rb"<(?:\w+:)?c(?:>|\s(?![^<>]*\br\s*=)[^<>]*>)")
_PHONETIC = "rPh"


class CellFormats:
    """The formats of the cells of an Excel workbook, by the number of the style."""

    def __init__(self, package: Package, *, is_1904: bool) -> None:
        self._package = package
        self._is_1904 = is_1904
        found = _Formats()
        if _STYLES in package:
            package.parse(_STYLES, found)
        self._codes = {str(place).encode(): code for place, code in enumerate(found.styles) if code}
        frames = {place: text_frame(code) for place, code in self._codes.items()}
        self._frames = {place.decode(): frame for place, frame in frames.items() if frame}
        self._shared = self._shared_texts()
        if self._codes:
            styles = b"|".join(sorted(self._codes))
            # The first way is how nearly all programs write a cell; to take attributes apart takes longer.
            self._cells = re.compile(
                rb"<c r=\"([A-Z]{1,3})(\d{1,7})\" s=\"(%s)\"(?: t=\"n\")?>(?:<f>[^<]*</f>)?<v>([-+0-9.eE]+)</v>"
                rb"|<(?:\w+:)?c\s([^<>]*\bs\s*=\s*[\"'](?:%s)[\"'][^<>]*)>\s*"
                rb"(?:<(?:\w+:)?f\b(?:[^<>]*/>|[^<>]*>[^<]*</(?:\w+:)?f>)\s*)?"
                rb"<(?:\w+:)?v>([-+0-9.eE]+)<" % (styles, styles)
            )

    def shown(self, sheet: str) -> ByRow:
        """Return what the numbers of a sheet show, where they have a format."""
        if self._frames or self._shared or self._is_to_be_parsed(sheet):
            codes = {place.decode(): code for place, code in self._codes.items()}
            cells = _SheetCells(codes, self._frames, self._shared, self._is_1904)
            self._package.parse(sheet, cells)
            return by_row(cells.found.items())
        found: dict[int, list[tuple[int, str]]] = {}
        if not self._codes:
            return found
        columns, last, cells_of_row = _Columns(), b"", list[tuple[int, str]]()
        rest, quick = b"", {style: positive_way(code, is_1904=self._is_1904) for style, code in self._codes.items()}
        for chunk in self._package.chunks(sheet):
            text = rest + chunk
            end = max(text.rfind(b"</c>"), text.rfind(b":c>"), 0)
            for column, row, style, value, attributes, other in self._cells.findall(text, 0, end):
                if column:
                    number, way = float(value), quick[style]
                    if way is not None and 0 < number < QUICK_BELOW:
                        words = way(number)
                    else:
                        words = shown(number, self._codes[style], is_1904=self._is_1904)
                    if words is not None:
                        if row != last:
                            last, cells_of_row = row, found.setdefault(int(row) - 1, [])
                        cells_of_row.append((columns[column], words))
                elif (other_cell := self._shown(attributes, other)) is not None:
                    (place, at), words = other_cell
                    found.setdefault(place, []).append((at, words))
            # A cell may lie across two chunks: what follows the last whole one waits for the next chunk. A cell without
            # an end would be carried along, and searched, for ever.
            rest = text[end:] if len(text) - end < _LONGEST else b""
        return found

    def _is_to_be_parsed(self, sheet: str) -> bool:
        """Whether texts stand above the line in the sheet itself, or its cells do not say where they are."""
        for place, chunk in enumerate(self._package.chunks(sheet)):
            if _RAISED in chunk or (not place and self._codes and _NAMELESS.search(chunk)):
                return True
        return False

    def _shared_texts(self) -> dict[int, str]:
        if _TEXTS not in self._package:
            return {}
        if not self._frames and not any(_RAISED in chunk for chunk in self._package.chunks(_TEXTS)):
            return {}
        shared = _SharedTexts(wants_all=bool(self._frames))
        self._package.parse(_TEXTS, shared)
        return shared.texts

    def _shown(self, attributes: bytes, value: bytes) -> tuple[Place, str] | None:
        said = dict(_ATTRIBUTE.findall(attributes))
        code, place = self._codes.get(said.get(b"s", b"")), place_of(said.get(b"r", b"").decode("ascii", "replace"))
        if code is None or place is None or said.get(b"t", b"n") != b"n":
            return None
        try:
            text = shown(float(value), code, is_1904=self._is_1904)
        except ValueError:
            return None
        return None if text is None else (place, text)


class _Columns(dict[bytes, int]):
    """Columns by their letters, each worked out once."""

    def __missing__(self, letters: bytes) -> int:
        place = place_of(letters.decode("ascii") + "1")
        self[letters] = column = place[1] if place else 0
        return column


class _Formats:
    """Takes the events of the styles."""

    def __init__(self) -> None:
        self.styles: list[str | None] = []
        """The format of each style; None for the general one."""
        self._codes: dict[str, str] = {str(number): code for number, code in BUILTIN.items()}
        self._in_cells = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "numFmt":
            self._codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            code = self._codes.get(attributes.get("numFmtId", ""), "")
            self.styles.append(code if code not in ("", GENERAL, "@") else None)

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._in_cells = False

    def data(self, text: str) -> None: ...


class _RichText:
    """Takes the events of a text that may have runs above or below the line."""

    def __init__(self) -> None:
        self._line = Line()
        self._position = ""
        self._in_text = False
        self._skipping = 0
        self.has_positions = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._skipping or name == _PHONETIC:
            self._skipping += 1
        elif name == "r":
            self._position = ""
        elif name == "vertAlign":
            self._position = attributes.get("val", "")
            self.has_positions = True
        elif name == "t":
            self._in_text = True

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif name == "t":
            self._in_text = False

    def data(self, text: str) -> None:
        if self._in_text and not self._skipping:
            self._line.write(text, self._position)

    def take(self) -> str:
        self._position, self.has_positions = "", False
        return self._line.take()


class _SharedTexts:
    """Takes the events of the texts that cells share. ``texts``: those above or below the line; ``all``: every one."""

    def __init__(self, *, wants_all: bool) -> None:
        self.texts: dict[int, str] = {}
        self._wants_all = wants_all
        self._rich = _RichText()
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name != "si":
            self._rich.start(name, attributes)

    def end(self, name: str) -> None:
        if name != "si":
            self._rich.end(name)
            return
        is_wanted = self._wants_all or self._rich.has_positions
        text = self._rich.take()
        if is_wanted:
            self.texts[self._count] = text
        self._count += 1

    def data(self, text: str) -> None:
        self._rich.data(text)


@dataclass(slots=True)
class _SheetCells:
    """Takes the events of a sheet. ``found``: by place, what is shown otherwise than it stands."""

    codes: Mapping[str, str]
    """Formats by the number of the style."""
    frames: Mapping[str, tuple[str, str | None]]
    """What stands before and behind a text, or in place of it, by the number of the style."""
    shared: Mapping[int, str]
    is_1904: bool = False
    found: dict[Place, str] = field(default_factory=dict)
    _rich: _RichText = field(default_factory=_RichText)
    _place: Place = (-1, -1)
    _style: str = ""
    _kind: str = ""
    _value: str = ""
    _in_value: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "row":
            number = attributes.get("r", "")
            self._place = int(number) - 1 if number.isdigit() and len(number) < 8 else self._place[0] + 1, -1
        elif name == "c":
            row, column = self._place
            self._place = place_of(attributes.get("r", "")) or (row, column + 1)
            self._style, self._kind = attributes.get("s", ""), attributes.get("t", "n")
            self._value = ""
        elif name == "v":
            self._in_value = True
        elif name != "f":
            self._rich.start(name, attributes)

    def end(self, name: str) -> None:
        if name == "v":
            self._in_value = False
        elif name == "c":
            self._end_cell()
        elif name not in ("f", "row"):
            self._rich.end(name)

    def data(self, text: str) -> None:
        if self._in_value:
            self._value += text
        else:
            self._rich.data(text)

    def _end_cell(self) -> None:
        has_positions, text = self._rich.has_positions, self._rich.take()
        if self._kind == "n":
            code = self.codes.get(self._style)
            words = shown(_number(self._value), code, is_1904=self.is_1904) if code and self._value else None
            if words is not None:
                self.found[self._place] = words
            return
        frame = self.frames.get(self._style)
        if self._kind == "s":
            number = int(self._value) if self._value.isdigit() and len(self._value) < 10 else -1
            text, has_positions = self.shared.get(number, ""), number in self.shared
        elif self._kind == "str":
            text = self._value
        if text and (frame or has_positions) and self._kind in ("s", "str", "inlineStr"):
            before, after = frame or ("", "")
            self.found[self._place] = before if after is None else f"{before}{text}{after}"


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0
