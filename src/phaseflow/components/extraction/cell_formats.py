"""Numbers in the sheets of a workbook as they are shown: Excel's and OpenDocument's files."""

import re
from collections.abc import Iterator
from functools import lru_cache
from html import unescape

from phaseflow.components.extraction.number_format import BUILTIN, GENERAL, shown
from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.workbook import Place, place_of

_LONGEST = 1 << 20
"""Bytes that a cell may take before it is given up."""
_ATTRIBUTE = re.compile(rb"\b([rst])\s*=\s*[\"']([^\"']*)[\"']")
_STYLES = "xl/styles.xml"


class CellFormats:
    """The formats of the cells of an Excel workbook, by the number of the style."""

    def __init__(self, package: Package, *, is_1904: bool) -> None:
        self._package = package
        self._is_1904 = is_1904
        found = _Formats()
        if _STYLES in package:
            package.parse(_STYLES, found)
        self._codes = {str(place).encode(): code for place, code in enumerate(found.styles) if code}
        if self._codes:
            styles = b"|".join(sorted(self._codes))
            # The first way is how nearly all programs write a cell; to take attributes apart takes longer.
            self._cells = re.compile(
                rb"<c r=\"([A-Z]{1,3})(\d{1,7})\" s=\"(%s)\"(?: t=\"n\")?>(?:<f>[^<]*</f>)?<v>([-+0-9.eE]+)</v>"
                rb"|<(?:\w+:)?c\s([^<>]*\bs\s*=\s*[\"'](?:%s)[\"'][^<>]*)>\s*"
                rb"(?:<(?:\w+:)?f\b(?:[^<>]*/>|[^<>]*>[^<]*</(?:\w+:)?f>)\s*)?"
                rb"<(?:\w+:)?v>([-+0-9.eE]+)<" % (styles, styles)
            )

    def shown(self, sheet: str) -> Iterator[tuple[Place, str]]:
        """Yield the numbers of a sheet as they are shown, where they have a format."""
        if not self._codes:
            return
        rest = b""
        for chunk in self._package.chunks(sheet):
            text = rest + chunk
            end = max(text.rfind(b"</c>"), text.rfind(b":c>"), 0)
            for column, row, style, value, attributes, other in self._cells.findall(text, 0, end):
                if column:
                    words = shown(float(value), self._codes[style], is_1904=self._is_1904)
                    if words is not None:
                        yield (int(row) - 1, _column(column)), words
                elif (found := self._shown(attributes, other)) is not None:
                    yield found
            rest = text[end:] if len(text) - end < _LONGEST else b""

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


@lru_cache(maxsize=1000)
def _column(letters: bytes) -> int:
    place = place_of(letters.decode("ascii") + "1")
    return place[1] if place else 0


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


_ODS = re.compile(
    rb"<(?:(table:table)\s([^<>]*)|(table:table-row)\b([^<>]*)|(table:(?:covered-)?table-cell)\b([^<>]*?)(/?))>"
)
_FORMATTED = re.compile(
    rb"office:value-type=\"(?:percentage|currency|time|date)\"|number:min-integer-digits=\"(?:[2-9]|\d\d)\""
)
_TEXT = re.compile(rb"<text:p\b[^<>]*>(.*?)</text:p>", re.S)
_TAGS = re.compile(rb"<[^<>]*>")
_TYPED = re.compile(rb"office:value-type=\"(?:percentage|currency|time|date|float)\"")
_REPEATED = re.compile(rb"table:number-(?:columns|rows)-repeated=\"(\d{1,7})\"")
_NAME = re.compile(rb"table:name=\"([^\"]*)\"")
_MOST_SHOWN = 50
"""Repetitions of one cell that are shown each."""


def shown_in_ods(package: Package, member: str = "content.xml") -> Iterator[tuple[str, Place, str]]:
    """Yield the numbers of an OpenDocument spreadsheet as they are shown: the sheet's name, the place, the text.

    The document says itself how each is shown. Those with a plain format are not looked at if none has another.
    """
    content = package.read(member) if member in package else b""
    if not _FORMATTED.search(content):
        return
    name, row, column, repeated_row = "", -1, 0, 1
    for match in _ODS.finditer(content):
        if match[1]:
            found = _NAME.search(match[2])
            name, row, column, repeated_row = unescape(found[1].decode("utf-8", "replace")) if found else "", -1, 0, 1
        elif match[3]:
            row, column, repeated_row = row + repeated_row, 0, _repeated(match[4])
        else:
            repeated = _repeated(match[6])
            if not match[7] and _TYPED.search(match[6]):
                end = content.find(b"</table:table-cell>", match.end())
                text = _TEXT.search(content, match.end(), end) if end >= 0 else None
                if text and (words := unescape(_TAGS.sub(b"", text[1]).decode("utf-8", "replace")).strip()):
                    for y in range(row, row + min(repeated_row, _MOST_SHOWN)):
                        for x in range(column, column + min(repeated, _MOST_SHOWN)):
                            yield name, (y, x), words
            column += repeated


def _repeated(attributes: bytes) -> int:
    found = _REPEATED.search(attributes)
    return int(found[1]) if found else 1
