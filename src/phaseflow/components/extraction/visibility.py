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

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_NEVER_NAMES = "script style template noscript svg canvas iframe object select head"
NEVER = frozenset(_NEVER_NAMES.split())
"""Elements that are text in no page."""
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
_UNTIL_FOUND = "until-found"
_PANELS = "[role=tabpanel], [role=region][aria-labelledby]"
_UNFOLDS = (
    "[aria-controls], [data-bs-target], [data-target], [role=tab][href], [data-toggle][href], [data-bs-toggle][href], "
    "[popovertarget], [commandfor]"
)
_POINTERS = ("aria-controls", "data-bs-target", "data-target", "href", "popovertarget", "commandfor")
_CLASS = re.compile(r"\.[A-Za-z_][\w-]*")
_MOST_CLASSES = 100
"""Classes that are looked up on the whole page."""
_NO_PANELS = frozenset(("menu", "listbox", "tree", "grid", "true"))
_LOOKED_AT = {
    b"hidden": "[hidden], [aria-hidden=true]",
    b"style": "[style]",
    b"<style": "style",
    b"<button": "button",
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
class Visibility:
    """Elements by ``mem_id``."""

    never: frozenset[int]
    """What is text in no page, beside ``NEVER``."""
    chrome: frozenset[int]
    """That, and what frames the page or cannot be seen, beside ``FRAMING``."""
    listed: Mapping[int, str]
    """What style sheets say of lists: the value of ``list-style``."""
    alike: Mapping[int, str]
    """Elements that their style sets above or below the line, with the tag they are like, ``sup`` or ``sub``."""


def visibility(page: "LexborHTMLParser", words: bytes, sheets: Sequence[str] = ()) -> Visibility:
    """Look at a page once; ``words`` is its source in small letters, ``sheets`` are style sheets beside it."""
    hidden: set[int] = set()
    alike: dict[int, str] = {}
    buttons: list[LexborNode] = []
    roots: list[LexborNode] = []
    styles: list[LexborNode] = []
    lists = {"button": buttons, SHADOW_ROOT: roots, "style": styles}
    # Each look at the whole page takes time: one for several questions.
    for node in _found(page, words, _LOOKED_AT):
        if (kind := lists.get(node.tag or "")) is not None:
            kind.append(node)
        attributes = node.attributes
        style = attributes.get("style") or ""
        is_hidden = "hidden" in attributes and attributes["hidden"] != _UNTIL_FOUND
        is_hidden = (
            is_hidden or attributes.get("aria-hidden") == "true" or (style != "" and bool(_UNSEEN.search(style)))
        )
        if is_hidden and not (b"<math" in words and _is_formula(node)):
            hidden.add(node.mem_id)
        if style and (raised := raised_by(style)):
            alike[node.mem_id] = raised
    inside = [style.text() for style in styles if style.attributes.get("media") != "print"]
    styled, listed = raised_and_listed(page, [*sheets, *inside])
    alike = styled | alike
    panels = _panels(page) if hidden or buttons else {}
    never = {*_ids(page, words, _MUTE), *_mute_buttons(buttons, panels), *_unslotted(roots)}
    chrome = never.union(_ids(page, words, _CHROME), hidden - panels.keys())
    return Visibility(frozenset(never), frozenset(chrome), listed, alike)


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


def _panels(page: "LexborHTMLParser") -> "dict[int, LexborNode | None]":
    """Return what a reader can unfold, with the element that does it where the page says which."""
    panels: dict[int, LexborNode | None] = {node.mem_id: None for node in page.css(_PANELS)}
    unfolding = [node for node in page.css(_UNFOLDS) if _unfolds_text(node)]
    if unfolding:
        seen: set[str] = set()
        by_id = {node.attributes["id"]: node for node in page.css("[id]")}
        for control in unfolding:
            for name in _POINTERS:
                for target in (control.attributes.get(name) or "").split():
                    panel = by_id.get(target.removeprefix("#"))
                    if panel is not None:
                        panels[panel.mem_id] = control
                    # Some point at a class instead of an id. Each is a look at the whole page, so there is an end to
                    # them.
                    elif _CLASS.fullmatch(target) and target not in seen and len(seen) < _MOST_CLASSES:
                        seen.add(target)
                        panels |= {each.mem_id: control for each in page.css(target)}
    # Last, and never in place of what a page has said: a button that names nothing unfolds what comes next.
    for control in page.css("button[aria-expanded]"):
        following = _next_element(control) or _next_element(control.parent)
        if _unfolds_text(control) and following is not None:
            panels.setdefault(following.mem_id, control)
    return panels


def _unfolds_text(control: "LexborNode") -> bool:
    """A menu, and what a field for text suggests, are no text of the page."""
    attributes = control.attributes
    is_field = control.tag == "input" or attributes.get("role") == "combobox"
    return not is_field and attributes.get("aria-haspopup") not in _NO_PANELS


def _next_element(node: "LexborNode | None") -> "LexborNode | None":
    following = node.next if node is not None else None
    while following is not None and following.tag == _TEXT:
        following = following.next
    return following


def _mute_buttons(buttons: "Sequence[LexborNode]", panels: "dict[int, LexborNode | None]") -> Iterator[int]:
    """Yield buttons that are controls and no text: not those in running text and headings, and no tabs and folds."""
    unfolding = {control.mem_id for control in panels.values() if control is not None}
    for button in buttons:
        is_tab = button.mem_id in unfolding or button.attributes.get("role") == "tab"
        if not is_tab and not _is_in_text(button):
            yield button.mem_id


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
        beside = _next_element(root)
        taken = set() if _all_blank(root) else {""}
        while beside is not None:
            name = beside.attributes.get("slot") or ""
            taken.add(name)
            if name not in slots:
                yield beside.mem_id
            beside = _next_element(beside)
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
