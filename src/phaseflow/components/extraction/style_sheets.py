"""What style sheets say about numbers of lists, and about what stands above or below the line.

Not what they hide: sheets hide what scripts unfold, and that is text.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

_MOST = 1_000_000
"""Characters of a sheet that are read."""
_MOST_RULES = 200
_LONGEST = 2000
_WORDS = ("list-", "vertical-align", "font-variant-position", "position:relative", "position: relative", "marker")
_OF_ITEMS = re.compile(r"\bli\b")
_SAYS = re.compile(
    r"""(?ix)
    vertical-align\s*:\s*(?:su[pb]|text-|-?[\d.]) | font-variant-position | list-style(?:-type)?\s*: | list-item
  | position\s*:\s*relative | \bli(?:[.\#][\w-]+)*\s*\{[^{}]*\bdisplay\s*: | ::?marker
    """
)
_BEFORE = re.compile("[{;]")
_ASIDE = re.compile(r"/\*.*?(?:\*/|\Z)", re.S)
_ONE = r"(?:[A-Za-z][\w-]*+)?(?:[.#][A-Za-z_][\w-]*+)*+"
_SIMPLE = re.compile(rf"(?=[A-Za-z.#]){_ONE}(?: (?:> )?(?=[A-Za-z.#]){_ONE}){{0,9}}")
"""Selectors that are looked up: names of elements, classes and ids. Those with states depend on what a reader does."""
_ITEM = re.compile(r"(?i)(?:.* )?li(?:[.#].*)?")
_MARKER = re.compile(r"(?i)::?marker")
_NAMED = re.compile(r"(?i)@counter-style\s+([\w-]{1,100})")
_CONTENT = re.compile(r"(?i)(?<![\w-])content\s*:")

_RAISED = re.compile(r"(?i)(?<![\w-])(?:vertical-align|font-variant-position)\s*:\s*(su[pb])(?:er)?\s*(?:!|;|\Z)")
_SHIFTED = re.compile(
    r"(?i)(?<![\w-])(vertical-align|top|bottom)\s*:\s*(?:(-?[\d.]+)(r?em|ex|%|px|pt)|text-(top|bottom))\s*(?:!|;|\Z)"
)
_RELATIVE = re.compile(r"(?i)(?<![\w-])position\s*:\s*relative")
_SMALLER = re.compile(
    r"(?i)(?<![\w-])font(?:-size)?\s*:[^;]{0,100}?(?<![\w.])"
    r"(?:smaller|(?:x{1,2}-)?small|0?\.\d+r?em|[1-9]?\d(?:\.\d+)?%|(?:[1-9]|1[01])px|[1-8]pt)"
)
_LEAST = {"em": 0.15, "rem": 0.15, "ex": 0.3, "%": 15.0, "px": 3.0, "pt": 2.0}
"""What is shifted by less is only put straight."""
_LISTED = re.compile(r"(?i)(?<![\w-])list-style(?:-type)?\s*:([^;]*)")
_NO_ITEM = re.compile(r"(?i)(?<![\w-])display\s*:\s*(?!list-item|none|inherit|initial|revert|unset)\w")
_COUNTED = re.compile(r"(?i)(?<![\w-])counter-(?:set|reset|increment)\s*:[^;:]*\blist-item\b")
_NONE = "none"


def raised_by(block: str) -> str:
    """Return ``sup`` or ``sub`` for declarations that set a text above or below the line, else ``""``.

    A text is above the line also if it is shifted, and smaller than what stands beside it.
    """
    if found := _RAISED.search(block):
        return found[1].lower()
    for said, size, unit, edge in _SHIFTED.findall(block):
        name = said.lower()
        if edge:
            shift = "sup" if edge.lower() == "top" else "sub"
        else:
            value = _number(size)
            if abs(value) < _LEAST[unit.lower()]:
                continue
            shift = "sup" if (value > 0) != (name == "top") else "sub"
        is_shifted = name == "vertical-align" or _RELATIVE.search(block) is not None
        if is_shifted and _SMALLER.search(block):
            return shift
    return ""


def listed_by(block: str, *, is_item: bool = True) -> str | None:
    """Return the value of ``list-style`` in declarations, ``none`` for an item that has no number or another one than
    its list gives it; None where they say nothing."""
    if (is_item and _NO_ITEM.search(block)) or _COUNTED.search(block):
        return _NONE
    found = _LISTED.search(block)
    return found[1] if found else None


def raised_and_listed(page: "LexborHTMLParser", sheets: Sequence[str]) -> tuple[dict[int, str], dict[int, str]]:
    """Return by ``mem_id`` the elements that are like ``sup`` and ``sub``, and what ``list-style`` says of others."""
    raised: dict[int, str] = {}
    listed: dict[int, str] = {}
    for selector, up, kind in _rules(sheets):
        for node in page.css(selector):
            if up and node.tag not in ("sup", "sub"):
                raised[node.mem_id] = up
            if kind is not None:
                listed[node.mem_id] = kind
    return raised, listed


def says_something(sheet: str) -> bool:
    """Whether a sheet may say any of this: most do not."""
    lowered = sheet.lower()
    has_word = any(word in lowered for word in _WORDS) or _OF_ITEMS.search(lowered) is not None
    return has_word and _SAYS.search(sheet) is not None


def _rules(sheets: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
    left = _MOST_RULES
    for sheet in sheets:
        text = sheet[:_MOST]
        if not says_something(text):
            continue
        own = frozenset(name.lower() for name in _NAMED.findall(text))
        for rule in _ASIDE.sub("", text).split("}"):
            before, _, block = rule.rpartition("{")
            # Behind the beginning of a rule around this one, or the end of a line such as @import.
            selectors = _BEFORE.split(before[-_LONGEST:])[-1]
            up = raised_by(block)
            for selector in selectors.split(","):
                kind = _kind(selector, block, own)
                words = " ".join(_MARKER.sub("", selector).replace(">", " > ").split())
                if (up or kind is not None) and left and _SIMPLE.fullmatch(words):
                    left -= 1
                    yield words, up, kind


def _kind(selector: str, block: str, own: frozenset[str]) -> str | None:
    if _MARKER.search(selector):
        return _NONE if _CONTENT.search(block) else None
    kind = listed_by(block, is_item=_ITEM.fullmatch(selector.strip()) is not None)
    # Numbers that a sheet defines itself are not counted here.
    return _NONE if kind is not None and not own.isdisjoint(kind.lower().split()) else kind


def _number(digits: str) -> float:
    try:
        return float(digits)
    except ValueError:
        return 0.0
