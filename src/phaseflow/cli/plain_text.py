"""Text of others, made safe to show: nothing in it moves the cursor, changes colours, or reorders what is around it.

What a document, a server or a file name holds is shown as it is as long as it is plain text. Control characters (also
those of the C1 range, which some terminals obey), line separators, and the marks that turn the direction of writing
are written as escapes, so that a reader sees that there is something.
"""

import re

from phaseflow.domain.counting import counted

LONGEST_LINE = 4_000
"""Characters of one line; a name or an error beyond that says nothing more to a person."""
_LONGEST_CELL = 300
"""Characters of a cell in a table."""
_JOINERS = frozenset("\u200c\u200d")
"""Not printable by Unicode's classes, but part of how Persian, Hindi and emoji are written."""
_STEERING = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""What JSON leaves as it is though a terminal obeys it, or a reader cannot see it."""


def printable(text: str) -> str:
    """The text with every character that could steer a terminal escaped, but for line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(letter if letter in "\n\t" else _shown(letter) for letter in text)


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """The text as one line of at most ``most`` characters: a line end in a name must not begin a line of its own."""
    cut = text if len(text) <= most else f"{text[:most]}… ({counted(len(text) - most, 'character')} more)"
    return cut if cut.isprintable() else "".join(map(_shown, cut))


def cell(text: str) -> str:
    """The text as a cell of a table."""
    return one_line(text, _LONGEST_CELL)


def safe_json(document: str) -> str:
    """A JSON document that steers no terminal; what is decoded from it is what was encoded.

    JSON itself escapes the controls below space alone. All others can stand in its strings only, so that escaping them
    wherever they are changes no value.
    """
    return _STEERING.sub(lambda found: _json_escape(found[0]), document)


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _shown(letter: str) -> str:
    if letter.isprintable() or letter in _JOINERS:
        return letter
    code = ord(letter)
    if _is_space(letter):
        return " "
    if letter in _NAMED:
        return _NAMED[letter]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_NAMED = {"\n": "\\n", "\r": "\\r", "\t": " "}


def _is_space(letter: str) -> bool:
    """One of the wide or narrow spaces of typography; the separators of lines and paragraphs are none."""
    return letter.isspace() and ord(letter) >= 0xA0 and letter not in "\u2028\u2029"
