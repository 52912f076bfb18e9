"""What the tables before the text of an RTF define: fonts, styles and lists."""

import re
from dataclasses import dataclass, field

from phaseflow.components.extraction.markdown_writer import BULLET
from phaseflow.components.extraction.ordinals import WORD
from phaseflow.components.extraction.rtf_words import CHARSETS, LIST_TABLES
from phaseflow.components.extraction.symbol_fonts import is_symbol_font

_HEADING = re.compile(r"\s*heading (\d)\b", re.I)
_FORMS = {
    0: "decimal", 1: "upperRoman", 2: "lowerRoman", 3: "upperLetter", 4: "lowerLetter", 5: "ordinal",
    6: "cardinalText", 7: "ordinalText", 22: "decimalZero", 255: "none",
}  # fmt: skip
_BULLET = 23
_LEVELS = 9
_LARGEST = 1_000_000
_MOST = 100_000
_LONGEST = 40
"""Characters before an item."""


class Definitions:
    """Takes the words and the texts of the tables, as they come."""

    def __init__(self) -> None:
        self.lists = _Lists()
        self.levels: dict[int, int] = {}
        """Of the styles of headings, by number."""
        self._charsets: dict[int, str] = {}
        self._symbols: dict[int, str] = {}
        self._number = 0

    def font(self, number: int) -> tuple[str, str]:
        """The encoding of a font, and its name where its letters are signs; empty where there is nothing to say."""
        return self._charsets.get(number, ""), self._symbols.get(number, "")

    def define(self, table: bytes, word: bytes, number: int, said: str) -> bool:
        """A word in a table, behind what was said since the last font or style began. True where the next one
        begins."""
        if table in LIST_TABLES:
            self.lists.define(word, number)
        elif word == (b"f" if table == b"fonttbl" else b"s"):
            if table == b"fonttbl":
                self._name_font(said)
            self._number = number
            return True
        elif word == b"fcharset" and number in CHARSETS:
            self._charsets[self._number] = CHARSETS[number]
        elif word == b"outlinelevel" and table == b"stylesheet" and 0 <= number < 9:
            self.levels.setdefault(self._number, number + 1)
        return False

    def end(self, destination: bytes, said: str) -> None:
        """A group ends that holds a table, or the text of a level of a list."""
        if destination == b"stylesheet" and (heading := _HEADING.match(said)):
            self.levels[self._number] = int(heading[1])
        elif destination == b"fonttbl":
            self._name_font(said)
        elif destination == b"leveltext":
            self.lists.define_text(said)

    def _name_font(self, said: str) -> None:
        name = said.partition(";")[0].strip()
        if is_symbol_font(name):
            self._symbols[self._number] = name


@dataclass(slots=True)
class _Level:
    form: int = 0
    start: int = 1
    text: str = ""
    """What is shown; a character below 9 stands for the number of the level that it counts from 0."""


@dataclass(slots=True)
class _List:
    levels: list[_Level] = field(default_factory=list)
    counts: list[int | None] = field(default_factory=lambda: [None] * _LEVELS)


class _Lists:
    """Takes the words of both tables, and counts."""

    def __init__(self) -> None:
        self._list = _List()
        self._by_id: dict[int, _List] = {}
        self._by_number: dict[int, _List] = {}
        self._overridden = _List()
        self._is_changed = False

    def define(self, word: bytes, number: int) -> None:
        """Take a word of the table of lists, or of that of the lists as the paragraphs name them."""
        if word == b"list":
            self._list = _List()
        elif word == b"listlevel" and len(self._list.levels) < _LEVELS:
            self._list.levels.append(_Level())
        elif word in (b"levelnfc", b"levelnfcn") and self._list.levels:
            self._list.levels[-1].form = number
        elif word == b"levelstartat" and self._list.levels:
            self._list.levels[-1].start = min(max(number, 0), _LARGEST)
        elif word == b"listid":
            # It ends a list, and begins a line of the other table.
            if self._list.levels and len(self._by_id) < _MOST:
                self._by_id[number] = self._list
            self._overridden, self._list = self._by_id.get(number, _List()), _List()
        elif word == b"listoverridecount":
            self._is_changed = number > 0
        elif word == b"ls" and not self._is_changed and len(self._by_number) < _MOST:
            self._by_number[number] = self._overridden

    def define_text(self, said: str) -> None:
        """Take what a level shows, of which the first character says the length."""
        if said and self._list.levels:
            self._list.levels[-1].text = said[1 : 1 + min(ord(said[0]), _LONGEST)]

    def mark(self, number: int, place: int) -> str | None:
        """Count an item; return what stands before it; ``""`` where that is not known, None where it is no item."""
        found = self._by_number.get(number)
        if found is None or not 0 <= place < len(found.levels):
            return None
        level = found.levels[place]
        count = found.counts[place]
        found.counts[place] = level.start if count is None else min(count + 1, _LARGEST)
        found.counts[place + 1 :] = [None] * (_LEVELS - place - 1)
        if level.form == _BULLET:
            return BULLET
        shown = [self._shown(found, ord(sign)) if ord(sign) < _LEVELS else sign for sign in level.text]
        return "" if None in shown else "".join(filter(None, shown))

    @staticmethod
    def _shown(found: _List, place: int) -> str | None:
        if place >= len(found.levels):
            return None
        level, count = found.levels[place], found.counts[place]
        form = WORD.get(_FORMS.get(level.form, ""))
        return form(level.start if count is None else count) if form else None
