"""Which elements of a page nobody reads: what is never text, what only frames the page, and what no reader can unfold.

Folded is not hidden: what a button, a tab or a summary on the page unfolds is text, and so is what a search within the
page unfolds.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phaseflow.components.extraction.page_source import SHADOW_ROOT
from phaseflow.components.extraction.style_sheets import raised_and_listed, raised_by
from phaseflow.components.extraction.unfolding import next_element, panels_of

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_NEVER_NAMES = """
    script style template noscript svg canvas iframe object select datalist head video audio progress meter
"""
NEVER = frozenset(_NEVER_NAMES.split())
"""Elements that are text in no page. What stands in a film or a bar is for browsers that do not know such."""
FRAMING = NEVER | {"nav"}
"""Those, and the ones that frame a page."""
_TEX = '[encoding="application/x-tex"]'
# To look for something on the whole page takes time: each is looked for if its word stands in the page.
_MUTE = {
    b"<dialog": "dialog:not([open])",
    # Formulas say everything twice: TeX reads best.
    b"annotation": f"annotation-xml, annotation:not({_TEX}), semantics:has(> annotation{_TEX}) > :not(annotation)",
}
_ROLES = "navigation search menu menubar contentinfo banner"
_CHROME = {
    b"role": ", ".join(f"[role={role}]" for role in _ROLES.split()),
    b"headerlink": "a.headerlink",
}
_UNSEEN = re.compile(r"(?i)(?<![\w-])(?:display\s*:\s*none|visibility\s*:\s*hidden)")
_NOT_DRAWN = "svg title, svg desc, svg defs, svg metadata, svg symbol"
SHOWN_VALUE = "shown-value"
_BLOCKS = frozenset(("article", "div", "figure", "li", "section"))
_MOST_SIBLINGS = 100
_DEEPEST_DRAWING = 50
_UNTIL_FOUND = "until-found"
_LOOKED_AT = {
    b"hidden": "[hidden], [aria-hidden=true]",
    b"style": "[style]",
    b"<style": "style",
    b"<button": "button",
    b"<input": "input[value]",
    b"<svg": "svg text, svg foreignObject",
    b"noteref": r"[epub\:type~=noteref], [role~=doc-noteref]",
    SHADOW_ROOT.encode(): SHADOW_ROOT,
}
_ATTRIBUTES = frozenset((b"role", b"style"))
"""Words that stand in many a page without being markup of it."""
_GAP = 20
"""Bytes behind the name of an attribute in which the sign of equality is looked for."""
_ALWAYS_TEXT = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "summary", "dt", "legend", "caption", "figcaption"))
_INLINE = frozenset(("a", "b", "code", "em", "i", "kbd", "label", "mark", "samp", "small", "span", "strong", "u"))
_TEXT = "-text"
_SOME = re.compile(r"\w")
_DEEPEST = 8
"""Elements around a button in which it is looked for running text."""


@dataclass(frozen=True, slots=True)
class _Visibility:
    """Elements by ``mem_id``."""

    never: frozenset[int]
    """What is text in no page, beside ``NEVER``."""
    chrome: frozenset[int]
    """That, and what frames the page or cannot be seen, beside ``FRAMING``."""
    listed: Mapping[int, str]
    """What style sheets say of lists: the value of ``list-style``."""
    alike: Mapping[int, str]
    """Elements that their style sets above or below the line, with the tag they are like, ``sup`` or ``sub``; fields
    that are buttons in running text, with ``shown-value``."""
    has_drawn_text: bool = False
    """Whether ``svg`` is text, but for what ``never`` has of it."""


def visibility(page: "LexborHTMLParser", words: bytes, sheets: Sequence[str] = ()) -> _Visibility:
    """Look at a page once; ``words`` is its source in small letters, ``sheets`` are style sheets beside it."""
    hidden: set[int] = set()
    alike: dict[int, str] = {}
    buttons: list[LexborNode] = []
    roots: list[LexborNode] = []
    styles: list[LexborNode] = []
    fields: list[LexborNode] = []
    drawn: list[LexborNode] = []
    lists = {
        "button": buttons,
        "input": fields,
        "text": drawn,
        "foreignObject": drawn,
        SHADOW_ROOT: roots,
        "style": styles,
    }
    # Each look at the whole page takes time: one for several questions.
    for node in _found(page, words, _LOOKED_AT):
        if (kind := lists.get(node.tag or "")) is not None:
            kind.append(node)
        attributes = node.attributes
        style = attributes.get("style") or ""
        is_hidden = "hidden" in attributes and attributes["hidden"] != _UNTIL_FOUND
        is_hidden = is_hidden or (style != "" and _UNSEEN.search(style) is not None)
        is_hidden = is_hidden or (attributes.get("aria-hidden") == "true" and not _is_one_of_several(node))
        if is_hidden and not (b"<math" in words and _is_formula(node)):
            hidden.add(node.mem_id)
        if style and (raised := raised_by(style)):
            alike[node.mem_id] = raised
        elif "noteref" in f"{attributes.get('epub:type')} {attributes.get('role')}" and _is_on_the_line(node):
            # Reading systems set the marks of notes above the line, whatever the book says of them.
            alike[node.mem_id] = "sup"
    inside = [style.text() for style in styles if style.attributes.get("media") != "print"]
    styled, listed = raised_and_listed(page, [*sheets, *inside])
    alike = styled | alike
    alike |= {field.mem_id: SHOWN_VALUE for field in fields if _is_button(field) and _is_in_text(field)}
    panels = panels_of(page, words) if hidden or buttons or b"<dialog" in words else {}
    muted = {each for each in _ids(page, words, _MUTE) if each not in panels}
    never = {*muted, *_mute_buttons(buttons, panels), *_unslotted(roots), *_around_drawn_text(page, drawn)}
    chrome = never.union(_ids(page, words, _CHROME), hidden - panels.keys())
    return _Visibility(frozenset(never), frozenset(chrome), listed, alike, has_drawn_text=bool(drawn))


def _around_drawn_text(page: "LexborHTMLParser", drawn: "Sequence[LexborNode]") -> Iterator[int]:
    """Yield the parts of drawings that are not text, on a page where some drawing has text."""
    if drawn:
        speaking = {each for node in drawn for each in _drawings_around(node)}
        yield from {node.mem_id for node in page.css("svg")} - speaking
        yield from (node.mem_id for node in page.css(_NOT_DRAWN))


def _drawings_around(node: "LexborNode") -> Iterator[int]:
    around = node.parent
    for _ in range(_DEEPEST_DRAWING):
        if around is None:
            return
        if around.tag == "svg":
            yield around.mem_id
        around = around.parent


def _is_on_the_line(node: "LexborNode") -> bool:
    """Whether the page itself does not set an element, what is in it or what is around it above the line."""
    return node.css_first("sup") is None and (node.parent is None or node.parent.tag != "sup")


def _is_one_of_several(node: "LexborNode") -> bool:
    """Whether it stands beside another like it that is seen: slides and panels, of which one is shown at a time."""
    names = set((node.attributes.get("class") or "").split())
    if node.tag not in _BLOCKS or not names or node.parent is None:
        return False
    for place, other in enumerate(node.parent.iter()):
        if place >= _MOST_SIBLINGS:
            break
        is_seen = other.attributes.get("aria-hidden") != "true" and "hidden" not in other.attributes
        if is_seen and other.tag == node.tag and not names.isdisjoint((other.attributes.get("class") or "").split()):
            return True
    return False


def _is_formula(node: "LexborNode") -> bool:
    """Whether it is a formula and nothing else: pages show a picture of it where browsers cannot, and hide it there."""
    formula = node.css_first("math")
    return formula is not None and node.text().strip() == formula.text().strip()


def _found(page: "LexborHTMLParser", words: bytes, selectors: Mapping[bytes, str]) -> "list[LexborNode]":
    """Return the elements that any of the selectors finds whose word is among ``words``, those of the page."""
    wanted = ", ".join(
        selector
        for word, selector in selectors.items()
        if (has_attribute(words, word) if word in _ATTRIBUTES else word in words)
    )
    return page.css(wanted) if wanted else []


def has_attribute(words: bytes, name: bytes) -> bool:
    """Whether a word stands anywhere as a name of an attribute does, before a sign of equality."""
    place = words.find(name)
    while place >= 0:
        place += len(name)
        if words[place : place + _GAP].lstrip()[:1] == b"=":
            return True
        place = words.find(name, place)
    return False


def _ids(page: "LexborHTMLParser", words: bytes, selectors: Mapping[bytes, str]) -> Iterator[int]:
    return (node.mem_id for node in _found(page, words, selectors))


def _mute_buttons(buttons: "Sequence[LexborNode]", panels: "dict[int, LexborNode | None]") -> Iterator[int]:
    """Yield buttons that are controls and no text: not those in running text and headings, and no tabs and folds."""
    unfolding = {control.mem_id for control in panels.values() if control is not None}
    for button in buttons:
        is_tab = button.mem_id in unfolding or button.attributes.get("role") == "tab"
        if not is_tab and not _is_in_text(button):
            yield button.mem_id


def _is_button(field: "LexborNode") -> bool:
    return (field.attributes.get("type") or "").lower() in ("submit", "button", "reset")


def _is_in_text(button: "LexborNode") -> bool:
    around = button.parent
    for _ in range(_DEEPEST):
        if around is None or around.tag in _ALWAYS_TEXT:
            return around is not None
        child = around.first_child
        while child is not None:
            if child.tag == _TEXT and _SOME.search(child.text_content or ""):
                return True
            child = child.next
        if around.tag not in _INLINE:
            return False
        around = around.parent
    return False


def _unslotted(roots: "Sequence[LexborNode]") -> Iterator[int]:
    """Yield what stands beside a shadow root without a place in it, and what a slot shows only while it is empty."""
    for root in roots:
        slots = {slot.attributes.get("name") or "": slot for slot in root.css("slot")}
        beside = next_element(root)
        taken = set() if _all_blank(root) else {""}
        while beside is not None:
            name = beside.attributes.get("slot") or ""
            taken.add(name)
            if name not in slots:
                yield beside.mem_id
            beside = next_element(beside)
        for name in taken & slots.keys():
            child = slots[name].first_child
            while child is not None:
                yield child.mem_id
                child = child.next


def _all_blank(root: "LexborNode") -> bool:
    """Whether no text stands directly beside the root."""
    beside = root.next
    while beside is not None:
        if beside.tag == _TEXT and (beside.text_content or "").strip():
            return False
        beside = beside.next
    return True
