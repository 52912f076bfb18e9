"""What calamine passes over in a binary Excel workbook (``xlsb``): formats of numbers, errors, and comments.

And all cells, for a workbook that it cannot open: one that has sheets with a chart alone, a main part of another name,
or that was written before the format was settled.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction.cell_values import plain
from phaseflow.components.extraction.number_format import BUILTIN, shown
from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.workbook import STAND_IN, Place, Reach, remarks
from phaseflow.components.extraction.xls import ERRORS, unpacked

_ROW, _RK, _REAL, _FORMULA = 0, 2, 5, 9
_WITH_ERROR = (3, 11)
_REALS, _TEXTS, _SHARED, _TRUTHS = (_REAL, _FORMULA), (6, 8), 7, (4, 10)
_FILLED = frozenset(range(2, 12))
"""Cells that hold something, and not only a style."""
_FORMAT, _STYLE, _STYLES, _END_OF_STYLES = 44, 47, 617, 618
_PROPERTIES, _SHEET = 153, 156
_COMMENT_TEXT = 637
_ITEM, _END_OF_SHEET, _END_OF_STRINGS = 19, 130, 160
_STYLE_OF_CELL = 0xFFFFFF
_DATES = frozenset((14, 22, *range(27, 37), *range(50, 59)))
_SOME_DAY = 45_000.0
_OF_A_DATE = re.compile(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[^"\[ydYD\\])*[ydYD]')
"""A code with a year or a day in it, beside what is quoted."""
_LARGEST = 1 << 24
"""Bytes of a record: more is damage."""
_MAIN = "xl/workbook.bin"
_STYLE_MEMBER = "xl/styles.bin"


@dataclass(slots=True)
class BinaryWorkbook:
    """Sheets by name with their members, and formats by the number of the style."""

    package: Package
    is_1904: bool = False
    is_whole: bool = True
    """All sheets that the workbook names are in it."""
    strings: str | None = None
    """The member of those that several cells have."""
    sheets: dict[str, str] = field(default_factory=dict)
    codes: dict[int, str] = field(default_factory=dict)
    dates: frozenset[int] = frozenset()
    """Styles of dates as the reader's own system, or another language, writes them."""

    @classmethod
    def read(cls, package: Package) -> "BinaryWorkbook | None":
        """Read the names of the sheets and the formats; None when the document is no such workbook."""
        main = package.main(_MAIN)
        if main not in package or not main.endswith(".bin"):
            return None
        book, relations = cls(package), package.relations(main)
        for kind, body in _records(package, main):
            if kind == _PROPERTIES and body:
                book.is_1904 = bool(body[0] & 1)
            elif kind == _SHEET and len(body) >= 8:
                relation, name = _sheet(body, relations)
                if relation in relations and relations[relation].target in package:
                    book.sheets.setdefault(name, relations[relation].target)
                elif relation:
                    book.is_whole = False
        book.strings = next((each.target for each in relations.values() if each.kind == "sharedStrings"), None)
        styles = next((each.target for each in relations.values() if each.kind == "styles"), _STYLE_MEMBER)
        if styles in package:
            book.codes, book.dates = _codes(package, styles)
        return book

    def cells(self, name: str, most: int) -> Iterator[tuple[Place, str]]:
        """Yield what the numbers of a sheet show, where they have a format, and the errors.

        Raises DocumentError ``too_large`` at a cell so far from the others that there would be more than ``most``,
        ``malformed`` at a record that no program writes.
        """
        if name not in self.sheets:
            return
        row, reach = 0, Reach(self.package.name, name, most)
        for kind, body in _records(self.package, self.sheets[name]):
            if kind == _ROW and len(body) >= 4:
                row = struct.unpack_from("<I", body)[0]
            elif kind in _FILLED and len(body) >= 8:
                column, style = struct.unpack_from("<II", body)
                reach.take(row, column)
                if kind in _WITH_ERROR and len(body) > 8 and body[8] in ERRORS:
                    yield (row, column), ERRORS[body[8]]
                code = self.codes.get(style & _STYLE_OF_CELL)
                if code and kind in (_RK, _REAL, _FORMULA) and len(body) >= (12 if kind == _RK else 16):
                    packed = struct.unpack_from("<I" if kind == _RK else "<d", body, 8)[0]
                    text = shown(unpacked(packed) if kind == _RK else packed, code, is_1904=self.is_1904)
                    if text is not None:
                        yield (row, column), text

    def tables(self, most: int) -> Iterator[tuple[str, list[list[str]]]]:
        """Yield the rows of every sheet, with its name, without the library.

        Raises DocumentError ``malformed`` where a part is missing or cut off: nothing is left out in silence;
        ``too_large`` where a sheet would have more cells than ``most``.
        """
        cells = _Cells(self, most)
        for name in self.sheets:
            yield name, cells.rows(name)

    def remarks(self, name: str) -> tuple[str, ...]:
        """Return what comments, drawings and charts of a sheet say."""
        sheet = self.sheets[name]
        found: list[str] = []
        for relation in self.package.relations(sheet).values():
            if relation.kind == "comments" and relation.target in self.package and relation.target.endswith(".bin"):
                # Behind a byte that says whether some of the letters are bold and the like.
                said = _records(self.package, relation.target)
                found += [_string(body, 1)[0] for kind, body in said if kind == _COMMENT_TEXT]
        return (*(text for text in found if not text.startswith(STAND_IN)), *remarks(self.package, sheet))


def _sheet(body: bytes, relations: Mapping[str, object]) -> tuple[str, str]:
    """Return the relation and the name of a sheet. Before the format was settled, four more bytes stood in front."""
    found = []
    for begin in (8, 12):
        relation, place = _string(body, begin)
        found.append((relation, _string(body, place)[0]))
        if relation in relations:
            return found[-1]
    return found[0]


