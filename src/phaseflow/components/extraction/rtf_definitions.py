"""What the tables before the text of an RTF define: fonts, styles and lists."""

import re

from phaseflow.components.extraction.rtf_lists import Lists
from phaseflow.components.extraction.rtf_words import CHARSETS, LIST_TABLES
from phaseflow.components.extraction.symbol_fonts import is_symbol_font

_HEADING = re.compile(r"\s*heading (\d)\b", re.I)


class Definitions:
    """Takes the words and the texts of the tables, as they come."""

    def __init__(self) -> None:
        self.lists = Lists()
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
