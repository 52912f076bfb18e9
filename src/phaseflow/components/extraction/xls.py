"""What calamine passes over in an old Excel workbook (BIFF): formats, errors, text boxes, comments, passwords.

Its records are one stream of a compound file (OLE), in which old Office programs keep their documents.
"""

import re
import struct
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction.number_format import BUILTIN, shown

Place = tuple[int, int]
_BOF, _EOF, _FILEPASS, _1904, _SHEET = 0x809, 0x0A, 0x2F, 0x22, 0x85
_FORMAT, _XF, _CONTINUE, _TXO = 0x41E, 0xE0, 0x3C, 0x1B6
_PICTURES, _DIMENSIONS = 0xEB, 0x200
_MOST_ROWS, _MOST_COLUMNS = 65_536, 256
_NUMBER, _RK, _MULRK, _FORMULA, _ERROR = 0x203, 0x27E, 0xBD, 0x06, 0x205
ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
_BIFF8 = 0x600
_NO_NUMBER = b"\xff\xff"
"""The last two bytes of the value of a formula that is a text, a truth value or an error."""
_HEAD, _DOUBLE, _UPPER = struct.Struct("<HH"), struct.Struct("<d"), struct.Struct("<xxxxI")
_NUMBERS = frozenset((_NUMBER, _RK, _MULRK, _FORMULA, _ERROR, _EOF))
_REMARKS = frozenset((_TXO, _CONTINUE, _DIMENSIONS, _EOF))
_OF_BOOK = frozenset((_BOF, _EOF, _FILEPASS, _PICTURES, _1904, _SHEET, _FORMAT, _XF))
_SIZE = re.compile(_HEAD.pack(_DIMENSIONS, 14) + rb"(?=(.{12}))", re.S)
_WORKBOOKS = ("workbook", "book")
_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEADER = 512
_ENTRY = 128
_LAST = 0xFFFFFFFA
"""Numbers of sectors from here on mean something else."""
_SMALL = 64
_IN_HEADER = 109
_ROOT = "\0root"


class FatalWorkbook(ValueError):
    """The library would go round in it for ever, or end the process: it takes the memory of a sheet at once."""


