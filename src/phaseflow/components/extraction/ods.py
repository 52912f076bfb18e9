"""What calamine passes over in an OpenDocument spreadsheet: how numbers are shown, comments, text in drawings."""

import re
from collections.abc import Iterator
from html import unescape

from phaseflow.components.extraction.markdown_writer import line
from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.raised import Line
from phaseflow.components.extraction.workbook import Place, Reach
from phaseflow.components.extraction.xml_events import check_xml

_ODS = re.compile(
    rb"<(?:(table:table)\s([^<>]*)|(table:table-row)\b([^<>]*)|(table:(?:covered-)?table-cell)\b([^<>]*?)(/?))>"
)
_FORMATTED = re.compile(
    rb"office:value-type=\"(?:percentage|currency|time|date|boolean)\"|number:min-integer-digits=\"(?:[2-9]|\d\d)\""
    rb"|<number:(?:fraction|scientific-number|text|embedded-text)\b|number:grouping=\"true\""
)
# Numbers that every document shows in another form than they are stored in, whatever its styles.
_OTHERWISE = re.compile(
    rb"office:value=\"([^\"<>]{1,30}+)\"[^<>]{0,500}+>\s{0,100}+<text:p\b[^<>]{0,500}+>(?!\1</text:p>)"
)
_TEXT = re.compile(rb"<text:p\b[^<>]*>(.*?)</text:p>", re.S)
_TAGS = re.compile(rb"<[^<>]*>")
_TYPED = re.compile(rb"office:value-type=\"(?:percentage|currency|time|date|float|boolean)\"")
_REPEATED = re.compile(rb"table:number-(?:columns|rows)-repeated=\"(\d{1,7})\"")
_CELL = rb"<table:(?:covered-)?table-cell\b"
_FILLED = re.compile(_CELL + rb"[^<>]*(?<!/)>")
_REPEATED_CELL = re.compile(
    rb"columns-repeated=\"\d{2,}\"[^<>]*(?:(?<!/)>|/>\s*" + _CELL + rb")"  # filled, or before another one
)
_REPEATED_ROW = re.compile(rb"rows-repeated=\"\d{2,}\"[^<>]*(?<!/)>")
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 16_384
"""What the library reads of a sheet."""
_NAME = re.compile(rb"table:name=\"([^\"]*)\"")
_MOST_SHOWN = 50
"""Repetitions of one cell that are shown each."""
_CELL_END = b"</table:table-cell>"
_ASIDE = re.compile(rb"<(/?)(?:office:annotation|draw:[\w-]{1,40})\b([^<>]*)>")
_STYLE = re.compile(rb"<style:style\b([^<>]{0,1000})>\s{0,100}<style:text-properties\b([^<>]{0,2000})")
_STYLE_NAME = re.compile(rb"style:name=\"([^\"]*)\"")
_POSITION = re.compile(rb"style:text-position=\"(super|sub|-?\d+)")
_SPAN = re.compile(rb"(<text:span\b[^<>]*text:style-name=\"([^\"]*)\"[^<>]*>)|(</text:span>)|(<[^<>]*>)|([^<]+)")
_BREAK = re.compile(rb"<text:(?:line-break|tab|s)\b[^<>]*>")
_BREAKS = (b"<text:line-break", b"<text:tab")
"""What the library leaves out between two words."""
_BESIDE = (b"<office:annotation", b"<draw:")


