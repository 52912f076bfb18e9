"""What reading an OpenDocument text keeps in mind: the paragraph, the list, and the table."""

from dataclasses import dataclass, field

from phaseflow.components.extraction.raised import Line


@dataclass(slots=True)
class Paragraph:
    line: Line = field(default_factory=Line)
    level: int | None = None
    number: str = ""
    """The number of a heading, where the document says it itself."""
    restarts_at: int | None = None
    is_unnumbered: bool = False


@dataclass(slots=True)
class List:
    style: str
    number: int
    root: str = ""
    """The first of the lists that count on from each other."""
    has_items: bool = False
    """Whether ``number`` is that of an item, and not the one before the first."""
    next_number: int | None = None
    """Of the item that is open, until its first paragraph: one that only holds a list of its own does not count."""
    style_of_item: str = ""

    @property
    def shown_number(self) -> int:
        return max(self.number if self.has_items else self.number + 1, 0)

    def count(self) -> None:
        if self.next_number is not None:
            self.number, self.next_number, self.has_items = self.next_number, None, True


@dataclass(slots=True)
class Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] | None = None
    repeated: int = 1
