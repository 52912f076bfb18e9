"""What a reader can unfold on a page: accordions, tabs, dialogs, tips, and whatever a click is said to show."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_PANELS = "[role=tabpanel], [role=tooltip], [role=region][aria-labelledby]"
_UNFOLDS = (
    "[aria-controls], [data-bs-target], [data-target], [role=tab][href], [data-toggle][href], [data-bs-toggle][href], "
    "[popovertarget], [commandfor]"
)
_POINTERS = ("aria-controls", "data-bs-target", "data-target", "href", "popovertarget", "commandfor")
_CLASS = re.compile(r"\.[A-Za-z_][\w-]*")
_MOST_CLASSES = 100
"""Classes that are looked up on the whole page."""
_NO_PANELS = frozenset(("menu", "listbox", "tree", "grid", "true"))
_NAMED = re.compile(r"[\"']#?([\w:.-]{1,100})[\"']|\b([A-Za-z_]\w{0,99})\.(?:show|open)")
_LONGEST_SCRIPT = 1000
_TEXT = "-text"


def panels_of(page: "LexborHTMLParser", words: bytes) -> "dict[int, LexborNode | None]":
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
    if b"onclick" in words:
        panels = _by_scripts(page) | panels
    # Last, and never in place of what a page has said: a button that names nothing unfolds what comes next.
    for control in page.css("button[aria-expanded]"):
        following = next_element(control) or next_element(control.parent)
        if _unfolds_text(control) and following is not None:
            panels.setdefault(following.mem_id, control)
    return panels


def _by_scripts(page: "LexborHTMLParser") -> "dict[int, LexborNode | None]":
    """Return the elements that a click is said to show: the names of some stand in the script."""
    by_id = {node.attributes["id"]: node for node in page.css("[id]")}
    named = (
        (by_id.get(quoted or bare), control)
        for control in page.css("[onclick]")
        for quoted, bare in _NAMED.findall((control.attributes.get("onclick") or "")[:_LONGEST_SCRIPT])
    )
    return {panel.mem_id: control for panel, control in named if panel is not None and _unfolds_text(control)}


def _unfolds_text(control: "LexborNode") -> bool:
    """Menus, and what a text field suggests, are not part of the text of the page."""
    attributes = control.attributes
    is_field = control.tag == "input" or attributes.get("role") == "combobox"
    return not is_field and attributes.get("aria-haspopup") not in _NO_PANELS


def next_element(node: "LexborNode | None") -> "LexborNode | None":
    following = node.next if node is not None else None
    while following is not None and following.tag == _TEXT:
        following = following.next
    return following
