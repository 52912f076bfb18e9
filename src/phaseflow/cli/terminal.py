"""The one way out: all that a command shows goes through here, and what is of others cannot steer the terminal."""

import io
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from phaseflow.cli.next_command import as_typed
from phaseflow.cli.plain_text import one_line, printable, safe_json
from phaseflow.cli.streams import Output

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

_WIDE = 160
"""Columns where no terminal says how wide it is: enough for a line to stay one line."""


def say(line: str = "") -> None:
    """Show one line to a person, on stderr."""
    sys.stderr.write(one_line(line) + "\n")


def say_lines(lines: Iterable[str]) -> None:
    """Show lines to a person."""
    for line in lines:
        say(line)


def answer(value: "BaseModel", *, must: bool = True) -> bool:
    """Print a value for a program: one line of JSON on stdout. False when it was left out, as ``must`` False allows."""
    return answer_text(as_typed(value).model_dump_json(), must=must)


def answer_text(document: str, *, must: bool = True) -> bool:
    """The same for a document that is encoded already."""
    line = safe_json(document) + "\n"
    if isinstance(sys.stdout, Output):
        return sys.stdout.put(line, must=must)
    sys.stdout.write(line)
    sys.stdout.flush()
    return True


def pour(text: str) -> None:
    """Print text of a document on stdout: as it is, or where that is a terminal without what steers it."""
    shown = printable(text) if sys.stdout.isatty() else text
    if isinstance(sys.stdout, Output):
        sys.stdout.put(shown, must=True)
        return
    sys.stdout.write(shown)
    sys.stdout.flush()


def draw(picture: "RenderableType") -> None:
    """Draw on stderr, in colour where that is a terminal."""
    console().print(Safe(picture))


def console() -> "Console":
    """Draws on stderr. Text is no markup; wrap what is drawn in ``Safe``."""
    from rich.console import Console

    width = None if sys.stderr.isatty() else _WIDE
    return Console(file=cast("IO[str]", _Styled()), width=width, markup=False, emoji=False, highlight=False)


class Safe:
    """A picture whose text is escaped after it was laid out: what is left of controls is ours."""

    def __init__(self, picture: "RenderableType") -> None:
        self._picture = picture

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment

        for segment in console.render(self._picture, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def write_log(text: str) -> None:
    """Write a line of the log, which may hold colours; its values were escaped by whoever made it."""
    _write_styled(text)


class _Styled(io.TextIOBase):
    """stderr as it is when it is written to, for text with colours."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute in typeshed
        return "utf-8"

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        return _write_styled(text, under=True)

    def flush(self) -> None:
        sys.stderr.flush()


def _write_styled(text: str, *, under: bool = False) -> int:
    stream: Any = sys.stderr
    if under and isinstance(stream, Above):
        stream = stream.below
    write = getattr(stream, "write_styled", stream.write)
    return int(write(text) or 0)


class Above(io.TextIOBase):
    """stderr while something is drawn at the bottom of the terminal: lines go above it."""

    def __init__(self, console: "Console") -> None:
        self.below: Any = sys.stderr
        self._console = console
        self._rest = ""

    def __enter__(self) -> Self:
        sys.stderr = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stderr = self.below
        if self._rest:
            self.below.write(self._rest)

    def isatty(self) -> bool:
        return bool(self.below.isatty())

    def fileno(self) -> int:
        return int(self.below.fileno())

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        self.write_styled(printable(text))
        return len(text)

    def write_styled(self, text: str) -> int:
        from rich.text import Text

        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)
