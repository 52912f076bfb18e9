"""The text of PDF pages from pdfium itself: its wrapper keeps account of every page and text, which takes time."""

from collections.abc import Callable, Iterator
from ctypes import byref, c_double, c_ushort
from typing import Any

_END = 2
"""Bytes of the NUL at the end."""
_USUAL = 20_000
"""Characters of a page."""

Rectangle = tuple[float, float, float, float]
"""Left, bottom, right and top, in points from the lower left corner."""


class TextReader:
    """Reads the texts of one document after the other into the same memory."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._memory = bytearray()
        self._room: Any = None
        self._sides = (c_double * 4)()
        # In the order in which the library asks for them: left, top, right, bottom.
        self._places = [byref(c_double.from_buffer(self._sides, 8 * place)) for place in range(4)]
        self._take(2 * _USUAL)

    def page_text(self, text_page: Any) -> str:
        """Return the text in the order in which it is drawn, line by line."""
        raw, index = self.raw, self.raw.FPDFText_GetTextIndexFromCharIndex
        first, last = 0, raw.FPDFText_CountChars(text_page) - 1
        start = end = -1
        # The library reads beyond its own when a character at an end is none of the text's.
        while first <= last and (start := index(text_page, first)) < 0:
            first += 1
        while first <= last and (end := index(text_page, last)) < 0:
            last -= 1
        if first > last:
            return ""
        self._take(2 * (end - start + 2))
        written = raw.FPDFText_GetText(text_page, first, last - first + 1, self._room)
        return self._decoded(2 * (written - 1))

    def bounded_text(self, text_page: Any, box: Rectangle) -> str:
        """Return the text within a rectangle."""
        count = self.raw.FPDFText_GetBoundedText(text_page, *box, None, 0)
        if count <= 0:
            return ""
        self._take(2 * count)
        self.raw.FPDFText_GetBoundedText(text_page, *box, self._room, count)
        return self._decoded(2 * count)

    def rectangles(self, text_page: Any, count: int) -> Iterator[Rectangle]:
        """Yield the first pieces of lines that the library counted last."""
        get, sides, places = self.raw.FPDFText_GetRect, self._sides, self._places
        for place in range(count):
            if get(text_page, place, *places):
                left, top, right, bottom = sides
                yield left, bottom, right, top

    def label(self, document: Any, number: int) -> str:
        """Return how viewers number a page: iv, A-3; ``""`` where the document does not say."""
        return self.string(lambda held, size: self.raw.FPDF_GetPageLabel(document, number, held, size))

    def string(self, read: Callable[[Any, int], int], most: int = _USUAL) -> str:
        """Return a string of at most so many bytes, whose size ``read`` says first and which it writes then; ``""`` for
        a longer one."""
        size = read(None, 0)
        if not _END < size <= most:
            return ""
        self._take(size)
        read(self._room, size)
        return self._decoded(size - _END)

    def _take(self, size: int) -> None:
        if size > len(self._memory):
            self._memory = bytearray(size + size % 2)
            self._room = (c_ushort * (len(self._memory) // 2)).from_buffer(self._memory)

    def _decoded(self, size: int) -> str:
        return str(memoryview(self._memory)[: max(size, 0)], "utf-16-le", "ignore")
