"""What calamine passes over in a binary Excel workbook (``xlsb``): formats of numbers, errors, and comments."""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction.number_format import BUILTIN, shown
from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.workbook import STAND_IN, Place, Reach, remarks
from phaseflow.components.extraction.xls import ERRORS, unpacked

_ROW, _RK, _REAL, _FORMULA = 0, 2, 5, 9
_WITH_ERROR = (3, 11)
_FILLED = frozenset(range(2, 12))
"""Cells that hold something, and not only a style."""
_FORMAT, _STYLE, _STYLES, _END_OF_STYLES = 44, 47, 617, 618
_PROPERTIES, _SHEET = 153, 156
_COMMENT_TEXT = 637
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

    def cells(self, name: str, most: int) -> Iterator[tuple[Place, str]]:
        """Yield what the numbers of a sheet show, where they have a format, and the errors.

        Raises DocumentError ``too_large`` at a cell so far from the others that there would be more than ``most``,
        ``malformed`` at a record that no program writes.
        """
        if name not in self.sheets:
            return
        row, reach = 0, Reach(self.package.name, name, most)
        for kind, body in records(self.package, self.sheets[name]):
            if kind == _ROW and len(body) >= 4:
                row = struct.unpack_from("<I", body)[0]
            elif kind in _FILLED and len(body) >= 8:
                column, style = struct.unpack_from("<II", body)
                reach.take(row, column)
                if kind in _WITH_ERROR and len(body) > 8 and body[8] in ERRORS:
                    yield (row, column), ERRORS[body[8]]
                code = self.codes.get(style & 0xFFFFFF)
                if code and kind in (_RK, _REAL, _FORMULA) and len(body) >= (12 if kind == _RK else 16):
                    packed = struct.unpack_from("<I" if kind == _RK else "<d", body, 8)[0]
                    text = shown(unpacked(packed) if kind == _RK else packed, code, is_1904=self.is_1904)
                    if text is not None:
                        yield (row, column), text

    def remarks(self, name: str) -> tuple[str, ...]:
        """Return what comments, drawings and charts of a sheet say."""
        sheet = self.sheets[name]
        found: list[str] = []
        for relation in self.package.relations(sheet).values():
            if relation.kind == "comments" and relation.target in self.package and relation.target.endswith(".bin"):
                # Behind a byte that says whether some of the letters are bold and the like.
                said = records(self.package, relation.target)
                found += [string(body, 1)[0] for kind, body in said if kind == _COMMENT_TEXT]
        return (*(text for text in found if not text.startswith(STAND_IN)), *remarks(self.package, sheet))


def binary_workbook(package: Package) -> BinaryWorkbook | None:
    """Read the names of the sheets and the formats; None when the document is no such workbook."""
    main = package.main(_MAIN)
    if main not in package or not main.endswith(".bin"):
        return None
    book, relations = BinaryWorkbook(package), package.relations(main)
    for kind, body in records(package, main):
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


def _sheet(body: bytes, relations: Mapping[str, object]) -> tuple[str, str]:
    """Return the relation and the name of a sheet. Before the format was settled, four more bytes stood in front."""
    found = []
    for begin in (8, 12):
        relation, place = string(body, begin)
        found.append((relation, string(body, place)[0]))
        if relation in relations:
            return found[-1]
    return found[0]


def _codes(package: Package, member: str) -> tuple[dict[int, str], frozenset[int]]:
    formats, found, is_inside = dict(BUILTIN), list[int](), False
    for kind, body in records(package, member):
        if kind == _FORMAT and len(body) >= 6:
            formats[struct.unpack_from("<H", body)[0]] = string(body, 2)[0]
        elif kind in (_STYLES, _END_OF_STYLES):
            is_inside = kind == _STYLES
        elif kind == _STYLE and is_inside and len(body) >= 4:
            found.append(struct.unpack_from("<H", body, 2)[0])
    codes = {place: formats[number] for place, number in enumerate(found) if number in formats}
    foreign = {place for place, code in codes.items() if _OF_A_DATE.match(code) and shown(_SOME_DAY, code) is None}
    return codes, frozenset(foreign | {place for place, number in enumerate(found) if number in _DATES})


def records(package: Package, member: str, *, whole: bool = False) -> Iterator[tuple[int, bytes]]:
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


def string(body: bytes, place: int) -> tuple[str, int]:
    """Return a text and where it ends; ``""`` for none."""
    if place + 4 > len(body):
        return "", len(body)
    length = struct.unpack_from("<I", body, place)[0]
    if length == 0xFFFFFFFF:
        return "", place + 4
    end = place + 4 + 2 * length
    return body[place + 4 : end].decode("utf-16-le", "replace"), end
