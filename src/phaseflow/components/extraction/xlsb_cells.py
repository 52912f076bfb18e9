"""The cells of a binary Excel workbook (``xlsb``), for those that the library cannot open: with sheets that hold a
chart alone, a main part of another name, or as programs wrote them before the format was settled."""

import struct
from collections.abc import Mapping

from phaseflow.components.extraction.cell_values import plain
from phaseflow.components.extraction.number_format import shown
from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.workbook import Place, Reach
from phaseflow.components.extraction.xls import ERRORS, unpacked
from phaseflow.components.extraction.xlsb import BinaryWorkbook, records, string

_ROW, _RK, _REALS, _TEXTS, _SHARED = 0, 2, (5, 9), (6, 8), 7
_ERRORS, _TRUTHS = (3, 11), (4, 10)
_STYLE = 0xFFFFFF
_ITEM, _END_OF_SHEET, _END_OF_STRINGS = 19, 130, 160


class Cells:
    """What the cells of the sheets hold, without the library. Raises DocumentError ``malformed`` where a part is
    missing or cut off: nothing is left out in silence."""

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
        for last, body in records(package, member, whole=True):
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
            return string(body, 8)[0]
        if kind == _SHARED:
            number: int = struct.unpack_from("<I", body, 8)[0]
            return self._strings[number]
        if kind in _ERRORS:
            error: str = ERRORS.get(body[8], "")
            return error
        if kind in _TRUTHS:
            return "TRUE" if body[8] else "FALSE"
        return None

    def _number(self, body: bytes, value: float) -> str:
        if struct.unpack_from("<I", body, 4)[0] & _STYLE in self._book.dates:
            moment = shown(value, "yyyy-mm-dd hh:mm:ss", is_1904=self._book.is_1904) or plain(value)
            return moment.removesuffix(" 00:00:00")
        return plain(value)


def _strings(package: Package, member: str | None) -> list[str]:
    if member is None:
        return []
    found, last = [], -1
    for last, body in records(package, member, whole=True):
        if last == _ITEM:
            found.append(string(body, 1)[0])
    if last != _END_OF_STRINGS:
        raise package.malformed(f"{member} has no end")
    return found
