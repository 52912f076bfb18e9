"""Fields of Word documents whose results stand nowhere: numbers in a line, boxes of forms, formulas of old."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction.formulas import grouped
from phaseflow.components.extraction.ordinals import letters, roman
from phaseflow.components.extraction.raised import power, subscript
from phaseflow.components.extraction.styles import OFF
from phaseflow.components.extraction.symbol_fonts import shown

_LEVELS = 9
_LARGEST = 1_000_000
_DEEPEST = 50
"""Fields inside fields. Also: functions of a formula inside each other."""
_LONGEST = 10_000
_MOST_ENTRIES = 1000
_LEVEL = re.compile(r"\\l\s*(\d)")
_START = re.compile(r"\\s\s*(\d{1,6})")
_NAME = re.compile(r"LISTNUM\s+\"?(\w+)", re.I)
_SYMBOL = re.compile(r"SYMBOL\s+(?:0x([0-9a-f]{1,4})|(\d{1,5}))(?:[^\\]{0,100}\\f\s?\"?([\w ]{1,50}))?", re.I)
_SEPARATOR = re.compile("[,;]")
_FUNCTION = re.compile(r"\\([a-z])((?:\s*\\[a-z]{2}\d{0,3})*)\s*\(([^()]*)\)", re.I)


def _small_roman(number: int) -> str:
    return roman(number).lower()


_NUMBER = (str, letters, _small_roman)
_FORMS: Mapping[str, tuple[tuple[str, Callable[[int], str]], ...]] = {
    "numberdefault": tuple(zip(["{})"] * 3 + ["({})"] * 3 + ["{}."] * 3, _NUMBER * 3, strict=True)),
    "outlinedefault": (
        ("{}.", roman), ("{}.", lambda number: letters(number).upper()), ("{}.", str), ("{})", letters),
        ("({})", str), ("({})", letters), ("({})", _small_roman), ("({})", letters), ("({})", _small_roman),
    ),
}  # fmt: skip
"""Of the lists that Word knows by name, how it shows the number of each level."""
_LEGAL = "legaldefault"


@dataclass(slots=True)
class _Field:
    code: list[str] = field(default_factory=list)
    length: int = 0
    has_result: bool = False
    is_checked: bool | None = None
    chosen: int = 0
    entries: list[str] = field(default_factory=list)


class Fields:
    """Takes the events of fields, and says what those show that have no result of their own.

    ``number`` counts the next item of the list that the paragraph is in, at a level from 0 or None for the one below
    the paragraph's own, and returns its number; None where the paragraph is in no list.
    """

    def __init__(self, number: Callable[[int | None], str | None]) -> None:
        self._number = number
        self._open: list[_Field] = []
        self._counts: dict[str, list[int]] = {}
        self._paragraphs = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> str:
        """Take an element; return what is to be seen in its place."""
        if name == "fldChar":
            return self._mark(attributes.get("fldCharType", ""))
        value = attributes.get("val")
        if name == "sym":
            code = attributes.get("char", "")
            return shown(int(code, 16), attributes.get("font", "")) if _is_hexadecimal(code) else ""
        if not self._open:
            return ""
        last = self._open[-1]
        if name == "checkBox":
            last.is_checked = False
        elif name in ("checked", "default") and last.is_checked is not None:
            last.is_checked = value not in OFF
        elif name == "result" and value and value.isdigit():
            last.chosen = int(value[:4])
        elif name == "listEntry" and len(last.entries) < _MOST_ENTRIES:
            last.entries.append(value or "")
        return ""

    def data(self, text: str) -> None:
        """Take a piece of the code of a field."""
        if self._open and self._open[-1].length < _LONGEST:
            self._open[-1].code.append(text)
            self._open[-1].length += len(text)

    def _mark(self, kind: str) -> str:
        if kind == "begin" and len(self._open) < _DEEPEST:
            self._open.append(_Field())
        elif kind == "separate" and self._open:
            self._open[-1].has_result = True
        elif kind == "end" and self._open:
            ended = self._open.pop()
            return "" if ended.has_result else self._shown(ended)
        return ""

    def _shown(self, ended: _Field) -> str:
        code = "".join(ended.code)[:_LONGEST].strip()
        kind = code.split(maxsplit=1)[0].upper() if code else ""
        if kind == "FORMCHECKBOX":
            return "☒" if ended.is_checked else "☐"
        if kind == "FORMDROPDOWN":
            return ended.entries[ended.chosen] if ended.chosen < len(ended.entries) else ""
        if kind == "LISTNUM":
            return self._list_number(code)
        if kind in ("AUTONUM", "AUTONUMLGL"):
            self._paragraphs += 1
            return f"{self._paragraphs}."
        if kind == "SYMBOL" and (found := _SYMBOL.match(code)):
            return shown(int(found[1] or found[2], 16 if found[1] else 10), (found[3] or "").strip())
        return _formula(code[2:]) if kind == "EQ" else ""

    def _list_number(self, code: str) -> str:
        named, level, start = _NAME.match(code), _LEVEL.search(code), _START.search(code)
        place = min(max(int(level[1]), 1), _LEVELS) - 1 if level else None
        if named is None and (number := self._number(place)) is not None:
            return number.strip()
        name = named[1].lower() if named else "numberdefault"
        counts = self._counts.setdefault(name, [0] * _LEVELS)
        place = place or 0
        counts[place] = int(start[1]) if start else min(counts[place] + 1, _LARGEST)
        counts[place + 1 :] = [0] * (_LEVELS - place - 1)
        if name == _LEGAL:
            return "".join(f"{max(count, 1)}." for count in counts[: place + 1])
        if name not in _FORMS:
            # A list of the document's own by its name: no number is better than another one.
            return ""
        frame, form = _FORMS[name][place]
        return frame.format(form(counts[place]))


def _formula(code: str) -> str:
    """Return the functions of an old formula, from the inner ones to the outer: 1/2, √x."""
    for _ in range(_DEEPEST):
        code, count = _FUNCTION.subn(_applied, code)
        if not count:
            break
    return " ".join(code.replace("\1", "(").replace("\2", ")").split())


def _applied(function: re.Match[str]) -> str:
    options, inner = function[2].lower(), function[3]
    parts = [part.strip() for part in _SEPARATOR.split(inner)]
    first, second = parts[0], parts[1] if len(parts) > 1 else ""
    match function[1].lower():
        case "f":
            text = f"{grouped(first)}/{grouped(second)}"
        case "r":
            text = f"{power(first)}√{grouped(second)}" if second else f"√{grouped(first)}"
        case "s" if "\\do" in options:
            text = subscript(first, "x")
        case "s":
            text = power(first, "x")
        case "b":
            text = f"({inner})"
        case _:
            text = ", ".join(filter(None, parts))
    # Brackets of the result are no brackets of a function any more.
    return text.replace("(", "\1").replace(")", "\2")


def _is_hexadecimal(text: str) -> bool:
    return 0 < len(text) <= 6 and all(sign in "0123456789abcdefABCDEF" for sign in text)
