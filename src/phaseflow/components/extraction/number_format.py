"""Numbers, dates and durations as a spreadsheet shows them: the format codes of Excel."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from math import isfinite

from phaseflow.components.extraction.cell_values import plain
from phaseflow.components.extraction.common_formats import LONGEST, QUICK_BELOW, quick_ways
from phaseflow.components.extraction.fraction_format import fraction, scientific
from phaseflow.components.extraction.moment_format import Token, moment, moments

GENERAL = "General"
BUILTIN: Mapping[int, str] = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: "$#,##0;-$#,##0", 6: "$#,##0;-$#,##0",
    7: "$#,##0.00;-$#,##0.00", 8: "$#,##0.00;-$#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00",
    12: "# ?/?", 13: "# ??/??",
    15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss",
    37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)",
    41: '#,##0;(#,##0);"-"', 42: '"$" #,##0;"$" (#,##0);"$" "-"',
    43: '#,##0.00;(#,##0.00);"-"', 44: '"$" #,##0.00;"$" (#,##0.00);"$" "-"',
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0",
}  # fmt: skip
"""The formats that have a number only. 14 and 22 are dates as the reader's own system writes them, and not here."""

_TOKEN = re.compile(
    r"""
    "(?P<quoted>[^"]*)"? | \\(?P<escaped>.) | _(?P<space>.) | \*(?P<fill>.)
  | \[(?P<bracket>[^\]]*)\]
  | (?P<general>General) | (?P<noon>AM/PM|A/P)
  | (?P<date>y+|m+|d+|h+|s+) | (?P<exponent>E[+-]) | (?P<digit>[0#?]) | (?P<sign>[.,%/@]) | (?P<literal>.)
    """,
    re.X | re.I | re.S,
)
_CALENDARS = frozenset("aAbBeEgGrR")
"""Letters that stand for eras, years and days of other calendars than the common one."""
_OF_FOUR = 3
"""The place of the section for texts: those for numbers above zero, below zero and for zero come before."""
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[\d.]+)")
_COLOUR = re.compile(r"black|blue|cyan|green|magenta|red|white|yellow|colou?r\s*\d+", re.I)
"""A section that has nothing else does not hide a number. One that is empty does."""
_AS_IT_STANDS: tuple[Token, ...] = (("general", GENERAL),)
_ELAPSED = re.compile(r"h+|m+|s+", re.I)
_ENGLISH = 0x09
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Section:
    tokens: tuple[Token, ...]
    condition: tuple[str, float] | None = None
    is_date: bool = False


def shown(value: float, code: str, *, is_1904: bool = False) -> str | None:
    """Return a number as a cell with this format shows it, ``""`` for one that it hides; None where that is not known
    or is as the number stands.

    A date that is written with names of another language than English, in another calendar, or as the reader's own
    system writes it, is not known.
    """
    if not isfinite(value):
        return None
    quick = quick_ways(code)
    if quick is not None and abs(value) < QUICK_BELOW:
        return quick[value < 0](value) or None
    if value > 0 and (date := _date(code)) is not None:
        return date(value, is_1904)
    sections = _sections(code)
    found = _choose(sections, value) if sections else None
    if found is None:
        return None
    section, number = found
    if section.is_date:
        # Spreadsheets show hashes in place of a day before their first one.
        return moment(section.tokens, value, is_1904=is_1904) if value >= 0 else f"{value:.15g}"
    return _number(section.tokens, number)


def positive_way(code: str, *, is_1904: bool) -> Callable[[float], str | None] | None:
    """Return how positive numbers smaller than ``QUICK_BELOW`` are shown; None when that depends on the number."""
    if (quick := quick_ways(code)) is not None:
        return quick[0]
    date = _date(code)
    return None if date is None else lambda value: date(value, is_1904)