@dataclass(slots=True)
class OldWorkbook:
    """A workbook as far as it is read here. Sheets stand in the order in which they are listed."""

    is_encrypted: bool = False
    is_1904: bool = False
    has_pictures: bool = False
    codes: dict[int, str] = field(default_factory=dict)
    """Formats of cells by the number of their style, where they are not the general one."""
    sheets: list[tuple[str, int]] = field(default_factory=list)
    """Names, and where they begin."""
    data: bytes = b""

    @classmethod
    def read(cls, data: bytes) -> "OldWorkbook":
        """Read the beginning of a workbook. Raises ValueError when it is damaged or none."""
        file = _OleFile(data)
        # Both may be there, in a file for Excel 5 and 97: the newer stream has all, the other one lacks letters.
        name = next((name for name in _WORKBOOKS if name in file), None)
        if name is None:
            raise ValueError("there is no workbook in it")
        book = cls(data=file.stream(name))
        formats: dict[int, str] = dict(BUILTIN)
        styles: list[int] = []
        is_wide = True
        for kind, body in _records(book.data, 0, _OF_BOOK):
            if kind == _XF:
                styles.append(int.from_bytes(body[2:4], "little") if len(body) >= 4 else -1)
            elif kind == _EOF:
                break
            elif kind == _BOF and len(body) >= 2:
                is_wide = struct.unpack_from("<H", body)[0] >= _BIFF8
            elif kind == _FILEPASS:
                book.is_encrypted = True
                break
            elif kind == _PICTURES:
                book.has_pictures = True
            elif kind == _1904:
                book.is_1904 = body[:1] == b"\1"
            elif kind == _SHEET and len(body) > 8:
                book.sheets.append((_string(body[6:], is_wide=is_wide, size=1), struct.unpack_from("<I", body)[0]))
            elif kind == _FORMAT and len(body) > 4:
                formats[struct.unpack_from("<H", body)[0]] = _string(
                    body[2:], is_wide=is_wide, size=2 if is_wide else 1
                )
        book.codes = {place: formats[number] for place, number in enumerate(styles) if number in formats}
        return book

    def cells(self, begin: int) -> Iterator[tuple[Place, str]]:
        """Yield what the numbers of a sheet show, where they have a format, and the errors."""
        data, codes, head = self.data, self.codes, _HEAD.unpack_from
        place, last = begin, len(self.data) - 4
        # One look at each record, and most numbers have no format: to know that takes two bytes of them.
        while place <= last:
            kind, length = head(data, place)
            place += 4
            if kind in _NUMBERS:
                if kind == _EOF:
                    return
                style = data[place + 4 : place + 6]
                if kind == _ERROR or (kind == _FORMULA and data[place + 12 : place + 14] == _NO_NUMBER):
                    if (error := _error(kind, data[place : place + length])) is not None:
                        yield error
                elif kind == _MULRK or int.from_bytes(style, "little") in codes:
                    for row, column, of, value in _numbers(kind, data[place : place + length], codes):
                        text = shown(value, codes[of], is_1904=self.is_1904)
                        if text is not None:
                            yield (row, column), text
            place += length

    def unread(self) -> Mapping[str, tuple[str, ...]]:
        """Return what stands in boxes and comments, by the name of the sheet. Raises FatalWorkbook."""
        # Most workbooks have no boxes, which the bytes show in a fraction of the time that a look at each record takes.
        # What looks like an impossible size may be something else, and is looked at.
        if _TXO.to_bytes(2, "little") not in self.data and all(map(_is_possible, _SIZE.findall(self.data))):
            return {}
        return {name: tuple(filter(str.strip, self._remarks(begin))) for name, begin in self.sheets}

    def _remarks(self, begin: int) -> Iterator[str]:
        """Yield the texts of boxes and comments. Raises FatalWorkbook."""
        length = 0
        for kind, body in _records(self.data, begin, _REMARKS):
            if kind == _EOF:
                return
            if kind == _DIMENSIONS and len(body) >= 12 and not _is_possible(body):
                raise FatalWorkbook("it says that a sheet has more rows or columns than there can be")
            if kind == _TXO and len(body) >= 12:
                length = struct.unpack_from("<H", body, 10)[0]
            elif kind == _CONTINUE and length and body:
                yield body[1 : 1 + length * (1 + (body[0] & 1))].decode(
                    "utf-16-le" if body[0] & 1 else "latin-1", "replace"
                )
                length = 0


def _is_possible(body: bytes) -> bool:
    top, rows, left, columns = map(int, struct.unpack_from("<IIHH", body))
    return top <= rows <= _MOST_ROWS and left <= columns <= _MOST_COLUMNS


