"""What the style sheets in a page say about numbers of lists, and about what stands above or below the line.

Not what they hide: sheets hide what scripts unfold, and that is text.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_MOST = 1_000_000
"""Characters of a sheet that are read."""
_MOST_RULES = 200
_LONGEST = 2000
_SAYS = re.compile(r"(?i)vertical-align\s*:\s*su[pb]|list-style(?:-type)?\s*:")
_BEFORE = re.compile("[{;]")
_ASIDE = re.compile(r"/\*.*?(?:\*/|\Z)", re.S)
_ONE = r"(?:[A-Za-z][\w-]*+)?(?:[.#][A-Za-z_][\w-]*+)*+"
_SIMPLE = re.compile(rf"(?=[A-Za-z.#]){_ONE}(?: (?:> )?(?=[A-Za-z.#]){_ONE}){{0,9}}")
"""Selectors that are looked up: names of elements, classes and ids. Those with states depend on what a reader does."""
_RAISED = re.compile(r"(?i)(?<![\w-])vertical-align\s*:\s*(su[pb])(?:er)?\s*(?:!|;|\Z)")
_LISTED = re.compile(r"(?i)(?<![\w-])list-style(?:-type)?\s*:([^;]*)")


def raised_and_listed(
    page: "LexborHTMLParser", sheets: "Sequence[LexborNode]"
) -> tuple[dict[int, str], dict[int, str]]:
    """Return by ``mem_id`` the elements that are like ``sup`` and ``sub``, and what ``list-style`` says of others."""
    raised: dict[int, str] = {}
    listed: dict[int, str] = {}
    for selector, block in _rules(sheets):
        up, kind = _RAISED.search(block), _LISTED.search(block)
        for node in page.css(selector):
            if up and node.tag not in ("sup", "sub"):
                raised[node.mem_id] = up[1].lower()
            if kind:
                listed[node.mem_id] = kind[1]
    return raised, listed


def _rules(sheets: "Sequence[LexborNode]") -> Iterator[tuple[str, str]]:
    left = _MOST_RULES
    for sheet in sheets:
        text = sheet.text()[:_MOST] if sheet.attributes.get("media") != "print" else ""
        if not _SAYS.search(text):
            continue
        for rule in _ASIDE.sub("", text).split("}"):
            before, _, block = rule.rpartition("{")
            if not _SAYS.search(block):
                continue
            # Behind the beginning of a rule around this one, or the end of a line such as @import.
            for selector in _BEFORE.split(before[-_LONGEST:])[-1].split(","):
                words = " ".join(selector.replace(">", " > ").split())
                if _SIMPLE.fullmatch(words) and left:
                    left -= 1
                    yield words, block
