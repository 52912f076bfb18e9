"""Lines that were found on a page, as a reader reads them: columns one after the other, and rows of tables together."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

_LEAST_LINES = 5
_LEAST_WIDTH = 0.22
"""Of the page: lines of prose in columns are at least so long, cells of a table mostly are not."""
_LEAST_GAP = 0.01


class Box(NamedTuple):
    """A line of text and where it stands, in pixels from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float
    text: str


def as_text(boxes: Sequence[Box], width: float) -> str:
    """The text: a line a row, a blank line where there is room for one."""
    blocks: list[str] = []
    for block in _blocks(list(boxes), width):
        blocks.append(_rows(block))
    return "\n\n".join(filter(None, blocks))


def _blocks(boxes: list[Box], width: float) -> list[list[Box]]:
    """Parts of the page in the order of reading. What goes across columns (a title) stands between them."""
    sides = columns(boxes, width)
    if sides is None:
        return [boxes]
    start, edge = sides
    across = sorted((box for box in boxes if box.left < edge and box.right > start), key=lambda box: box.top)
    found: list[list[Box]] = []
    above = float("-inf")
    # Between two lines that go across, the left column is read to its end, then the right one; and each of them in the
    # same way, since three columns are two, one of which is two.
    for ruler in [*across, None]:
        until = float("inf") if ruler is None else ruler.top
        middle = [box for box in boxes if box not in across and above <= _centre(box) < until]
        left = [box for box in middle if box.left + box.right < start + edge]
        right = [box for box in middle if box.left + box.right >= start + edge]
        found += [*_blocks(left, width), *_blocks(right, width)] if left and right else [left or right]
        if ruler is not None:
            found.append([ruler])
            above = ruler.top
    return [block for block in found if block]


def columns(boxes: list[Box], width: float) -> tuple[float, float] | None:
    """Where the second of two columns of prose begins and the first mostly ends, if there are such."""
    # Every right edge is tried as the end of the first column, and the widest gap behind one wins. A sum of free width
    # over the page is quicker, but one long line across is enough to close the gap for it.
    best: tuple[float, float] | None = None
    lefts, rights = sorted(box.left for box in boxes), sorted(box.right for box in boxes)
    for edge in dict.fromkeys(box.right for box in boxes):
        first = bisect_left(lefts, edge + _LEAST_GAP * width)
        on_left, on_right = bisect_right(rights, edge), len(boxes) - first
        crossing = len(boxes) - on_left - on_right
        if min(on_left, on_right) < _LEAST_LINES or crossing > 0.2 * len(boxes):
            continue
        start = lefts[first]
        is_wider = best is None or start - edge > best[0] - best[1]
        if is_wider and _are_prose(boxes, start, edge, _LEAST_WIDTH * width):
            best = start, edge
    return best


def _are_prose(boxes: list[Box], start: float, edge: float, least: float) -> bool:
    left = [box.right - box.left for box in boxes if box.right <= edge]
    right = [box.right - box.left for box in boxes if box.left >= start]
    return min(median(left), median(right)) >= least


def _rows(boxes: list[Box]) -> str:
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=_centre):
        last = rows[-1] if rows else None
        if last is not None and _centre(box) < median(each.bottom for each in last) - 0.25 * _height(last):
            last.append(box)
        else:
            rows.append([box])
    text, usual = "", median(_height(row) for row in rows) if rows else 0
    for row, before in zip(rows, [None, *rows], strict=False):
        if before is not None:
            gap = min(box.top for box in row) - max(box.bottom for box in before)
            text += "\n\n" if gap > 0.9 * usual else "\n"
        text += " ".join(box.text.strip() for box in sorted(row))
    return text


def _centre(box: Box) -> float:
    return (box.top + box.bottom) / 2


def _height(row: list[Box]) -> float:
    return median(box.bottom - box.top for box in row)
