"""What reading RTF keeps in mind: the group it is in, and the paragraph."""

from dataclasses import dataclass, field

from phaseflow.components.extraction.raised import Line


@dataclass(slots=True)
class Group:
    """What a brace keeps and its end brings back."""

    destination: bytes = b""
    around: bytes = b""
    """The destination around what is said twice, for old readers and for others."""
    encoding: str = ""
    symbols: str = ""
    """The font, if its letters are signs."""
    unicode_skip: int = 1
    is_hidden: bool = False
    is_deleted: bool = False
    position: str = ""
    is_header: bool = False
    outside: "Paragraph | None" = None
    """The paragraph that goes on after this group, whose text stands beside it."""

    def inner(self) -> "Group":
        """Return a group inside this one, which begins as it is."""
        return Group(
            self.destination,
            self.around,
            self.encoding,
            self.symbols,
            self.unicode_skip,
            self.is_hidden,
            self.is_deleted,
            self.position,
            self.is_header,
        )


@dataclass(slots=True)
class Paragraph:
    line: Line = field(default_factory=Line)
    list_mark: str | None = None
    list_number: int = 0
    """Of the list that it is an item of, 0 for none."""
    list_level: int = 0
    is_aside: bool = False
    style: int = 0
    outline: int | None = None
    in_table: bool = False