class Ods:
    """The content of a spreadsheet, which is read once. Raises DocumentError ``malformed``."""

    def __init__(self, package: Package, member: str = "content.xml") -> None:
        self._package = package
        self._member = member
        self._content = package.read(member) if member in package else b""
        if member in package:
            check_xml(self._content, lambda why: package.malformed(f"{member}: {why}"))
        self._positions = _positions(self._content)
        self._breaks = tuple(sign for sign in _BREAKS if sign in self._content)

    def measure(self, most: int) -> None:
        """Raise DocumentError ``too_large`` for a sheet with cells so far away that there would be more than ``most``.

        Looked at cell by cell only where filled cells are repeated or stand behind many empty ones, as few do.
        """
        if not _REPEATED_CELL.search(self._content) and not any(map(self._is_filled, self._repeated_rows())):
            return
        reach, row, column, repeated_row = Reach(self._package.name, "", most), -1, 0, 1
        for match in _ODS.finditer(self._content):
            if match[1]:
                found = _NAME.search(match[2])
                name = unescape(found[1].decode("utf-8", "replace")) if found else ""
                reach, row, column, repeated_row = Reach(self._package.name, name, most), -1, 0, 1
            elif match[3]:
                row, column, repeated_row = row + repeated_row, 0, _repeated(match[4])
            else:
                repeated = _repeated(match[6])
                if not match[7]:
                    reach.take(row, min(column, _MOST_COLUMNS - 1))
                    last_row, last_column = row + repeated_row, column + repeated
                    reach.take(min(last_row, _MOST_ROWS) - 1, min(last_column, _MOST_COLUMNS) - 1)
                column += repeated

    def _repeated_rows(self) -> Iterator[int]:
        return (row.end() for row in _REPEATED_ROW.finditer(self._content))

    def _is_filled(self, begin: int) -> bool:
        end = self._content.find(b"</table:table-row>", begin)
        return _FILLED.search(self._content, begin, end if end >= 0 else len(self._content)) is not None

    def shown(self) -> Iterator[tuple[str, Place, str]]:
        """Yield what each cell shows: the sheet's name, the place, the text.

        The document says itself how each is shown. Numbers are not looked at if all are shown as they are, nor texts
        if none of them stands above or below the line.
        """
        is_plain = not self._positions and not self._breaks and not _FORMATTED.search(self._content)
        if is_plain and not _OTHERWISE.search(self._content):
            return
        name, row, column, repeated_row = "", -1, 0, 1
        for match in _ODS.finditer(self._content):
            if match[1]:
                found = _NAME.search(match[2])
                name = unescape(found[1].decode("utf-8", "replace")) if found else ""
                row, column, repeated_row = -1, 0, 1
            elif match[3]:
                row, column, repeated_row = row + repeated_row, 0, _repeated(match[4])
            else:
                repeated = _repeated(match[6])
                words = "" if match[7] else self._words(match[6], match.end())
                if words:
                    for y in range(row, row + min(repeated_row, _MOST_SHOWN)):
                        for x in range(column, column + min(repeated, _MOST_SHOWN)):
                            yield name, (y, x), words
                column += repeated

    def _words(self, attributes: bytes, begin: int) -> str:
        is_number = _TYPED.search(attributes) is not None
        if not is_number and not self._positions and not self._breaks:
            return ""
        end = self._content.find(_CELL_END, begin)
        cell = self._content[begin:end] if end >= 0 else b""
        if any(sign in cell for sign in _BESIDE):
            cell = _without_asides(cell)
        if not is_number and not any(sign in cell for sign in (*self._positions, *self._breaks)):
            return ""
        return " ".join(filter(None, (self._text(found[1]) for found in _TEXT.finditer(cell))))

    def _text(self, markup: bytes) -> str:
        if self._breaks:
            markup = _BREAK.sub(b" ", markup)
        if b"<" not in markup or not self._positions:
            return unescape(_TAGS.sub(b"", markup).decode("utf-8", "replace")).strip()
        text, open_spans = Line(), [""]
        for token in _SPAN.finditer(markup):
            if token[1]:
                open_spans.append(self._positions.get(token[2], open_spans[-1]))
            elif token[3] and len(open_spans) > 1:
                open_spans.pop()
            elif token[5]:
                text.write(unescape(token[5].decode("utf-8", "replace")), open_spans[-1])
        return text.take().strip()

    def remarks(self) -> dict[str, tuple[str, ...]]:
        """Return what comments and drawings say, by the name of the sheet."""
        if not any(sign in self._content for sign in _BESIDE):
            return {}
        found = _Remarks()
        self._package.parse(self._member, found)
        return {name: tuple(texts) for name, texts in found.by_sheet.items()}


def _without_asides(cell: bytes) -> bytes:
    """Return a cell without the comments and drawings in it, however deep they stand in each other."""
    pieces: list[bytes] = []
    place = depth = 0
    for tag in _ASIDE.finditer(cell):
        if tag[1]:
            depth = max(depth - 1, 0)
            place = tag.end()
        elif not tag[2].endswith(b"/"):
            if not depth:
                pieces.append(cell[place : tag.start()])
            depth += 1
    if not depth:
        pieces.append(cell[place:])
    return b"".join(pieces)


def _positions(content: bytes) -> dict[bytes, str]:
    if b"style:text-position" not in content:
        return {}
    positions: dict[bytes, str] = {}
    for style in _STYLE.finditer(content):
        name, position = _STYLE_NAME.search(style[1]), _POSITION.search(style[2])
        if name and position and position[1] != b"0":
            is_down = position[1] == b"sub" or position[1].startswith(b"-")
            positions[name[1]] = "subscript" if is_down else "superscript"
    return positions


def _repeated(attributes: bytes) -> int:
    found = _REPEATED.search(attributes)
    return int(found[1]) if found else 1


class _Remarks:
    """Takes the events of the content."""

    def __init__(self) -> None:
        self.by_sheet: dict[str, list[str]] = {}
        self._sheet: list[str] = []
        self._inside = 0
        """How many elements of comments and drawings are open."""
        self._pieces: list[str] | None = None
        self._skipping = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._inside:
            self._inside += 1
            if name in ("p", "h", "svg-title", "svg-desc"):
                self._pieces = []
            elif name in ("creator", "date", "creator-initials", "binary-data"):
                self._pieces = None
        elif name in ("annotation", "frame", "custom-shape", "g", "rect", "ellipse", "line", "connector", "caption"):
            self._inside = 1
        elif name == "table":
            self._sheet = self.by_sheet.setdefault(attributes.get("name", ""), [])

    def end(self, name: str) -> None:
        if not self._inside:
            return
        self._inside -= 1
        if name in ("p", "h", "svg-title", "svg-desc") and self._pieces is not None:
            text, self._pieces = line("".join(self._pieces)), None
            if text:
                self._sheet.append(text)

    def data(self, text: str) -> None:
        if self._pieces is not None:
            self._pieces.append(text)
