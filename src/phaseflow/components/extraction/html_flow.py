"""The running text of a page while it is being put together."""

from dataclasses import dataclass, field

_LONG = 40


def _one_line(text: str) -> str:
    """Return a text with its white space run together, and none at its ends."""
    if len(text) > _LONG:
        # Nearly all have one blank between two words, or a line end: to see that takes less time than to part them.
        flat = text.replace("\n", " ")
        if "  " not in flat and flat.isprintable():
            return flat.strip()
    return " ".join(text.split())


@dataclass(slots=True)
class Flow:
    """Running text: white space runs together, breaks and marks wait until there is something to set apart."""

    pieces: list[str] = field(default_factory=list)
    gap: int = 0
    """Line ends due before the next word."""
    space: bool = False
    mark: str = ""
    """What the next word's line begins with: a heading's or a list item's sign."""

    def write(self, text: str) -> None:
        line = _one_line(text)
        if not line:
            self.space = self.space or bool(text)
            return
        if self.mark or self.gap or not self.pieces:
            self.put(line)
        else:
            if self.space or text[0].isspace():
                self.pieces.append(" ")
            self.pieces.append(line)
        self.space = text[-1].isspace()

    def put(self, text: str) -> None:
        if self.pieces:
            if self.gap:
                self.pieces.append("\n" * self.gap)
            elif self.space and not self.mark:
                self.pieces.append(" ")
        self.pieces.append(self.mark + text if self.mark else text)
        self.gap, self.space, self.mark = 0, False, ""

    def end_line(self, lines: int) -> None:
        # A paragraph that opens a list item stays on the item's line.
        if not self.mark:
            self.gap = max(self.gap, lines)
        self.space = False

    def text(self) -> str:
        return "".join(self.pieces)