def _records(data: bytes, begin: int, kinds: frozenset[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the records of some kinds."""
    place, last = begin, len(data) - 4
    while place <= last:
        kind, length = _HEAD.unpack_from(data, place)
        place += 4
        if kind in kinds:
            yield kind, data[place : place + length]
        place += length


def _string(body: bytes, *, is_wide: bool, size: int) -> str:
    length = int.from_bytes(body[:size], "little")
    if not is_wide:
        return body[size : size + length].decode("cp1252", "replace")
    if body[size : size + 1] and body[size] & 1:
        return body[size + 1 : size + 1 + 2 * length].decode("utf-16-le", "replace")
    return body[size + 1 : size + 1 + length].decode("latin-1")


def _numbers(kind: int, body: bytes, styles: Container[int]) -> Iterator[tuple[int, int, int, float]]:
    """Yield row, column, style and value of the numbers in a record that have one of the styles."""
    if kind == _NUMBER and len(body) >= 14:
        yield struct.unpack_from("<HHHd", body)
    elif kind == _RK and len(body) >= 10:
        row, column, style, packed = struct.unpack_from("<HHHI", body)
        yield row, column, style, unpacked(packed)
    elif kind == _MULRK and len(body) >= 6:
        row, column = struct.unpack_from("<HH", body)
        for place, (style, packed) in enumerate(struct.iter_unpack("<HI", body[4 : 4 + (len(body) - 6) // 6 * 6])):
            if style in styles:
                yield row, column + place, style, unpacked(packed)
    elif kind == _FORMULA and len(body) >= 14:
        yield struct.unpack_from("<HHHd", body)


def _error(kind: int, body: bytes) -> tuple[Place, str] | None:
    """Return the place and the error of a cell that has one; such a record may also have a text or a truth value."""
    if len(body) < (8 if kind == _ERROR else 14):
        return None
    row, column = struct.unpack_from("<HH", body)
    is_error, code = (body[7] == 1, body[6]) if kind == _ERROR else (body[6] == 2, body[8])
    return ((row, column), ERRORS[code]) if is_error and code in ERRORS else None


def unpacked(packed: int) -> float:
    """Return the number that Excel packs into 30 bits: an integer or the upper half of a float, perhaps times 100."""
    if packed & 2:
        signed = packed >> 2
        value = float(signed - (1 << 30) if signed & (1 << 29) else signed)
    else:
        value = _DOUBLE.unpack(_UPPER.pack(packed & 0xFFFFFFFC))[0]
    return value / 100 if packed & 1 else value


class _OleFile:
    """Reads the streams of a compound file. Raises ValueError for what is damaged; no chain is followed further than
    the file is long."""

    def __init__(self, data: bytes) -> None:
        if not data.startswith(_SIGNATURE) or len(data) < _HEADER:
            raise ValueError("it is not a compound file")
        self._data = data
        shift = struct.unpack_from("<H", data, 30)[0]
        if shift not in (9, 12):
            raise ValueError("its sectors have an odd size")
        self._size = 1 << shift
        self._most = len(data) // self._size + 1
        first_directory, self._cutoff, first_small, more = (
            struct.unpack_from("<I", data, 48)[0],
            struct.unpack_from("<I", data, 56)[0],
            struct.unpack_from("<I", data, 60)[0],
            struct.unpack_from("<I", data, 68)[0],
        )
        self._table = self._words(self._table_sectors(more))
        self._small_table = self._words(self._chain(first_small, self._table, self._most))
        self._entries = dict(self._directory(first_directory))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._entries

    def names(self) -> list[str]:
        """Return the names of streams and storages, in small letters."""
        return list(self._entries)

    def stream(self, name: str) -> bytes:
        """Return a stream by its name, wherever it stands."""
        start, length = self._entries[name.lower()]
        if length >= self._cutoff or name == _ROOT:
            sectors = self._chain(start, self._table, self._most)
            return b"".join(map(self._sector, sectors))[:length]
        small = self.stream(_ROOT)
        chain = self._chain(start, self._small_table, len(small) // _SMALL + 1)
        return b"".join(small[place * _SMALL : (place + 1) * _SMALL] for place in chain)[:length]

    def _sector(self, place: int) -> bytes:
        begin = (place + 1) * self._size
        return self._data[begin : begin + self._size]

    def _words(self, sectors: Iterator[int]) -> tuple[int, ...]:
        held = b"".join(map(self._sector, sectors))
        return struct.unpack(f"<{len(held) // 4}I", held[: len(held) // 4 * 4])

    def _table_sectors(self, more: int) -> Iterator[int]:
        """Yield the sectors of the table: the first in the header, then a chain of lists of them."""
        listed = list(struct.unpack_from(f"<{_IN_HEADER}I", self._data, 76))
        for _ in range(self._most):
            yield from (place for place in listed if place < _LAST)
            if more >= _LAST:
                return
            held = self._sector(more)
            words = struct.unpack(f"<{len(held) // 4}I", held[: len(held) // 4 * 4])
            if not words:
                return
            listed, more = list(words[:-1]), words[-1]

    def _chain(self, place: int, table: tuple[int, ...], most: int) -> Iterator[int]:
        for _ in range(most):
            if place >= _LAST:
                return
            yield place
            if place >= len(table):
                raise ValueError("a chain of sectors is broken")
            place = table[place]
        raise FatalWorkbook("a chain of sectors does not end")

    def _directory(self, first: int) -> Iterator[tuple[str, tuple[int, int]]]:
        held = b"".join(map(self._sector, self._chain(first, self._table, self._most)))
        for begin in range(0, len(held) - _ENTRY + 1, _ENTRY):
            length, kind = struct.unpack_from("<HB", held, begin + 64)
            start, size = struct.unpack_from("<II", held, begin + 116)
            if kind == 5:
                yield _ROOT, (start, size)
            elif kind in (1, 2) and 2 <= length <= 64:
                yield held[begin : begin + length - 2].decode("utf-16-le", "replace").lower(), (start, size)
