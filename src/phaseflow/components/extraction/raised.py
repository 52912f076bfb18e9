"""Superscripts and subscripts in a line: 10⁶ and H₂O, never 106 and H2O; x^n and x_max where there is no sign."""

import re
from dataclasses import dataclass, field

_UP = str.maketrans("0123456789+-=()\u2212\u2013", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾⁻⁻")
_DOWN = str.maketrans("0123456789+-=()\u2212\u2013", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎₋₋")
_SIGNS = re.compile("[0-9+=()\u2212\u2013-]+")
# Marks of notes and affiliations: 1,2 and 3; 4.
_MARKS = re.compile(r"\d+(?:\s?[,;\u2013-]\s?\d+)+")
# As they are set in English, French, Italian, Spanish and Portuguese; as old as handwriting, and no powers.
_ORDINAL = re.compile(
    r"(?:st|nd|rd|th|er|ers|re|res|ère|e|es|eme|ème|èmes|nde?|os|as|lle|lles|me|mes|gr|mo|vo|to)", re.I
)
_ROMAN = re.compile(r"(?<![^\W_])[IVXLCDM]+$")
_BARE = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+['′*†‡§]*")
_TRADE = {"TM": "™", "SM": "℠"}
_ABBREVIATED = {"o": "º", "a": "ª"}
_MIXED = re.compile("[0-9]([\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3}[/\u2044\u2215][\u2080-\u2089]{1,3})$")
_OF_A_FRACTION = 4
"""Pieces: the whole number, above, the stroke, below."""
_LONGEST = 40
"""Characters: more is a text that somebody wanted small."""


def superscript(text: str, before: str = "") -> str:
    """Return ``text`` as it stands above the line after ``before``, which it never runs into.

    Ordinals (1st, n°) and trade marks are said as they are; what begins with a sign, such as ``[1]``, is apart already.
    """
    words, last = text.strip(), before[-1:]
    if words in _TRADE:
        return _TRADE[words]
    if words in _ABBREVIATED and (last.isdigit() or last in ("n", "N")):
        return _ABBREVIATED[words]
    is_counted = last.isdigit() or _ROMAN.search(before) is not None
    if _ORDINAL.fullmatch(words) and (is_counted or (last.isalpha() and len(words) > 1)):
        return text
    return power(text, before)


def power(text: str, before: str = "") -> str:
    """Like ``superscript``, of formulas, where nothing is an ordinal."""
    return _set(text, text.strip(), before, _UP, "^")


def subscript(text: str, before: str = "") -> str:
    """Return ``text`` as it stands below the line after ``before``, which it never runs into."""
    return _set(text, text.strip(), before, _DOWN, "_")


def _set(text: str, words: str, before: str, signs: dict[int, int], mark: str) -> str:
    if not words:
        return text
    if (_SIGNS.fullmatch(words) and any(map(str.isdigit, words))) or words in ("+", "-", "\u2212"):
        return text.translate(signs)
    if _MARKS.fullmatch(words):
        return "".join(each.translate(signs) if each.isdigit() else each for each in text)
    is_apart = not before or before[-1].isspace() or text[0].isspace()
    if len(words) > _LONGEST or len(words.split()) > 4:
        return text if is_apart else f" {text.lstrip()}"
    if not words[0].isalnum() and words[0] not in "+-\u2212\u2013":
        return text
    # A word that stands alone is a word, however high it was set; a number alone is the mark of a note, and must not be
    # read as a number of the text.
    if is_apart and not any(sign.isdigit() for sign in words):
        return text
    # Blanks stay outside the sign: x ^2 and x^ 2 would be taken apart when the text is cut into words.
    lead, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{lead}{mark}{words if _BARE.fullmatch(words) else f'({words})'}{tail}"


def part_fraction(pieces: list[str]) -> None:
    """Part a whole number from the fraction that the last pieces are: 1 ¹⁄₂, which is not eleven halves."""
    tail = "".join(pieces[-_OF_A_FRACTION:])
    if found := _MIXED.search(tail):
        pieces[-_OF_A_FRACTION:] = [f"{tail[: found.start(1)]} {found[1]}"]


@dataclass(slots=True)
class Line:
    """A text that is collected run by run, some of them above or below the line."""

    _pieces: list[str] = field(default_factory=list)
    _run: list[str] = field(default_factory=list)
    """What stands above or below the line, and is not at its end yet."""
    _position: str = ""

    def write(self, text: str, position: str = "") -> None:
        """Add text in a position: ``superscript``, ``subscript``, or any other word for on the line."""
        if position != self._position:
            position = position if position in _SETTERS else ""
            if position != self._position:
                self._end_run()
                self._position = position
        (self._run if position else self._pieces).append(text)

    def write_apart(self, text: str, position: str = "") -> None:
        """Add a formula: 1 and the fraction 1/2 are not eleven halves."""
        before = self._run[-1] if self._run else self._pieces[-1] if self._pieces else ""
        if text:
            self.write(f" {text}" if text[0].isdigit() and before[-1:].isdigit() else text, position)

    def take(self) -> str:
        """Return the text, and begin anew."""
        self._end_run()
        text = "".join(self._pieces)
        self._pieces, self._position = [], ""
        return text

    def _end_run(self) -> None:
        if self._run:
            before = self._pieces[-1] if self._pieces else ""
            self._pieces.append(_SETTERS[self._position]("".join(self._run), before))
            part_fraction(self._pieces)
            self._run = []


_SETTERS = {"superscript": superscript, "subscript": subscript}
