"""The numbers of lists in HTML, as browsers show them: start, value, reversed, type."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phaseflow.components.extraction.markdown_writer import BULLET
from phaseflow.components.extraction.ordinals import HTML
from phaseflow.components.extraction.style_sheets import listed_by

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_INTEGER = re.compile(r"[ \t\n\f\r]*([+-]?[0-9]{1,7})(?![0-9])", re.A)
"""As the HTML standard reads one: whatever follows it is passed over."""
_TYPES = frozenset("1aAiI")
_BULLETS = frozenset(("none", "disc", "circle", "square", "disclosure-open", "disclosure-closed"))
_NOT_COUNTED_HERE = re.compile(
    r"(?:korean|japanese|simp-chinese|trad-chinese|ethiopic|cjk|hiragana|katakana)-[\w-]+|symbols\(.*"
)
"""Styles that browsers know and this does not: no number is better than another one."""
_QUOTED = ("'", '"')


@dataclass(slots=True)
class HtmlList:
    """A list that is open. Items with numbers have them also where the count goes down."""

    number: int | None
    """Of the next item; None when there are none."""
    step: int = 1
    kind: str = "1"

    @classmethod
    def opened(cls, node: "LexborNode", styled: str = "") -> "HtmlList":
        """Return the list that an element opens; ``styled`` is what a style sheet says of it."""
        kind = _kind(node) or _type_of(styled)
        if node.tag != "ol":
            # A list of points may be given numbers by its style.
            return cls(1 if kind in HTML and kind not in _TYPES else None, kind=kind or "1")
        is_reversed = "reversed" in node.attributes
        first = sum(1 for each in node.iter() if each.tag == "li") if is_reversed else 1
        return cls(integer(node, "start", first), -1 if is_reversed else 1, kind or "1")

    def mark(self, item: "LexborNode", styled: str = "") -> str:
        """Count an item; return what stands before it, with the space between. ``styled``: what a sheet says."""
        if self.number is None:
            return BULLET
        number = integer(item, "value", self.number)
        self.number = number + self.step
        kind = _kind(item, is_item=True) or _type_of(styled) or self.kind
        form = HTML.get(kind)
        return f"{form(number)}. " if form else BULLET


def integer(node: "LexborNode", name: str, otherwise: int) -> int:
    """Return an attribute that is an integer of at most seven digits."""
    found = _INTEGER.match(node.attributes.get(name) or "")
    return int(found[1]) if found else otherwise


def _kind(node: "LexborNode", *, is_item: bool = False) -> str | None:
    """Return the type of the list, or of an item of its own; None when it says none."""
    style = node.attributes.get("style")
    if style and (said := listed_by(style, is_item=is_item)) and (styled := _type_of(said)):
        return styled
    kind = node.attributes.get("type") or ""
    return kind if kind in _TYPES else None


def _type_of(value: str) -> str | None:
    """Return the type that a value of ``list-style`` names; that of points for what is not known, or is a text."""
    for word in value.lower().split():
        if word in _BULLETS or (word in HTML and word not in _TYPES):
            return word
        if word.startswith(_QUOTED) or _NOT_COUNTED_HERE.fullmatch(word):
            return "none"
    return None
