"""Chunkers: text in, passages out as exact ranges of that text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from operator import index
from typing import Any, Final

from phaseflow.components.bare_passages import in_company
from phaseflow.components.given_fingerprint import checked_fingerprint
from phaseflow.components.protocols import Chunker, Span, TextSplitter
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.values import kind_of

# Changes with the rules below that decide where a window ends, and with those of ``bare_passages``: they are part of a
# chunker's fingerprint.
_WINDOW_RULES: Final = 4
# The splitter takes minutes for a few thousand line breaks in a row; past this many the run ends a window.
_BLANK_RUN: Final = 64
_LINE_BREAKS: Final = "\r\x85\u2028\u2029"
_BLANK: Final = re.compile(rf"\n\s{{{_BLANK_RUN},}}")
_BLANK_OF_ANY: Final = re.compile(rf"[\n{_LINE_BREAKS}]\s{{{_BLANK_RUN},}}")
_LEADING_BLANK: Final = re.compile(rf"\s*[\n{_LINE_BREAKS}]")
_HEADINGS: Final = ("\n# ", "\n## ", "\n### ")
_PARAGRAPHS: Final = ("\n\n", "\r\n\r\n", "\n")
_SENTENCES: Final = (". ", "。")


class MarkdownChunker:
    """Cuts at headings, blocks, sentences and words, in this order; only ``text/markdown`` has the first two.

    Each span is an exact slice of the text, at most ``chunk_size`` characters long; together they hold all that is
    not white space; neighbours share at most ``chunk_overlap`` characters. Headings, fences, rules and heads of tables
    go with what follows. The time it takes is linear in the length
    of the text, also where the text has no boundary at all. Calls from several threads run side by side.
    Raises DocumentError for a text that is no valid Unicode.
    """

    def __init__(self, chunk_size: int = 1000, chunk_overlap: int = 100) -> None:
        from semantic_text_splitter import MarkdownSplitter
        from semantic_text_splitter import TextSplitter as PlainSplitter

        self.chunk_size = chunk_size
        self.chunk_overlap = chunk_overlap
        self.fingerprint = f"markdown:{chunk_size}:{chunk_overlap}:{cutting_rules()}"
        self._markdown = MarkdownSplitter(chunk_size, overlap=chunk_overlap)
        self._plain = PlainSplitter(chunk_size, overlap=chunk_overlap)

    def spans(self, text: str, media_type: str) -> list[Span]:
        return next(found for found in self.spans_in_steps(text, media_type) if found is not None)

    def spans_in_steps(self, text: str, media_type: str) -> Iterator[list[Span] | None]:
        """Yield None after each step of some milliseconds, so that cutting a large text can rest in between; the spans
        last."""
        markdown = media_type == "text/markdown"
        splitter = self._markdown if markdown else self._plain
        found: list[Span] = []
        try:
            for start, end in windows(text, self.chunk_size, markdown=markdown):
                pieces = splitter.chunk_indices(text[start:end])
                found.extend([Span(start + at, start + at + len(piece)) for at, piece in pieces])
                yield None
        except UnicodeEncodeError as error:
            raise DocumentError(
                f"the text holds half of a surrogate pair at character {start + error.start}; fix its encoding",
                code="decode_error",
            ) from error
        yield in_company(text, found, self.chunk_size, markdown=markdown)


class _SplitterChunker:
    """Takes a splitter of LangChain's shape, ``split_text(str) -> list[str]``, as it is.

    Those that return documents (``page_content``) are taken too: what their metadata say of headings, every passage
    has from the text itself.

    Each piece is found again in the text, after the start of the one before it, so that pieces may overlap. A piece
    whose white space was changed is found by its words; one that is not in the text raises
    DocumentError(code="chunk_not_in_text").
    """

    def __init__(self, splitter: TextSplitter) -> None:
        self._splitter = splitter
        self.fingerprint = _splitter_fingerprint(splitter)

    def spans(self, text: str, media_type: str) -> list[Span]:
        found: list[Span] = []
        pieces: Sequence[Any] = self._splitter.split_text(text)
        for piece in pieces:
            words = piece if isinstance(piece, str) else getattr(piece, "page_content", None)
            if not isinstance(words, str):
                name, kind = type(self._splitter).__qualname__, kind_of(piece)
                raise TypeError(f"{name}.split_text() returned {kind} among its pieces; use one that returns strings")
            if words and not words.isspace():
                found.append(_locate(text, words, found[-1] if found else None, len(found)))
        return found


def as_chunker(candidate: Chunker | TextSplitter) -> Chunker:
    """Take a chunker as it is, and wrap a text splitter. Raises TypeError for anything else."""
    if isinstance(candidate, Chunker):
        checked_fingerprint(candidate, candidate.fingerprint)
        return candidate
    if isinstance(candidate, TextSplitter):
        return _SplitterChunker(candidate)
    raise TypeError(
        f"{type(candidate).__qualname__} is not a chunker: "
        "give it `fingerprint` and `spans(text, media_type)`, or `split_text(text)`"
    )


def spans_in_steps(chunker: Chunker, text: str, media_type: str) -> Iterator[Sequence[Span] | None]:
    """The spans of a text, last; before them None after each step of a chunker that takes steps, such as one whose
    ``spans`` is a generator: others take one.

    Raises what the chunker raises, and TypeError and ValueError, in words, for what are no ranges of the text: stored,
    they would be passages that cannot be read.
    """
    if isinstance(chunker, MarkdownChunker):
        yield from chunker.spans_in_steps(text, media_type)
    elif isinstance(chunker, _SplitterChunker):
        yield chunker.spans(text, media_type)
    else:
        yield from _checked(chunker, text, chunker.spans(text, media_type))


def _checked(chunker: Chunker, text: str, found: Any) -> Iterator[Sequence[Span] | None]:
    name, spans, last = type(chunker).__qualname__, [], 0
    if not isinstance(found, Iterable) or isinstance(found, str | bytes):
        raise TypeError(f"{name}.spans() returned {kind_of(found)}: return a list of (start, end)")
    for each in found:
        try:
            start, end = map(index, each)
        except (TypeError, ValueError):
            raise TypeError(f"{name}.spans() returned {each!r:.100} for a span: give (start, end)") from None
        if not last <= start < end <= len(text):
            raise ValueError(
                f"{name}.spans() returned ({start}, {end}) for a text of"
                f" {counted(len(text), 'character')}: give ranges inside the text that are not empty, by their start"
            )
        spans.append(Span(start, end))
        last = start
        if isinstance(found, Iterator):  # its work is done here, and may rest
            yield None
    yield spans


def windows(text: str, chunk_size: int, *, markdown: bool) -> Iterator[Span]:
    """Yield ranges, in order and apart, that hold all of the text but white space between them.

    The splitter looks at all that is left for each passage, so its time grows with the square of what it is given.
    A window is 64 passages long at most (8,000 characters at least), ends at the best boundary in its second half,
    and is the shorter the fewer boundaries there are.
    """
    blank = _BLANK_OF_ANY if any(mark in text for mark in _LINE_BREAKS) else _BLANK
    marks = _HEADINGS + _PARAGRAPHS if markdown else _PARAGRAPHS
    start = 0 if not text.isspace() else len(text)
    while start < len(text):
        if leading := _LEADING_BLANK.match(text, start):
            start = leading.end()
        end = _window_end(text, start, chunk_size, blank, marks)
        if end > start:
            yield Span(start, end)
        start = end


def _window_end(text: str, start: int, chunk_size: int, blank: re.Pattern[str], marks: Sequence[str]) -> int:
    size = max(64 * chunk_size, 8_000)
    limit = min(start + size, len(text))
    run = blank.search(text, start, limit)
    end = run.start() if run else limit
    longest_line = max(16 * chunk_size, 1_000)
    line = _long_line(text, start, end, longest_line)
    if line == start:
        return _inside_line(text, start, longest_line, max(4 * chunk_size, 250))
    if line is not None:
        return line
    if run or end == len(text):
        return end
    return _last_of(marks, text, start + size // 2, end) or end


def _long_line(text: str, start: int, end: int, longest: int) -> int | None:
    """Where the first line longer than ``longest`` begins, or None. Looks at one newline per ``longest`` characters."""
    while start + longest < end:
        newline = text.rfind("\n", start, start + longest)
        if newline < 0:
            return start
        start = newline + 1
    return None


def _inside_line(text: str, start: int, longest: int, shortest: int) -> int:
    """Where a window inside a long line ends: at a sentence, else at white space, else after ``shortest``."""
    half = start + longest // 2
    if sentence := _last_of(_SENTENCES, text, half, start + longest):
        return sentence
    words = text[half : start + longest].rsplit(None, 1)
    if len(words) == 2:
        return half + len(words[0])
    return start + shortest


def _last_of(marks: Sequence[str], text: str, start: int, end: int) -> int | None:
    """Just after the first character of the last mark in the range, for the first mark that is there."""
    for mark in marks:
        at = text.rfind(mark, start, end)
        if at >= 0:
            return at + 1
    return None


def _locate(text: str, piece: str, previous: Span | None, number: int) -> Span:
    if previous and (follower := _adjoining(text, piece, previous.end)):
        return follower
    after = previous.start + 1 if previous else 0
    at = text.find(piece, after)
    if at >= 0:
        return Span(at, at + len(piece))
    loose = re.compile(r"\s+".join(map(re.escape, piece.split()))).search(text, after)
    if loose:
        return Span(*loose.span())
    raise DocumentError(
        f"piece {number + 1} of the splitter is not in the text; use a splitter that keeps the text as it is",
        code="chunk_not_in_text",
    )


def _adjoining(text: str, piece: str, end: int) -> Span | None:
    """The piece right after its predecessor. Without this, repeated text would be found too early."""
    if text.startswith(piece, end):
        return Span(end, end + len(piece))
    gap = re.compile(r"\s*").match(text, end)
    at = gap.end() if gap else end
    return Span(at, at + len(piece)) if text.startswith(piece, at) else None


@cache
def cutting_rules() -> str:
    """What decides where ``MarkdownChunker`` cuts, beside its sizes: its rules, and the release of the splitter. Patch
    releases are taken to keep their boundaries."""
    major, minor = version("semantic-text-splitter").split(".")[:2]
    return f"windows{_WINDOW_RULES}:sts{major}.{minor}"


def _splitter_fingerprint(splitter: Any) -> str:
    given = getattr(splitter, "fingerprint", None)
    if isinstance(given, str):
        return checked_fingerprint(splitter, given)
    kind = type(splitter)
    sizes = [getattr(splitter, name, None) for name in ("_chunk_size", "_chunk_overlap")]
    return ":".join([f"{kind.__module__}.{kind.__qualname__}", *(str(size) for size in sizes if size is not None)])
