"""Streams of compound files (OLE), in which old Office programs keep their documents."""

import struct
from collections.abc import Iterator

_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEADER = 512
_ENTRY = 128
_LAST = 0xFFFFFFFA
"""Numbers of sectors from here on mean something else."""
_SMALL = 64
_IN_HEADER = 109


class EndlessChain(ValueError):
    """The sectors of a stream go round in a circle."""


class OleFile:
    """Reads streams. Raises ValueError for what is damaged; no chain is followed further than the file is long."""

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
        raise EndlessChain("a chain of sectors does not end")

    def _directory(self, first: int) -> Iterator[tuple[str, tuple[int, int]]]:
        held = b"".join(map(self._sector, self._chain(first, self._table, self._most)))
        for begin in range(0, len(held) - _ENTRY + 1, _ENTRY):
            length, kind = struct.unpack_from("<HB", held, begin + 64)
            start, size = struct.unpack_from("<II", held, begin + 116)
            if kind == 5:
                yield _ROOT, (start, size)
            elif kind in (1, 2) and 2 <= length <= 64:
                yield held[begin : begin + length - 2].decode("utf-16-le", "replace").lower(), (start, size)


_ROOT = "\0root"
