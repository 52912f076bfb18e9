"""No passage that says nothing by itself: a heading, a fence, a rule, the head of a table go with what follows."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from phaseflow.components.protocols import Span

LONGEST: Final = 600
"""Characters of a passage that is looked at: what is longer says something."""
_BARE: Final = re.compile(
    r"[ \t]*+(?:#{1,6}(?:[ \t][^\n]*+)?"  # a heading
    r"|(?:```|~~~)[^\n`]*+"  # a fence
    r"|[-*_=+~#./\\|:^ \t]*+"  # a rule, the line under a heading or the head of a table
    r"|<!--[^\n]*-->|</?[A-Za-z][^\n<>]*>)[ \t]*+"  # a comment, a lone tag
)
_HEADING: Final = re.compile(r"[ \t]{0,3}#{1,6}[ \t][^\n]*")
_BREAKS: Final = ("\n\n", "\n", ". ", " ")


def in_company(text: str, spans: Sequence[Span], size: int, *, markdown: bool) -> list[Span]:
    """Spans of at most ``size`` characters that hold the same, none of them bare if anything is there beside it."""
    found: list[Span] = []
    waiting: int | None = None
    for span in spans:
        start, end = (span.start if waiting is None else waiting), span.end
        if _is_bare(text[span.start : end], markdown=markdown) and end - start < size:
            waiting = start
            continue
        waiting = _last_heading(text, start, end) if markdown and span is not spans[-1] else None
        pieces = list(_cut(text, start, end if waiting is None else _before_blank(text, start, waiting), size))
        if span is not spans[-1] and len(pieces) > 1 and _is_bare(text[slice(*pieces[-1])], markdown=markdown):
            waiting = pieces.pop().start
        found.extend(pieces)
    if waiting is not None:
        _append_rest(text, found, Span(waiting, spans[-1].end), size)
    return list(_apart(found))


def _apart(spans: Sequence[Span]) -> Iterator[Span]:
    """In order, without those that stand in another as a whole: where passages overlap, the last piece of one that was
    too long with its company may stand in the next one."""
    last: Span | None = None
    for span in sorted(spans):
        if last is None or span.end > last.end:
            if last is not None and span.start > last.start:
                yield last
            last = span
    if last is not None:
        yield last


def _is_bare(passage: str, *, markdown: bool = True) -> bool:
    """Whether a passage has only headings, fences, rules and heads of tables. Outside Markdown: only rules."""
    if len(passage) > LONGEST:
        return False
    if not markdown:
        return not any(character.isalnum() for character in passage)
    awaits_underline = False
    for line in passage.splitlines():  # most passages say something in their first line or two
        if not line.strip():
            continue
        if awaits_underline and not _underlined(line):
            return False
        awaits_underline = not _BARE.fullmatch(line)
    return not awaits_underline


def _underlined(line: str) -> bool:
    """The line under a heading, or under the head row of a table."""
    return not line.strip("=-|: \t") and ("=" in line or "-" in line)


def _last_heading(text: str, start: int, end: int) -> int | None:
    """Where a heading begins that ends a passage, if something else stands before it."""
    line = text.rfind("\n", start, len(text[start:end].rstrip()) + start) + 1
    if line <= start or not _HEADING.fullmatch(text[line:end].rstrip()):
        return None
    return None if _is_bare(text[start:line]) else line


def _before_blank(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip())


def _cut(text: str, start: int, end: int, size: int) -> Iterator[Span]:
    """A span, in as few as it takes where it is too long for one."""
    while end - start > size:
        # Not before the middle, nor so early that the rest would need one more cut than it must.
        at = _break(text, min(max(start + size // 2, end - size), start + size - 1), start + size)
        yield Span(start, _before_blank(text, start, at))
        start = at + len(text[at:end]) - len(text[at:end].lstrip())
    yield Span(start, end)


def _break(text: str, first: int, last: int, after: int | None = None) -> int:
    """The best place for a cut; ``after``: none that leaves only a bare passage from there on."""
    for mark in _BREAKS:
        at = text.rfind(mark, first, last)
        if at > 0 and (after is None or not _is_bare(text[after:at])):
            return at + len(mark.rstrip(" ")) if mark == ". " else at
    return last


def _append_rest(text: str, found: list[Span], rest: Span, size: int) -> None:
    """Nothing follows what waits: it goes with what stands before it."""
    if not found:
        found.append(rest)
        return
    before = found.pop()
    if rest.end - before.start <= size:
        found.append(Span(before.start, rest.end))
        return
    at = _break(text, max(before.start + 1, rest.end - size + 1), before.end, after=before.start)
    first = Span(before.start, _before_blank(text, before.start, at))
    second = at + len(text[at : rest.end]) - len(text[at : rest.end].lstrip())
    if rest.end - second <= size and first.end > first.start and second > before.start:
        found.extend([first, Span(second, rest.end)])
    else:
        found.extend([before, rest])
