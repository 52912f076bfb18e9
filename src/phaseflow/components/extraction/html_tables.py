"""What the tables of a page are for, and how far their cells reach."""

from typing import TYPE_CHECKING

from phaseflow.components.extraction.html_lists import integer

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

# A table that holds these arranges a page; its cells are read one after another. Lists also stand in tables of data,
# which have head cells.
_LAYING_OUT = ("table", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6")
_ANY_LAYOUT, _LAYOUT = ", ".join(_LAYING_OUT), ", ".join(f"td {tag}, th {tag}" for tag in _LAYING_OUT)
_ANY_LISTS, _LISTS = "ul, ol", "td ul, td ol"


def is_layout(node: "LexborNode") -> bool:
    """Whether a table arranges a page, instead of showing data."""
    parts = list(node.iter())
    # Names alone are found in a fraction of the time, and most tables have none of them.
    if any(part.css_first(_ANY_LAYOUT) and part.css_first(_LAYOUT) for part in parts):
        return True
    has_lists = any(part.css_first(_ANY_LISTS) and part.css_first(_LISTS) for part in parts)
    return has_lists and not any(part.css_first("th") for part in parts)


def span(node: "LexborNode", name: str, most: int) -> int:
    """Return over how many columns or rows a cell reaches, at most ``most``; ``rowspan=0`` is all that follow."""
    if name not in node.attributes:
        return 1
    number = integer(node, name, 1)
    return most if number == 0 and name == "rowspan" else min(max(number, 1), most)
