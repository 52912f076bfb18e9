"""What reading a Word document keeps in mind: the paragraph, and the table."""

from dataclasses import dataclass, field

from phaseflow.components.extraction.raised import Line


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
    """Its end is deleted: it belongs to the next one."""


@dataclass(slots=True)
class Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] | None = None
    span: int = 1
    is_covered: bool = False
    """The cell in hand lies under the one above it: what it holds is not seen."""