@lru_cache(maxsize=1000)
def _sections(code: str) -> tuple[_Section, ...] | None:
    """Take a code apart; None for one that cannot be followed, or says nothing."""
    if len(code) > LONGEST:
        return None
    sections: list[_Section] = []
    tokens: list[Token] = []
    is_other = is_coloured = False
    condition: tuple[str, float] | None = None
    # One more round than there are tokens, as if a semicolon ended the code: the last section has none.
    for match in (*_TOKEN.finditer(code), None):
        kind, text = (match.lastgroup or "literal", match[match.lastgroup or 0] or "") if match else ("literal", ";")
        if kind == "literal" and text == ";":
            merged = _merged(tokens) if tokens or not is_coloured else _AS_IT_STANDS
            if is_other and not any(each in ("digit", "general") for each, _ in merged):
                return None
            sections.append(_Section(merged, condition, any(each in ("date", "elapsed", "noon") for each, _ in merged)))
            tokens, condition, is_other, is_coloured = [], None, False, False
        elif kind == "bracket":
            if compared := _CONDITION.fullmatch(text):
                condition = compared[1], float(compared[2])
            elif _ELAPSED.fullmatch(text):
                tokens.append(("elapsed", text.lower()))
            elif _COLOUR.fullmatch(text):
                is_coloured = True
            elif text.startswith("$"):
                sign, _, place = text[1:].partition("-")
                if _is_foreign(place) and re.search(r"(?i)mmm|ddd", code):
                    return None
                tokens.append(("literal", sign))
        elif kind == "space":
            tokens.append(("literal", " "))
        elif kind != "fill":
            is_other = is_other or (kind == "literal" and text in _CALENDARS)
            tokens.append(("literal" if kind in ("quoted", "escaped") else kind, text))
    return tuple(sections)


@lru_cache(maxsize=1000)
def _date(code: str) -> Callable[[float, bool], str | None] | None:
    """Return how the positive numbers of a code are shown, if they are dates, whatever they are."""
    sections = _sections(code)
    is_date = sections and sections[0].is_date and not any(section.condition for section in sections)
    return moments(sections[0].tokens) if sections and is_date else None


def _is_foreign(place: str) -> bool:
    """Whether a place, as 407 or x-sysdate, is not one of English, or means the reader's own system."""
    try:
        number = int(place or "0", 16)
    except ValueError:
        return place.lower()[:2] != "en"
    return number & 0x3FF not in (0, _ENGLISH) or number >= 0xF000


