"""Formulas on one line, from MathML and from Word's markup: x², (a+b)/(c+d), √(2n), ∑_(i=1)^n."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from phaseflow.components.extraction.raised import power, subscript

Parts = Sequence[tuple[str, str]]
"""What an element holds: the names of its parts and their texts, in order."""
_UNSEEN = {0x2061: " ", 0x2062: None, 0x2063: None, 0x2064: " "}
"""Signs of MathML that say what stands beside each other: sin x, 2x, x_ij, 3 1/2."""
_PRIMES = "\u2032\u2033\u2034\u2057'"
_BARS = "\u00af\u02c9\u203e\u0304\u0305_\u0331\u0332"
_OVER = {
    **dict.fromkeys(_BARS, "\u0304"), **dict.fromkeys("^\u02c6\u0302", "\u0302"),
    **dict.fromkeys("~\u02dc\u223c\u0303", "\u0303"), **dict.fromkeys(".\u02d9\u22c5\u0307", "\u0307"),
    **dict.fromkeys("\u00a8\u0308", "\u0308"), **dict.fromkeys("\u00b4\u02ca\u0301", "\u0301"),
    **dict.fromkeys("`\u02cb\u0300", "\u0300"), **dict.fromkeys("\u02c7\u030c", "\u030c"),
    **dict.fromkeys("\u02d8\u0306", "\u0306"), **dict.fromkeys("\u2192\u20d7\u21c0", "\u20d7"), "..": "\u0308",
}  # fmt: skip
"""Accents, and the marks that stand above the letter before them."""
_UNDER = dict.fromkeys(_BARS, "\u0332")
_BRACES = frozenset("\u23de\u23df\u23dc\u23dd\u23b4\u23b5\ufe37\ufe38")
"""Only say which part a label belongs to, as the brackets do that the part is given."""
_LONGEST = 20_000
"""Characters of a formula: more is no formula."""


@dataclass(slots=True)
class _Node:
    name: str
    parts: list[tuple[str, str]] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    """What the properties of the element say: signs of operators and brackets."""


class Formula:
    """Takes the events of a formula; ``text`` is the line when all elements have ended.

    ``keeps_spaces``: those in the markup are seen, as in Word's; else they are not, as in MathML.
    """

    def __init__(self, *, keeps_spaces: bool = False) -> None:
        self._keeps_spaces = keeps_spaces
        self._open: list[_Node] = [_Node("")]

    def start(self, name: str, attributes: Mapping[str, str | None]) -> None:
        node = _Node(name)
        if name in _ATTRIBUTES:
            node.values = {key: attributes.get(key) or "" for key in _ATTRIBUTES[name] if key in attributes}
        elif name in _PROPERTIES:
            # They stand in an element of properties, which stands in the one that has them.
            for above in self._open[-2:]:
                above.values.setdefault(name, attributes.get("val") or "")
        self._open.append(node)

    def end(self, name: str) -> None:
        if len(self._open) < 2:
            return
        node = self._open.pop()
        write = _WRITE.get(node.name)
        text = write(node) if write else _in_line(node.parts)
        if name not in _PROPERTIES:
            self._open[-1].parts.append((node.name, text[:_LONGEST]))

    def data(self, text: str) -> None:
        words = text if self._keeps_spaces else " ".join(text.split()).translate(_UNSEEN)
        if words:
            self._open[-1].parts.append(("", words))

    @property
    def text(self) -> str:
        whole = "".join(_in_line(node.parts) for node in self._open)
        return whole if self._keeps_spaces else " ".join(whole.split())


def _in_line(parts: Parts) -> str:
    """The parts side by side; a fraction does not run into a number or name beside it: 1 1/2, a/b c."""
    texts: list[str] = []
    was_fraction = False
    for name, text in parts:
        if text and texts and (was_fraction or name in _FRACTIONS) and _ends_word(texts[-1]) and text[0].isalnum():
            texts.append(" ")
        if text:
            texts.append(text)
            was_fraction = name in _FRACTIONS
    return "".join(texts)


def _ends_word(text: str) -> bool:
    return text[-1].isalnum()


def _scripts(node: _Node) -> str:
    """A base with pairs of what stands below and above it, and others before it: ¹⁴₆C."""
    (_, shown), *rest = node.parts or [("", "")]
    before, is_before = "", False
    pairs: list[str] = []
    for name, text in rest:
        if name == "mprescripts":
            is_before, pairs = True, []
            continue
        pairs.append(text)
        if len(pairs) == 2:
            below, above = pairs
            pairs = []
            if is_before:
                before = _lowered(_raised(before, above), below)
            else:
                shown = _raised(_lowered(shown, below), above)
    return before + shown


def _of(node: _Node, name: str) -> str:
    return "".join(text for each, text in node.parts if each == name)


def _at(node: _Node, place: int) -> str:
    return node.parts[place][1] if place < len(node.parts) else ""


def grouped(text: str) -> str:
    """In brackets, unless it is one number, one name, or in brackets already."""
    if len(text) <= 1 or text.replace(".", "", 1).isdigit() or text.isalpha():
        return text
    return text if text[0] == "(" and text.find(")") == len(text) - 1 else f"({text})"


def _raised(base: str, above: str) -> str:
    above = above.strip()
    if above and not above.strip(_PRIMES):
        return base + above
    shown = power(above, base)
    return base + (shown if shown != above or not above else f"^{grouped(above)}")


def _lowered(base: str, below: str) -> str:
    below = below.strip()
    shown = subscript(below, base)
    return base + (shown if shown != below or not below else f"_{grouped(below)}")


def _over(base: str, above: str) -> str:
    """An accent or a bar, which belongs to its letter; else what stands above the base."""
    return _accented(base, above, _OVER) or _raised(base, above)


def _under(base: str, below: str) -> str:
    return _accented(base, below, _UNDER) or _lowered(base, below)


def _accented(base: str, sign: str, marks: Mapping[str, str]) -> str:
    sign = sign.strip()
    if sign in _BRACES:
        return grouped(base)
    if not sign or not base.strip() or sign not in marks:
        return ""
    return base + marks[sign] if len(base) == 1 else grouped(base) + sign


def _bar(node: _Node) -> str:
    base = _of(node, "e")
    return _over(base, "\u00af") if node.values.get("pos") == "top" else _under(base, "_")


def _with_sign(node: _Node) -> str:
    """What a brace or an arrow stretches over, as the arrow of a reaction does under what it needs."""
    base, sign = _of(node, "e"), node.values.get("chr", "\u23df")
    return grouped(base) if sign in _BRACES else _raised(sign, base) if base.strip() else sign


def _fraction(above: str, below: str, *, has_line: bool = True) -> str:
    return f"{grouped(above)}/{grouped(below)}" if has_line else f"{above}; {below}"


def _root(node: _Node) -> str:
    degree, inner = _of(node, "deg"), _of(node, "e")
    return _raised("", degree) + f"√{grouped(inner)}" if degree else f"√{grouped(inner)}"


def _operator(node: _Node) -> str:
    """A sum, an integral: the sign, what it runs from and to, and what follows."""
    sign = node.values.get("chr", "∫")
    return _raised(_lowered(sign, _of(node, "sub")), _of(node, "sup")) + " " + _of(node, "e")


def _brackets(node: _Node) -> str:
    inner = node.values.get("sepChr", "|").join(text for name, text in node.parts if name == "e")
    return node.values.get("begChr", "(") + inner + node.values.get("endChr", ")")


def _fenced(node: _Node) -> str:
    separator = node.values.get("separators", ",").strip()[:1]
    return node.values.get("open", "(") + separator.join(text for _, text in node.parts) + node.values.get("close", ")")


def _stack(node: _Node) -> str:
    """Numbers in a column, as in an addition or a division on paper."""
    return " ".join(text for _, text in node.parts if text)


def _rows(node: _Node) -> str:
    return "; ".join(text for name, text in node.parts if name in ("mr", "mtr", "mlabeledtr", "e"))


def _row(node: _Node) -> str:
    return ", ".join(text for name, text in node.parts if name in ("e", "mtd"))


_FRACTIONS = frozenset(("f", "mfrac"))
_ATTRIBUTES = {"mfenced": ("open", "close", "separators"), "mfrac": ("linethickness",)}
_PROPERTIES = frozenset(("chr", "begChr", "endChr", "sepChr", "pos", "type", "show"))
_NO_LINE = re.compile(r"0(?:\.0*)?\s*[a-z%]*")
_WRITE: Mapping[str, Callable[[_Node], str]] = {
    # MathML
    "msup": lambda node: _raised(_at(node, 0), _at(node, 1)),
    "msub": lambda node: _lowered(_at(node, 0), _at(node, 1)),
    "msubsup": lambda node: _raised(_lowered(_at(node, 0), _at(node, 1)), _at(node, 2)),
    "munder": lambda node: _under(_at(node, 0), _at(node, 1)),
    "mover": lambda node: _over(_at(node, 0), _at(node, 1)),
    "munderover": lambda node: _raised(_lowered(_at(node, 0), _at(node, 1)), _at(node, 2)) + " ",
    "mmultiscripts": _scripts,
    "mfrac": lambda node: _fraction(
        _at(node, 0), _at(node, 1), has_line=not _NO_LINE.fullmatch(node.values.get("linethickness", ""))
    ),
    "msqrt": lambda node: f"√{grouped(''.join(text for _, text in node.parts))}",
    "mroot": lambda node: _raised("", _at(node, 1)) + f"√{grouped(_at(node, 0))}",
    "mfenced": _fenced,
    "mtable": _rows,
    "mtr": _row,
    "mlabeledtr": _row,
    "mstack": _stack,
    "mlongdiv": _stack,
    "mtext": lambda node: " " + "".join(text for _, text in node.parts) + " ",
    "mphantom": lambda node: "",
    "maction": lambda node: _at(node, 0),
    "annotation-xml": lambda node: "",
    # Word
    "sSup": lambda node: _raised(_of(node, "e"), _of(node, "sup")),
    "sSub": lambda node: _lowered(_of(node, "e"), _of(node, "sub")),
    "sSubSup": lambda node: _raised(_lowered(_of(node, "e"), _of(node, "sub")), _of(node, "sup")),
    "sPre": lambda node: _raised(_lowered("", _of(node, "sub")), _of(node, "sup")) + _of(node, "e"),
    "f": lambda node: _fraction(_of(node, "num"), _of(node, "den"), has_line=node.values.get("type") != "noBar"),
    "rad": _root,
    "nary": _operator,
    "d": _brackets,
    "limLow": lambda node: _lowered(_of(node, "e"), _of(node, "lim")),
    "limUpp": lambda node: _raised(_of(node, "e"), _of(node, "lim")),
    "m": _rows,
    "mr": _row,
    "eqArr": _rows,
    "acc": lambda node: _over(_of(node, "e"), node.values.get("chr", "\u0302")),
    "bar": _bar,
    "groupChr": _with_sign,
    "phant": lambda node: "" if node.values.get("show") in ("0", "off", "false") else _of(node, "e"),
    "func": lambda node: f"{_of(node, 'fName')} {_of(node, 'e')}",
}
