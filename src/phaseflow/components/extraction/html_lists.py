"""The numbers of lists in HTML, as browsers show them: start, value, reversed, type."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phaseflow.components.extraction.markdown_writer import BULLET
from phaseflow.components.extraction.ordinals import HTML

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_STYLE = re.compile(r"(?i)(?<![\w-])list-style(?:-type)?\s*:([^;]*)")
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

    def mark(self, item: "LexborNode") -> str:
        """Count an item; return what stands before it, with the space between."""
        if self.number is None:
            return BULLET
        number = integer(item, "value", self.number)
        self.number = number + self.step
        kind = _kind(item) or self.kind
        form = HTML.get(kind)
        return f"{form(number)}. " if form else BULLET


def opened(node: "LexborNode", styled: str = "") -> HtmlList:
    """Return the list that an element opens; ``styled`` is what a style sheet says of it."""
    kind = _kind(node) or _type_of(styled)
    if node.tag != "ol":
        # A list of points may be given numbers by its style.
        return HtmlList(1 if kind in HTML and kind not in _TYPES else None, kind=kind or "1")
    is_reversed = "reversed" in node.attributes
    first = sum(1 for each in node.iter() if each.tag == "li") if is_reversed else 1
    return HtmlList(integer(node, "start", first), -1 if is_reversed else 1, kind or "1")


def integer(node: "LexborNode", name: str, otherwise: int) -> int:
    """Return an attribute that is an integer of at most seven digits."""
    value = (node.attributes.get(name) or "").strip()
    digits = value.lstrip("+-")
    is_one = len(value) - len(digits) < 2 and digits.isascii() and digits.isdigit() and len(digits) < 8
    return int(value) if is_one else otherwise


def _kind(node: "LexborNode") -> str | None:
    """Return the type of the list, or of an item of its own; None when it says none."""
    found = _STYLE.search(node.attributes.get("style") or "")
    if found and (styled := _type_of(found[1])):
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