def _merged(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Tell minutes from months: they stand after hours or before seconds."""
    found = list(tokens)
    times = [place for place, (kind, _) in enumerate(found) if kind in ("date", "elapsed")]
    for before, place, after in zip([None, *times], times, [*times[1:], None], strict=False):
        kind, text = found[place]
        if kind == "date" and text[0] in "mM" and len(text) < 3:
            follows = before is not None and found[before][1][0] in "hH"
            precedes = after is not None and found[after][1][0] in "sS"
            if follows or precedes:
                found[place] = kind, "n" * len(text)
    return tuple(found)


def _choose(sections: Sequence[_Section], value: float) -> tuple[_Section, float] | None:
    numeric = sections[:3]
    for section in numeric:
        if section.condition and _COMPARE[section.condition[0]](value, section.condition[1]):
            return section, value
    if any(section.condition for section in numeric):
        rest = [section for section in numeric if not section.condition]
        return (rest[-1], value) if rest else None
    if value < 0 and len(numeric) > 1:
        return numeric[1], -value
    if value == 0 and len(numeric) > 2:
        return numeric[2], value
    return numeric[0], value


def _number(tokens: Sequence[Token], value: float) -> str | None:
    # From the rarest to the usual: each of the first ones changes what the signs after it mean, so that they cannot be
    # told apart one by one. None wherever a format cannot be followed to the end: the plain number is never wrong.
    kinds = [kind for kind, _ in tokens]
    if "general" in kinds:
        return "".join(
            plain(value) if kind == "general" else text for kind, text in tokens if kind in ("general", "literal")
        ).strip()
    if ("sign", "@") in tokens:
        return None
    if ("sign", "/") in tokens:
        return fraction(tokens, value)
    if "digit" not in kinds:
        return "".join(text for kind, text in tokens if kind == "literal").strip()
    if "exponent" in kinds:
        return scientific(tokens, value)
    last = len(kinds) - 1 - kinds[::-1].index("digit")
    point = next((place for place, token in enumerate(tokens) if token == ("sign", ".")), len(tokens))
    whole_end = min(point, last + 1)
    scale = sum(_commas_after(tokens, place) for place in {_last_digit_before(tokens, whole_end), last})
    percent = sum(token == ("sign", "%") for token in tokens)
    first = kinds.index("digit")
    is_grouped = ("sign", ",") in tokens[first : _last_digit_before(tokens, whole_end)]
    decimals = sum(kind == "digit" for kind in kinds[point:])
    number = _rounded(value, 2 * percent - 3 * scale, decimals)
    digits = f"{abs(number):f}"
    whole, _, rest = digits.partition(".")
    texts = _whole(tokens[:point], whole.lstrip("0"), is_grouped=is_grouped) + _rest(tokens[point:], rest)
    text = "".join(texts).strip()
    return f"-{text}" if number < 0 else text


def _commas_after(tokens: Sequence[Token], place: int) -> int:
    """Commas after the last digit divide by a thousand each."""
    count = 0
    while tokens[place + 1 + count : place + 2 + count] == (("sign", ","),):
        count += 1
    return count


def _last_digit_before(tokens: Sequence[Token], end: int) -> int:
    return max((place for place, (kind, _) in enumerate(tokens[:end]) if kind == "digit"), default=-1)


def _rounded(value: float, shift: int, decimals: int) -> Decimal:
    # As many digits as Excel keeps: 0.1 + 0.2 is 0.3.
    number = Decimal(f"{value:.15g}").scaleb(shift)
    return number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP) if number.adjusted() < 25 else number


def _whole(tokens: Sequence[Token], digits: str, *, is_grouped: bool) -> list[str]:
    """Put the digits before the point in their places, from the right; those left over stand before the first."""
    # From the right, since a number fills the last places first, and commas are counted from the point.
    left = list(digits)
    places = [place for place, (kind, _) in enumerate(tokens) if kind == "digit"]
    texts: list[str] = []
    count = 0
    for place in range(len(tokens) - 1, -1, -1):
        kind, text = tokens[place]
        if kind == "digit":
            taken = [left.pop()] if left else [{"0": "0", "?": " "}.get(text, "")]
            while place == places[0] and left:
                taken.append(left.pop())
            for digit in filter(None, taken):
                if is_grouped and count and count % 3 == 0:
                    texts.append(",")
                texts.append(digit)
                count += 1
        elif kind == "literal" or text == "%":
            texts.append(text)
    if not places:
        texts += reversed(digits)
    return texts[::-1]


def _rest(tokens: Sequence[Token], digits: str) -> list[str]:
    texts: list[str] = []
    place = 0
    needed = len(digits.rstrip("0"))
    for kind, text in tokens:
        if kind == "digit":
            digit = digits[place] if place < len(digits) else "0"
            texts.append(digit if place < needed or text == "0" else {"?": " "}.get(text, ""))
            place += 1
        elif kind == "literal" or text in (".", "%"):
            texts.append(text)
    return texts


def text_frame(code: str) -> tuple[str, str | None] | None:
    """Return what a format puts before and behind a text; None when that is nothing.

    None behind: what stands before is shown in place of the text, which a fourth section without its sign hides.
    """
    sections = _sections(code) if "@" in code or code.count(";") >= _OF_FOUR else None
    tokens = next((each.tokens for each in reversed(sections or ()) if ("sign", "@") in each.tokens), None)
    if tokens is None:
        last = sections[_OF_FOUR].tokens if sections and len(sections) > _OF_FOUR else _AS_IT_STANDS
        if any(kind != "literal" for kind, _ in last):
            return None
        return "".join(text for _, text in last).strip(), None
    place = tokens.index(("sign", "@"))
    before, after = (
        "".join(text for kind, text in part if kind == "literal") for part in (tokens[:place], tokens[place:])
    )
    return (before, after) if before.strip() or after.strip() else None
