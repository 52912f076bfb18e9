"""Cells of an Excel sheet one by one: where texts stand above the line or are framed, and where cells have no names."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction.number_format import shown
from phaseflow.components.extraction.raised import Line
from phaseflow.components.extraction.workbook import Place, place_of

_PHONETIC = "rPh"


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


class SharedTexts:
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
class SheetCells:
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