def _codes(package: Package, member: str) -> tuple[dict[int, str], frozenset[int]]:
    formats, found, is_inside = dict(BUILTIN), list[int](), False
    for kind, body in _records(package, member):
        if kind == _FORMAT and len(body) >= 6:
            formats[struct.unpack_from("<H", body)[0]] = _string(body, 2)[0]
        elif kind in (_STYLES, _END_OF_STYLES):
            is_inside = kind == _STYLES
        elif kind == _STYLE and is_inside and len(body) >= 4:
            found.append(struct.unpack_from("<H", body, 2)[0])
    codes = {place: formats[number] for place, number in enumerate(found) if number in formats}
    foreign = {place for place, code in codes.items() if _OF_A_DATE.match(code) and shown(_SOME_DAY, code) is None}
    return codes, frozenset(foreign | {place for place, number in enumerate(found) if number in _DATES})


def _records(package: Package, member: str, *, whole: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a member, whose kind and length are numbers of seven bits a byte.

    Raises DocumentError ``malformed`` at one that is too long: the library would read on behind it. With ``whole``,
    also at one that is cut off.
    """
    held, place = b"", 0
    for chunk in package.chunks(member):
        held, place = held[place:] + chunk, 0
        while (found := _head(held, place)) is not None:
            kind, length, begin = found
            if length > _LARGEST:
                raise package.malformed(f"{member} has a record of {length:,} bytes")
            if begin + length > len(held):
                break
            yield kind, held[begin : begin + length]
            place = begin + length
    if whole and place < len(held):
        raise package.malformed(f"{member} is cut off")


def _head(data: bytes, place: int) -> tuple[int, int, int] | None:
    """Return kind, length and where the body begins; None when the data end before."""
    numbers: list[int] = []
    for most in (2, 4):
        number = 0
        for shift in range(most):
            if place >= len(data):
                return None
            byte, place = data[place], place + 1
            number |= (byte & 0x7F) << 7 * shift
            if not byte & 0x80:
                break
        numbers.append(number)
    return numbers[0], numbers[1], place


def _string(body: bytes, place: int) -> tuple[str, int]:
    """Return a text and where it ends; ``""`` for none."""
    if place + 4 > len(body):
        return "", len(body)
    length = struct.unpack_from("<I", body, place)[0]
    if length == 0xFFFFFFFF:
        return "", place + 4
    end = place + 4 + 2 * length
    return body[place + 4 : end].decode("utf-16-le", "replace"), end


class _Cells:
    """What the cells of the sheets hold, and not only what is passed over."""

    def __init__(self, book: BinaryWorkbook, most: int) -> None:
        self._book = book
        self._most = most
        if not book.is_whole or not book.sheets:
            raise book.package.malformed("its list of sheets names some that it does not hold")
        self._strings = _strings(book.package, book.strings)

    def rows(self, name: str) -> list[list[str]]:
        """The rows of a sheet from its first, from the first column that holds something.

        Raises DocumentError ``too_large`` where there would be more cells than ``most``.
        """
        said = dict(self._book.cells(name, self._most))
        found = self._values(name)
        if not found:
            return []
        left = min(column for _, column in found)
        width = 1 + max(column for _, column in found) - left
        rows = [[""] * width for _ in range(1 + max(row for row, _ in found))]
        for (row, column), text in found.items():
            rows[row][column - left] = said.get((row, column), text)
        return rows

    def _values(self, name: str) -> Mapping[Place, str]:
        package, member = self._book.package, self._book.sheets[name]
        found: dict[Place, str] = {}
        row, last, reach = 0, -1, Reach(package.name, name, self._most)
        for last, body in _records(package, member, whole=True):
            try:
                if last == _ROW:
                    row = struct.unpack_from("<I", body)[0]
                elif (text := self._text(last, body)) is not None:
                    column = struct.unpack_from("<I", body)[0]
                    reach.take(row, column)
                    found[row, column] = text
            except (struct.error, IndexError) as error:
                raise package.malformed(f"{member} has a cell that is cut off") from error
        if last != _END_OF_SHEET:
            raise package.malformed(f"{member} has no end")
        return found

    def _text(self, kind: int, body: bytes) -> str | None:
        """What a cell holds, None for other records and empty cells."""
        if kind == _RK:
            return self._number(body, unpacked(struct.unpack_from("<I", body, 8)[0]))
        if kind in _REALS:
            return self._number(body, struct.unpack_from("<d", body, 8)[0])
        if kind in _TEXTS:
            return _string(body, 8)[0]
        if kind == _SHARED:
            number: int = struct.unpack_from("<I", body, 8)[0]
            return self._strings[number]
        if kind in _WITH_ERROR:
            error: str = ERRORS.get(body[8], "")
            return error
        if kind in _TRUTHS:
            return "TRUE" if body[8] else "FALSE"
        return None

    def _number(self, body: bytes, value: float) -> str:
        if struct.unpack_from("<I", body, 4)[0] & _STYLE_OF_CELL in self._book.dates:
            moment = shown(value, "yyyy-mm-dd hh:mm:ss", is_1904=self._book.is_1904) or plain(value)
            return moment.removesuffix(" 00:00:00")
        return plain(value)


def _strings(package: Package, member: str | None) -> list[str]:
    if member is None:
        return []
    found, last = [], -1
    for last, body in _records(package, member, whole=True):
        if last == _ITEM:
            found.append(_string(body, 1)[0])
    if last != _END_OF_STRINGS:
        raise package.malformed(f"{member} has no end")
    return found
