"""What stands above a passage: the title of its document, the headings it is under, the head row of its table; above
the first one also what the document says of itself: its description and its tags.

A passage is searched together with it, by words and by vector; the text of the passage stays the exact slice.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

RULES: Final = 2
"""Grows when ``contexts`` gives another context for some passage: documents are then cut again by the next job."""
LONGEST_LINE: Final = 200
"""Characters of a title, a heading or a head row; what is longer is left out."""
LONGEST: Final = 400
"""Characters of all of them; the nearest headings come first."""
_ABOUT: Final = ("description", "summary", "abstract", "tags", "keywords", "categories")
"""Metadata found in a document that says what it is about."""
_LONGEST_ABOUT: Final = 400
"""Characters of each; the rest is left out."""
# Of a text with a line break before it: a pattern that begins with one goes from line to line, one with ^ from
# character to character, which takes three times as long.
_STRUCTURE: Final = re.compile(r"\n {0,3}(?:(#{1,6})[ \t]+([^\n]{1,200})(?=\n|\Z)|(```|~~~))")
# Nearly every line ends this one at its first letter; to look for its bar first would read all of it.
_DELIMITER: Final = re.compile(r"\n[:\- \t]*+\|[|:\- \t]*+(?=\n|\Z)")
_ROWS: Final = re.compile(r"(?:\n[ \t]*\|[^\n]*)*")


def contexts(
    text: str,
    media_type: str,
    title: str,
    uri: str,
    spans: Sequence[tuple[int, int]],
    metadata: Mapping[str, object] | None = None,
) -> list[str]:
    """The context of each passage, lines of which the first are the most general; '' where there is none.

    The title counts unless it is only the name of the file: a renamed document is the same document. Takes time linear
    in the text.
    """
    is_markdown = media_type == "text/markdown"
    headings = _headings(text) if is_markdown else []
    tables = _tables(text) if is_markdown and "|" in text else []
    head = title.strip() if not _is_name(title, uri) and len(title) <= LONGEST_LINE else ""
    found: list[str] = []
    path: list[tuple[int, str]] = []
    at = 0
    # Passages and headings are both in order, so one walk does for all: a look back from each passage would take the
    # square of a long text.
    for start, end in spans:
        while at < len(headings) and headings[at][0] < start:
            _, level, heading = headings[at]
            path = [*(each for each in path if each[0] < level), (level, heading)]
            at += 1
        lines = [heading for _, heading in path]
        # Not where the passage begins with it: indexed twice, it would count twice.
        if head and head not in lines and head not in text[start : min(end, start + 2 * LONGEST_LINE)]:
            lines.insert(0, head)
        about = () if found else _about(metadata or {})
        found.append("\n".join([*_fitting(lines), *about, *_head_row(text, tables, start)]))
    return found


def _about(metadata: Mapping[str, object]) -> Iterator[str]:
    for name in _ABOUT:
        value = metadata.get(name)
        said = ", ".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""
        if line := " ".join(said[: 2 * _LONGEST_ABOUT].split())[:_LONGEST_ABOUT].strip():
            yield line


def _is_name(title: str, uri: str) -> bool:
    name = PurePosixPath(uri).name
    return title.strip() in {"", uri, name, PurePosixPath(name).stem}


def _headings(text: str) -> list[tuple[int, int, str]]:
    """(offset, level, heading) of a Markdown text, but for those inside fences."""
    found: list[tuple[int, int, str]] = []
    fence = None
    for line in _STRUCTURE.finditer(f"\n{text}"):
        if line[3]:
            fence = line[3] if fence is None else None if fence == line[3] else fence
        elif fence is None and (heading := line[2].strip(" \t#")):
            found.append((line.start(), len(line[1]), heading))
    return found


def _tables(text: str) -> list[tuple[int, int, str]]:
    """(offset behind the head, end, head row) of each table."""
    found: list[tuple[int, int, str]] = []
    for line in _DELIMITER.finditer(f"\n{text}"):
        if "-" not in line[0] or (found and line.start() < found[-1][1]):
            continue
        earliest = max(0, line.start() - LONGEST_LINE)
        begin = text.rfind("\n", earliest, max(0, line.start() - 1)) + 1
        row = text[begin : line.start()].strip() if begin or not earliest else ""  # a longer one is left out
        rows = _ROWS.match(text, line.end() - 1)
        if "|" in row and rows:
            found.append((line.start(), rows.end(), row))
    return found


def _head_row(text: str, tables: Sequence[tuple[int, int, str]], start: int) -> list[str]:
    place = bisect_right(tables, start, key=lambda table: table[0]) - 1
    if place < 0 or start >= tables[place][1] or start == tables[place][0]:
        return []
    return [tables[place][2]] if text.startswith("|", start) or start > tables[place][0] else []


def _fitting(lines: Sequence[str]) -> list[str]:
    room, kept = LONGEST, list[str]()
    for line in reversed(lines):
        room -= len(line)
        if room < 0:
            break
        kept.insert(0, line)
    return kept
