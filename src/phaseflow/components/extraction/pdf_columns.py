"""Columns of a PDF page that are drawn line by line, across the gap: they are read one after the other."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from phaseflow.components.extraction.pdf_text import Rectangle, TextReader
from phaseflow.components.extraction.reading_order import Box, as_text, columns

_FEWEST_LINES = 12
_MOST_LINES = 2000
"""Pieces of lines on a page: more is a drawing."""
_FULL = 0.75
"""Lines of prose fill their column: half of them to this share at least. Cells of tables do not."""
_DRAWN_ACROSS = 0.5
"""Of the lines in columns, those that follow one of the other column: in pages drawn column by column it is a few."""
_PIECES = 1.5
"""Pieces of a line, on average: pages of one column have about one."""
_LOOKED_AT = (0.25, 0.5, 0.75)
"""Where the page is tried before it is gone through, which takes as long as its text: columns take half of it."""
_TRIED_ROWS = 3
_LONG = 0.1
"""Of the width of the page: numbers of lines and words in a margin are no column."""
_FIRST_LINES = 20
_LEAST_JUMPS = 0.3
_ONE_LINE = 0.3
"""Of its height, how far a piece of a line may stand above or below the piece before it."""


def in_columns(page: Any, text_page: Any, text: str, reader: TextReader) -> str | None:
    """Return the text of a page by columns, if it has two columns of prose and is drawn across them; else None.

    ``text`` is as the library has it, which takes what stands side by side for one line.
    """
    raw = reader.raw
    width, height = raw.FPDF_GetPageWidthF(page), raw.FPDF_GetPageHeightF(page)
    if not _may_have_columns(text_page, text, width, reader):
        return None
    count = raw.FPDFText_CountRects(text_page, 0, -1)
    if count < _PIECES * (text.count("\n") + 1):
        return None
    lines = _lines(text_page, count, reader)
    if not _FEWEST_LINES <= len(lines) <= _MOST_LINES or _jumps(lines) < _LEAST_JUMPS * len(lines):
        return None
    boxes = [Box(left, height - top, right, height - bottom, "") for left, bottom, right, top in lines]
    found = columns(boxes, width)
    if found is None or not _are_drawn_across(boxes, *found):
        return None
    texts = (reader.bounded_text(text_page, line) for line in lines)
    return as_text([box._replace(text=text) for box, text in zip(boxes, texts, strict=True)], width)


def _may_have_columns(text_page: Any, text: str, width: float, reader: TextReader) -> bool:
    """Whether lines consist of long pieces that stand apart, somewhere on the page."""
    for share in _LOOKED_AT:
        begin = end = text.find("\n", int(share * len(text))) + 1
        rows = 0
        while rows < _TRIED_ROWS and (following := text.find("\n", end)) >= 0:
            rows, end = rows + 1, following + 1
        count = reader.raw.FPDFText_CountRects(text_page, begin, end - begin) if rows else 0
        if count < _PIECES * rows:
            continue
        lines = _lines(text_page, count, reader)
        if rows and 2 * _jumps(lines, _LONG * width) >= rows:
            return True
    return False


def _lines(text_page: Any, count: int, reader: TextReader) -> list[Rectangle]:
    """Return what stands together on a line, in the order in which it is drawn.

    Nothing if the first of them show that the page is drawn in another way.
    """
    lines: list[Rectangle] = []
    for box in reader.rectangles(text_page, min(count, 4 * _MOST_LINES)):
        if lines and _goes_on(lines[-1], box):
            before = lines[-1]
            lines[-1] = before[0], min(before[1], box[1]), max(before[2], box[2]), max(before[3], box[3])
        else:
            lines.append(box)
        if len(lines) == _FIRST_LINES and _jumps(lines) < _LEAST_JUMPS * _FIRST_LINES:
            return []
    return lines


def _jumps(lines: Sequence[Rectangle], least: float = 0) -> int:
    """How many pieces stand to the right of the piece drawn before, on its line, both of a length of ``least``. Most
    pages have no such, or a few."""
    return sum(
        box[0] > before[2] and box[1] < before[3] and box[3] > before[1]
        and before[2] - before[0] >= least and box[2] - box[0] >= least
        for before, box in pairwise(lines)
    )  # fmt: skip


def _goes_on(before: Sequence[float], box: Sequence[float]) -> bool:
    height = max(before[3] - before[1], box[3] - box[1], 1.0)
    if not -height < box[0] - before[2] < height:
        return False
    return abs((before[1] + before[3]) - (box[1] + box[3])) / 2 < _ONE_LINE * height


def _are_drawn_across(boxes: Sequence[Box], start: float, edge: float) -> bool:
    # A title across both has no side.
    sides = [box.left >= edge for box in boxes if not (box.left < edge and box.right > start)]
    crossings = sum(side != following for side, following in pairwise(sides))
    if crossings < _DRAWN_ACROSS * len(sides):
        return False
    for is_right in (False, True):
        widths = [box.right - box.left for box in boxes if _is_on(box, start, edge, is_right=is_right)]
        if len(widths) < _FEWEST_LINES // 2 or median(widths) < _FULL * max(widths):
            return False
    return True


def _is_on(box: Box, start: float, edge: float, *, is_right: bool) -> bool:
    return box.left >= edge if is_right else box.right <= start
