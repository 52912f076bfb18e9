"""Where a table or an index lies in the file, for reading ahead.

From the pages of a b-tree that only lead to others (https://sqlite.org/fileformat.html, 1.6): one of some hundred. A
guess: what stands in the WAL is newer. SQLite itself tells the same by ``dbstat``, which reads all pages, and which it
is mostly built without.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack_from
from typing import Final

_INNER: Final = (0x02, 0x05)
_HEAD_OF_INNER: Final = 12
_DEEPEST: Final = 20
"""Levels, as in SQLite: a file that changes meanwhile could lead in a circle."""


@dataclass(frozen=True, slots=True)
class PageTree:
    """A b-tree, by the number of its first page."""

    file: int
    page_size: int
    root: int

    def pages(self) -> Iterator[list[int]]:
        """The numbers of its pages, some hundred at a time: those that lead to others before these, and the last ones,
        which hold the rows, in the order of the rows. None of the last ones is read for it but the first."""
        yield [self.root]
        yield from self._below(self.root, self._height())

    def _height(self) -> int:
        """Levels below the first page: all last pages are as far from it."""
        number, height = self.root, 0
        while height < _DEEPEST and (children := self._children(number)):
            number, height = children[0], height + 1
        return height

    def _below(self, number: int, height: int) -> Iterator[list[int]]:
        if height and (children := self._children(number)):
            yield children
            if height > 1:
                for child in children:
                    yield from self._below(child, height - 1)

    def _children(self, number: int) -> list[int]:
        """The pages that a page leads to; none where it is one of the last."""
        page = os.pread(self.file, self.page_size, (number - 1) * self.page_size)
        if len(page) < self.page_size or page[0] not in _INNER:
            return []
        count = min(int.from_bytes(page[3:5]), (len(page) - _HEAD_OF_INNER) // 2)
        places = unpack_from(f">{count}H", page, _HEAD_OF_INNER)
        return [*(int.from_bytes(page[at : at + 4]) for at in places), int.from_bytes(page[8:12])]
