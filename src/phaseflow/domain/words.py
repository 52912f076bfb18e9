"""The words of a text, as they are indexed and looked for: one pure function for both, so that they agree.

FTS5 splits at what is not a letter, a mark or a digit. What it cannot know is done here before: letters in other forms
(NFKC), invisible characters inside words, and scripts that are written without spaces, which become pairs of
characters. The text that is shown stays as it is.
"""

import itertools
import re
import unicodedata
from typing import Final

VERSION: Final = 4
"""Grows when ``indexed_words`` gives other words for some text: what was indexed before has to be indexed again."""

_UNSPACED: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3100-\u312f\u31a0-\u31bf"  # Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
"""The scripts that are written without spaces, as the inside of a regular expression's character class."""
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_VOWELS: Final = re.compile(
    "[\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06ed]"
)
"""Points of Hebrew, vowel signs and lengthening of Arabic: mostly they are left out."""
_LONE: Final = re.compile("(?<![\u0300-\u036f]|[^\\W_])[\u0300-\u036f]+")
"""Diacritics with no letter before them: FTS5 takes each run for a word, of which it then takes off all. In its common
form an accent that stands alone, as one typed for an apostrophe, is a blank with such a mark: ``rock ´n´ roll``."""
_GREEK: Final = {
    chr(code): plain
    for code in (*range(0x370, 0x400), *range(0x1F00, 0x2000))
    if (plain := unicodedata.normalize("NFD", chr(code))[0]) != chr(code)
}
_SAME: Final = (
    dict.fromkeys("\u2010\u2011\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u2018\u2019\u02bc", "'")
    | {"ß": "ss", "ẞ": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "þ": "th", "Þ": "Th"}
    | {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H"}
    | {"ı": "i", "İ": "I", "ё": "е", "Ё": "Е", "ς": "σ"}
    | _GREEK
)
"""Hyphens that do not break and minus signs; apostrophes; letters that are typed in two ways, beside those whose
diacritics FTS5 takes off: German sharp s, ligatures, letters with a stroke, the dotted and the dotless i of Turkish,
Russian yo, the last sigma of a Greek word and the accents of Greek."""
_ANY_SAME: Final = re.compile(f"[{''.join(_SAME)}]")  # ten times as quick as str.translate
_RUN: Final = re.compile(f"[{_UNSPACED}]+")
_SPLITS_RUN: Final = re.compile("[\u0e2f\u0e4f\u0e5a\u0e5b\u0f04-\u0f14\u104a-\u104f\u17d4-\u17da\u30a0\u30fb]+")
_BROKEN: Final = re.compile(r"(?<![^\W\d_])([^\W\d_]{2,}+)-\r?\n[ \t]*([^\W\d_A-Z]{2,})")
_PLUSES: Final = re.compile(r"\+\+(?<=[A-Za-z]\+\+)")
_SHARP: Final = re.compile(r"#(?<=[A-Za-z]#)(?!\w)")
"""The sign first, then what stands before it: found four times as fast, and headings begin with such a sign. Two
patterns, since one for both takes three times as long: what may begin in two ways is looked for letter by letter."""


def normalised(text: str) -> str:
    """Letters in their common form (NFKC), without invisible characters such as soft hyphens or the vowel signs
    of Arabic and Hebrew; all hyphens and all apostrophes alike, and letters that are typed in two ways."""
    if text.isascii():
        return text
    text = _common(_VOWELS.sub("", _INVISIBLE.sub("", text)))
    if _VOWELS.search(text):  # what was one sign with a letter
        text = _common(_VOWELS.sub("", text))
    return _LONE.sub("", _ANY_SAME.sub(_same, text))


def _same(letter: re.Match[str]) -> str:
    return _SAME[letter[0]]


def _common(text: str) -> str:
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)


def indexed_words(text: str) -> str:
    """A text for FTS5: its words, and the pairs of characters of what is written without spaces, in order.

    The last character of such a run follows on its own, so that every character begins a word. A word that is broken
    at the end of a line stands there in parts and whole.
    """
    text = normalised(text)
    if not text.isascii():
        text = _RUN.sub(_paired, text)
    if "++" in text:
        text = _PLUSES.sub(" plusplus ", text)
    if "#" in text:
        text = _SHARP.sub(" sharp ", text)
    if "-\n" in text or "-\r\n" in text:
        text = _BROKEN.sub(r"\1-\2 \1\2", text)
    return text


def is_unspaced(character: str) -> bool:
    """Whether it belongs to a script that is written without spaces."""
    return bool(_RUN.match(character))


def has_unspaced(text: str) -> bool:
    """Whether any of its characters does."""
    return not text.isascii() and bool(_RUN.search(text))


def _paired(run: re.Match[str]) -> str:
    return f" {' '.join(_pairs(part) for part in _SPLITS_RUN.split(run[0]) if part)} "


def _pairs(run: str) -> str:
    return " ".join([*map("".join, itertools.pairwise(run)), run[-1]])
