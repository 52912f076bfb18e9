"""The styles of an OpenDocument text: what is a title, what is hidden, and how lists and headings are numbered."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phaseflow.components.extraction.markdown_writer import BULLET
from phaseflow.components.extraction.ordinals import HTML, repeated_letters

_TITLE = "Title"
_LEVEL = "list-level-style-"
_OUTLINE = "outline-style"
_LEVELS = tuple(f"{_LEVEL}{kind}" for kind in ("number", "bullet", "image"))
STYLES = frozenset(("list-style", "style", "text-properties", _OUTLINE, "outline-level-style", *_LEVELS))
"""Elements of which styles are told."""
_POSITION = re.compile(r"(super|sub|-?\d+)")
_PLACE = re.compile("%(\\d{1,2})%")


@dataclass(frozen=True, slots=True)
class _ListLevel:
    """How the items of one level of a list are numbered."""

    form: str = ""
    prefix: str = ""
    suffix: str = ""
    start: int = 1
    shown_levels: int = 1
    repeats_letters: bool = False
    pattern: str = ""
    """Where the numbers of which level stand, as LibreOffice writes it: it goes before prefix and suffix."""

    def number(self, count: int) -> str:
        if self.form in ("a", "A") and self.repeats_letters:
            letters = repeated_letters(count)
            return letters.upper() if self.form == "A" else letters
        form = HTML.get(self.form)
        return form(count) if form else ""


class Styles:
    """Takes the events of styles."""

    def __init__(self) -> None:
        self.titles = {_TITLE}
        self.hidden: set[str] = set()
        self.positions: dict[str, str] = {}
        """``superscript`` or ``subscript``, by the style of the text."""
        self.levels: dict[tuple[str, int], _ListLevel | None] = {}
        """How lists are numbered, by style and level, from 1; None for bullets. Headings have the style ``""``."""
        self._style = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("list-style", "style"):
            self._style, parent = attributes.get("name", ""), attributes.get("parent-style-name", "")
            if parent == _TITLE:
                self.titles.add(self._style)
            if parent in self.hidden:
                self.hidden.add(self._style)
            if parent in self.positions:
                self.positions[self._style] = self.positions[parent]
        elif name == _OUTLINE:
            self._style = ""
        elif name == "text-properties":
            self._set_text(attributes)
        elif name in (f"{_LEVEL}number", "outline-level-style"):
            self.levels[self._style, number_of(attributes.get("level"), 1)] = _level(attributes)
        elif name in (f"{_LEVEL}bullet", f"{_LEVEL}image"):
            self.levels[self._style, number_of(attributes.get("level"), 1)] = None

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...

    def _set_text(self, attributes: Mapping[str, str]) -> None:
        if attributes.get("display") == "none":
            self.hidden.add(self._style)
        if found := _POSITION.match(attributes.get("text-position", "")):
            shift = found[1]
            is_up = shift == "super" or (shift[-1].isdigit() and int(shift[:4]) > 0)
            is_down = shift == "sub" or shift.startswith("-")
            self.positions[self._style] = "superscript" if is_up else "subscript" if is_down else ""

    def mark(self, style: str, counts: Sequence[int]) -> str:
        """Return what stands before the item with these numbers, one a level, with the space between."""
        level = self.levels.get((style, len(counts)))
        if level is None:
            return BULLET
        shown = [
            (each or level).number(count)
            for depth, count in enumerate(counts, 1)
            if (each := self.levels.get((style, depth))) is not None or depth == len(counts)
        ]
        if level.pattern:
            text = _PLACE.sub(lambda found: self._at(style, counts, int(found[1])), level.pattern)
        elif not level.form:
            text = level.prefix + level.suffix
        else:
            text = f"{level.prefix}{'.'.join(filter(None, shown[-level.shown_levels :]))}{level.suffix}"
        return f"{text} " if text.strip() else ""

    def _at(self, style: str, counts: Sequence[int], depth: int) -> str:
        level = self.levels.get((style, depth))
        return level.number(counts[depth - 1]) if level and 0 < depth <= len(counts) else ""

    def first(self, style: str, depth: int) -> int:
        """Return the number of the first item of a list at a depth from 1."""
        level = self.levels.get((style, depth))
        return level.start if level else 1


def _level(attributes: Mapping[str, str]) -> _ListLevel:
    return _ListLevel(
        form=attributes.get("num-format", ""),
        prefix=attributes.get("num-prefix", ""),
        suffix=attributes.get("num-suffix", ""),
        start=number_of(attributes.get("start-value"), 1),
        shown_levels=max(number_of(attributes.get("display-levels"), 1), 1),
        repeats_letters=attributes.get("num-letter-sync") == "true",
        pattern=attributes.get("num-list-format", ""),
    )


def number_of(value: str | None, otherwise: int) -> int:
    """Return a number of at most five digits."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 6 else otherwise
