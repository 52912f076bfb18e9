"""An HTML tree as Markdown text, in one pass and without recursion, whatever the depth."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from phaseflow.components.extraction.formulas import Formula
from phaseflow.components.extraction.html_flow import Flow
from phaseflow.components.extraction.html_lists import HtmlList
from phaseflow.components.extraction.html_tables import is_layout, span
from phaseflow.components.extraction.markdown_writer import BULLET, table
from phaseflow.components.extraction.raised import part_fraction, subscript, superscript
from phaseflow.components.extraction.visibility import NEVER, SHOWN_VALUE

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_TEXT = "-text"
_SOFT_HYPHEN = "\xad"
"""Says where a word may be broken; in the middle of one it would not be found."""
_NONE: Mapping[int, str] = {}
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_BLOCK_NAMES = """
    address article aside blockquote body center details dl dialog div fieldset figcaption figure footer form header
    hgroup hr legend main nav ol p section summary table ul
"""
_LINE_NAMES = "br dd dt tr td th caption option text"
_LINE_ENDS = dict.fromkeys((*_BLOCK_NAMES.split(), *_HEADINGS), 2) | dict.fromkeys(_LINE_NAMES.split(), 1)
"""How many line ends part an element from what stands around it."""
_RAISED: Mapping[str, Callable[[str, str], str]] = {"sup": superscript, "sub": subscript}
_FORMULA = "math"
_PLACES = frozenset(("x", "y", "dy"))
_STRUCK = frozenset(("del", "s", "strike"))
_TABLE = frozenset(("table", "tr", "td", "th"))
_OPENING = _TABLE | _HEADINGS.keys() | _RAISED.keys() | {"li", "pre", "ul", "ol", "rt", "img", "tspan", SHOWN_VALUE}
_CLOSING = (_OPENING - {"img", "tspan", SHOWN_VALUE}) | _STRUCK
_FORMING = _LINE_ENDS.keys() | _OPENING | _CLOSING
_WIDEST = 20
"""Columns that a cell is taken to span: a wider one is a title above all the others."""
_TALLEST = 1000
_MOST_COVERED = 50
"""Columns into which a cell above may reach: without a limit a small page could ask for billions of cells."""


def render(
    root: "LexborNode",
    skipped: Set[int],
    alike: Mapping[int, str] = _NONE,
    listed: Mapping[int, str] = _NONE,
    without: Set[str] = NEVER,
) -> str:
    """Return the text below ``root`` as Markdown, without the elements whose ``mem_id`` is in ``skipped``, and those
    whose tag is in ``without``.

    ``alike``: elements that look like another, whose tag it is. ``listed``: what style sheets say of lists.
    """
    page = _Page(listed=listed)
    node = None if root.mem_id in skipped else root
    above: list[tuple[LexborNode, str]] = []
    # Every look at a node makes an object: one look at each, and none on the way up.
    while True:
        while node is not None:
            tag = node.tag or ""
            if skipped and node.mem_id in skipped:
                node = node.next
                continue
            if tag == _TEXT:
                page.write(node.text_content or "")
                node = node.next
                continue
            if tag in without:
                node = node.next
                continue
            if alike:
                tag = alike.get(node.mem_id, tag)
            if page.formula is not None or tag == _FORMULA:
                page.enter_formula(tag, node)
            elif tag in _FORMING:
                page.enter(tag, node)
            above.append((node, tag))
            node = node.first_child
        if not above:
            return page.text()
        node, tag = above.pop()
        if page.formula is not None:
            page.leave_formula(tag)
        elif tag in _FORMING:
            page.leave(tag, node)
        node = node.next if above else None


@dataclass(slots=True)
class _Page:
    listed: Mapping[int, str]
    flow: Flow = field(default_factory=Flow)
    outside: Flow | None = None
    """The text around the table cell in hand."""
    lists: list[HtmlList] = field(default_factory=list)
    raised: list[tuple[list[str], int]] = field(default_factory=list)
    """Where the text that stands above or below the line begins, for each that is open."""
    formula: Formula | None = None
    formula_depth: int = 0
    rows: list[list[str]] | None = None
    spans: tuple[int, int] = (1, 1)
    """How many columns and rows the cell in hand takes."""
    covered: dict[int, int] = field(default_factory=dict)
    group: int = 0
    """For every column the rows to come into which a cell above reaches."""
    preformatted: list[str] | None = None
    pre_depth: int = 0

    def text(self) -> str:
        return self.flow.text()

    def write(self, text: str) -> None:
        if self.formula is None and self.preformatted is None:
            self.flow.write(text.replace(_SOFT_HYPHEN, "") if _SOFT_HYPHEN in text else text)
        elif self.formula is not None:
            self.formula.data(text)
        elif self.preformatted is not None:
            self.preformatted.append(text)

    def enter_formula(self, tag: str, node: "LexborNode") -> None:
        """Take an element of a formula, which ends with the one that began it."""
        self.formula = self.formula or Formula()
        self.formula.start(tag, node.attributes)
        self.formula_depth += 1

    def leave_formula(self, tag: str) -> None:
        assert self.formula is not None
        self.formula.end(tag)
        self.formula_depth -= 1
        if not self.formula_depth:
            text, self.formula = self.formula.text, None
            # 1 and the fraction 1/2 are not eleven halves.
            self.write(f" {text}" if text[:1].isdigit() and self._last[-1:].isdigit() else text)

    def enter(self, tag: str, node: "LexborNode") -> None:
        self._break(tag)
        if tag in _OPENING:
            self._open(tag, node)

    def leave(self, tag: str, node: "LexborNode") -> None:
        if tag in _CLOSING:
            self._close(tag, node)
        if tag != "br":
            self._break(tag)

    def _break(self, tag: str) -> None:
        if self.preformatted is not None:
            if tag == "br":
                self.preformatted.append("\n")
        elif (lines := _LINE_ENDS.get(tag)) is not None:
            self.flow.end_line(1 if self.lists and tag in ("ul", "ol") else lines)

    def _open(self, tag: str, node: "LexborNode") -> None:
        if tag == "li":
            self._open_item(node)
        elif tag in _TABLE:
            self._enter_table(tag, node)
        elif tag in _HEADINGS:
            self.flow.mark = _HEADINGS[tag]
        elif tag == "pre":
            self._open_pre()
        elif tag in ("ul", "ol"):
            self.lists.append(HtmlList.opened(node, self.listed.get(node.mem_id, "")))
        elif tag in _RAISED:
            self._open_raised()
        elif tag == "rt":
            self._mark_reading(node, "(")
        elif tag == "tspan":
            # One that stands somewhere else is a word of its own.
            self.flow.space = self.flow.space or not _PLACES.isdisjoint(node.attributes)
        else:
            self.write(node.attributes.get("value" if tag == SHOWN_VALUE else "alt") or "")

    def _close(self, tag: str, node: "LexborNode") -> None:
        if tag in _HEADINGS or tag == "li":
            self.flow.mark = ""
        elif tag in _TABLE:
            self._leave_table(tag)
        elif tag == "pre":
            self._close_pre()
        elif tag in ("ul", "ol"):
            self.lists.pop()
        elif tag in _RAISED:
            self._close_raised(tag)
        elif tag == "rt":
            self._mark_reading(node, ")")
        else:
            self._part_struck(node)

    def _open_item(self, node: "LexborNode") -> None:
        self.flow.mark = ""
        self.flow.end_line(1)
        indent = "  " * min(len(self.lists) - 1, 10)
        self.flow.mark = indent + (
            self.lists[-1].mark(node, self.listed.get(node.mem_id, "")) if self.lists else BULLET
        )

    def _mark_reading(self, node: "LexborNode", bracket: str) -> None:
        """How a word is read stands above it; pages may have brackets of their own for it."""
        beside = node.prev if bracket == "(" else node.next
        while beside is not None and beside.tag == _TEXT and not (beside.text_content or "").strip():
            beside = beside.next if bracket == ")" else beside.prev
        if beside is None or beside.tag != "rp":
            self.write(bracket)

    def _part_struck(self, node: "LexborNode") -> None:
        """What is struck out does not run into what stands in its place."""
        following = node.next
        text = (following.text() or "")[:1] if following is not None else ""
        if following is not None and text.isalnum():
            is_number = text.isdigit() and self._last[-1:].isdigit()
            self.flow.space = self.flow.space or following.tag == "ins" or is_number

    @property
    def _last(self) -> str:
        """The last piece of text, if nothing is due behind it."""
        is_open = not self.flow.gap and not self.flow.space
        return self.flow.pieces[-1] if self.flow.pieces and is_open else ""

    def _open_raised(self) -> None:
        if self.preformatted is None and (self.flow.mark or self.flow.gap):
            self.flow.put("")
        pieces = self._pieces
        self.raised.append((pieces, len(pieces)))

    def _close_raised(self, tag: str) -> None:
        pieces, begin = self.raised.pop()
        run = "".join(pieces[begin:])
        if pieces is self._pieces and run.strip() and "\n" not in run:
            before = pieces[begin - 1] if begin else ""
            pieces[begin:] = [_RAISED[tag](run, before)]
            if not self.raised:
                part_fraction(pieces)

    @property
    def _pieces(self) -> list[str]:
        return self.flow.pieces if self.preformatted is None else self.preformatted

    def _open_pre(self) -> None:
        self.pre_depth += 1
        if self.preformatted is None:
            self.flow.end_line(2)
            self.preformatted = []

    def _close_pre(self) -> None:
        self.pre_depth -= 1
        if self.pre_depth or self.preformatted is None:
            return
        code = "".join(self.preformatted).strip("\n")
        self.preformatted = None
        if code.strip():
            fence = "````" if "```" in code else "```"
            self.flow.put(f"{fence}\n{code}\n{fence}")
            self.flow.end_line(2)

    def _enter_table(self, tag: str, node: "LexborNode") -> None:
        if tag == "table":
            self.rows, self.covered = None if is_layout(node) else [], {}
        elif self.rows is None:
            return
        elif tag == "tr":
            if (group := node.parent.mem_id if node.parent else 0) != self.group:  # no cell reaches beyond its own
                self.group, self.covered = group, {}
            self.rows.append([])
        else:
            self._pass_covered(self.rows[-1])
            self.spans = span(node, "colspan", _WIDEST), span(node, "rowspan", _TALLEST)
            self.outside, self.flow = self.flow, Flow()

    def _leave_table(self, tag: str) -> None:
        if self.rows is None:
            return
        if tag == "table":
            rows, self.rows = self.rows, None
            self._put_table(rows)
        elif tag == "tr":
            self._pass_covered(self.rows[-1])
        elif self.outside is not None:
            cell, self.flow, self.outside = self.flow.text(), self.outside, None
            self._add_cell(self.rows[-1], cell)

    def _add_cell(self, row: list[str], cell: str) -> None:
        wide, tall = self.spans
        if tall > 1:
            self.covered |= dict.fromkeys(range(len(row), min(len(row) + wide, _MOST_COVERED)), tall - 1)
        row += [cell] + [""] * (wide - 1)

    def _pass_covered(self, row: list[str]) -> None:
        while self.covered.get(len(row)):
            self.covered[len(row)] -= 1
            row.append("")

    def _put_table(self, rows: list[list[str]]) -> None:
        text = table(rows)
        if text:
            self.flow.end_line(2)
            self.flow.put(text)
