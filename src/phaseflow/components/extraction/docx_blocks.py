"""What reading a Word document keeps in mind: the paragraph, and the table."""

from dataclasses import dataclass, field

from phaseflow.components.extraction.raised import Line
from phaseflow.components.extraction.styles import OFF


@dataclass(slots=True)
class Paragraph:
    line: Line = field(default_factory=Line)
    style: str = ""
    list_id: str | None = None
    list_level: int | None = None
    outline: int | None = None
    mark: str | None = None
    """What stands before it; worked out once, because that counts."""
    is_marked: bool = False
    is_merged: bool = False
    """Its end is deleted, moved away or hidden: it belongs to the next one."""
    runs_on: bool = False
    """The same, where it has text: the end is deleted, or it is the large first letter of the next one."""

    def set(self, name: str, value: str) -> None:
        """Take a property, which may be another thing's."""
        if name == "pStyle":
            self.style = value
        elif name == "numId":
            self.list_id = value
        elif name == "ilvl":
            self.list_level = _number(value, 0)
        elif name == "outlineLvl":
            self.outline = _number(value, 9)
        elif name == "vanish":
            self.is_merged = value not in OFF
        elif name == "framePr":
            self.runs_on = value in ("drop", "margin")


@dataclass(slots=True)
class Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] | None = None
    span: int = 1
    is_covered: bool = False
    """The cell in hand lies under the one above it: what it holds is not seen."""

    def set(self, name: str, value: str) -> None:
        """Take a property of the cell in hand, which may be another thing's."""
        if name == "gridSpan":
            self.span = min(_number(value, 1), 100)
        elif name == "vMerge":
            self.is_covered = value != "restart"

    def take_out(self, properties: str) -> None:
        """Take out the row or the cell in hand, whose properties (``trPr``, ``tcPr``) say that it is not there."""
        if properties == "tcPr":
            self.cell = None
        elif self.rows:
            self.rows.pop()

    def open_cell(self) -> None:
        """Begin a cell of one column."""
        self.cell, self.span, self.is_covered = [], 1, False

    def close_cell(self) -> None:
        """Put what is in the cell in hand into its row, with an empty one for each further column that it covers."""
        if self.cell is not None and self.rows:
            text = "" if self.is_covered else "\n\n".join(self.cell)
            self.rows[-1] += [text] + [""] * (self.span - 1)
            self.cell = None


def _number(value: str, otherwise: int) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else otherwise
