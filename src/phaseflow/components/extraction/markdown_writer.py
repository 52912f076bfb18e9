"""The text of a document while it is being put together: blocks of Markdown, and where its parts begin."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from phaseflow.components.extraction.markdown import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.values import MetadataValue

MAX_CHARS = 64_000_000
"""About twenty times War and Peace. More comes from archive bombs, not from readers."""

BULLET = "- "
# What XML and SQLite do not take, and Markdown has no use for.
# A soft hyphen says where a word may be broken; in the middle of one it would not be found.
_EDGE = "\0"
"""Between cells: a sign that none of them has."""
_UNTIDY = re.compile(
    "[\x01-\x1f\x7f\x85\xa0\xad\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ud800-\udfff\ufffe\uffff|]"
)
_GAPS = ("  ", " \0", "\0 ")
_DIRT = re.compile("[\x00-\x08\x0b-\x1f\x7f\xad\ufffe\uffff\ud800-\udfff]")


@dataclass(slots=True)
class Draft:
    """Collects blocks. Offsets of ``parts`` are those of the finished text."""

    name: str
    """The document's, for what has to be said about it."""
    pieces: list[str] = field(default_factory=list)
    parts: list[tuple[int, str]] = field(default_factory=list)
    length: int = 0
    title: str | None = None
    """The first heading."""
    _label: str | None = None
    _ends_with_item: bool = False

    def part(self, label: str) -> None:
        """Say what begins with the next block: a page, slide, sheet or section."""
        self._label = line(label) or self._label

    def heading(self, level: int, text: str, number: str = "") -> None:
        """``number`` is shown before the text, but is not part of a title."""
        words = line(text)
        if words:
            self.title = self.title or words
            self.put(f"{'#' * min(max(level, 1), 6)} {line(number + words)}")

    def section(self, level: int, text: str, number: str = "") -> None:
        """A heading with which a part of the document begins."""
        self.part(number + text if text.strip() else "")
        self.heading(level, text, number)

    def item(self, level: int, text: str, mark: str = BULLET) -> None:
        """An item of a list; ``level`` begins with 0, ``mark`` is what stands before it, with the space between."""
        if text.strip():
            body = _clean(mark + text.strip()).strip().replace("\n", " ")
            self._add("  " * min(level, 10) + body, is_item=True)

    def put(self, text: str) -> None:
        """A paragraph, or a block that is Markdown already."""
        self._add(_clean(text).strip(), is_item=False)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        self.put(table(rows))

    def finish(
        self,
        title: str | None,
        media_type: str = MEDIA_TYPE,
        metadata: Mapping[str, MetadataValue] | None = None,
    ) -> Extracted:
        """Return what was collected. ``title`` goes before the first heading, and that before the name, if it says
        something: a dot or a dash does not."""
        said = line(title or "")
        shown = (said if any(map(str.isalnum, said)) else "") or self.title or self.name.rpartition("/")[2] or self.name
        return Extracted("".join(self.pieces), shown, media_type, tuple(self.parts), metadata or {})

    @property
    def is_empty(self) -> bool:
        return not self.pieces

    def _add(self, block: str, *, is_item: bool) -> None:
        if not block:
            return
        if self.pieces:
            self._write("\n" if is_item and self._ends_with_item else "\n\n")
        self._ends_with_item = is_item
        if self._label is not None:
            self.parts.append((self.length, self._label))
            self._label = None
        self._write(block)

    def _write(self, text: str) -> None:
        self.pieces.append(text)
        self.length += len(text)
        if self.length > MAX_CHARS:
            message = f"{self.name} holds more than {MAX_CHARS:,} characters of text; split it or exclude it"
            raise DocumentError(message, code="too_large")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table whose first row is the head; empty rows and empty last columns are left out."""
    lines = [text for row in rows if (text := _cells(row))]
    if not lines:
        return ""
    width = max(text.count(_EDGE) for text in lines) + 1
    head, *body = (text + _EDGE * (width - 1 - text.count(_EDGE)) for text in lines)
    return "\n".join(f"| {text.replace(_EDGE, ' | ')} |" for text in (head, _EDGE.join(["---"] * width), *body))


def _cells(row: Sequence[str]) -> str:
    """Return the cells of a row as lines, parted by ``_EDGE``, without empty ones at the end."""
    text = _EDGE.join(row)
    # A look at a whole row instead of one at every cell: nearly all are lines already.
    if (
        _UNTIDY.search(text)
        or any(gap in text for gap in _GAPS)
        or text != text.strip()
        or text.count(_EDGE) >= len(row)
    ):
        text = _EDGE.join(line(cell).replace("|", "\\|") for cell in row)
    return text.rstrip(_EDGE)


def line(text: str) -> str:
    """Return the text as one line, white space run together."""
    return " ".join(_clean(text).split())


def _clean(text: str) -> str:
    """Return the text with ``\\n`` line ends and without control characters."""
    if _DIRT.search(text) is None:
        return text
    return _DIRT.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n").replace("\f", "\n"))
