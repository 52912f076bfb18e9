"""Dates, times and durations as a spreadsheet shows them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache, partial

Token = tuple[str, str]
"""A kind and a text: a piece of a format code."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NUMBERS = {
    "yyyy": "{0.year:04d}", "yyy": "{0.year:04d}", "m": "{0.month}", "mm": "{0.month:02d}", "d": "{0.day}",
    "dd": "{0.day:02d}", "h": "{0.hour}", "hh": "{0.hour:02d}", "n": "{0.minute}", "nn": "{0.minute:02d}",
    "s": "{0.second}", "ss": "{0.second:02d}",
}  # fmt: skip
"""The parts of a date that are numbers, as fields of one. Not years of two digits, which are none."""
_ELAPSED = {"h": 1, "m": 2, "s": 3}
"""The places of whole hours, minutes and seconds in a text to be filled in."""
_FIRST_1904 = datetime(1904, 1, 1)
_FIRST_1900 = datetime(1899, 12, 30)
_DAY_S = 86_400
_LAST = 2_957_003
"""Days from 1904 to the end of 9999."""
_REMEMBERED = 1024
_MARCH_1900 = 61
"""Excel believes that 1900 was a leap year: the days before March are one later."""
_JANUARY_1900 = 31
_SATURDAY = 5


class _Early:
    """A moment before March 1900 as Excel has it: with a day 0 of January, on which empty dates fall, and a 29 February
    (that day, and those before, are another day of the week than in the common calendar)."""

    year = 1900

    def __init__(self, days: int, seconds: int) -> None:
        self.month, self.day = (1, days) if days <= _JANUARY_1900 else (2, days - _JANUARY_1900)
        self.hour, self.minute, self.second = seconds // 3600, seconds // 60 % 60, seconds % 60
        self._weekday = (_SATURDAY + days) % 7

    def weekday(self) -> int:
        return self._weekday


def moment(tokens: tuple[Token, ...], serial: float, *, is_1904: bool) -> str | None:
    """Return days, as Excel counts them, as a date, a time or a duration; None beyond the end of its calendar."""
    return moments(tokens)(serial, is_1904)


@lru_cache(maxsize=100)
def moments(tokens: tuple[Token, ...]) -> Callable[[float, bool], str | None]:
    """Return ``moment`` for one format."""
    # Dates come again, from row to row.
    return lru_cache(maxsize=_REMEMBERED)(partial(_moment, tokens, _resolution(tokens), _template(tokens)))


def _moment(
    tokens: tuple[Token, ...],
    resolution: tuple[int, int, bool],
    template: str | None,
    serial: float,
    is_1904: bool,  # given by place, as it is quicker
) -> str | None:
    if serial >= _LAST:
        return None
    fraction, unit, is_half = resolution
    # To the last digit that is shown, and not beyond it for what shows no seconds.
    total = round(serial * _DAY_S * unit)
    seconds, part = divmod(total, unit)
    if template is not None and "{0" not in template:
        return template.format(None, seconds // 3600, seconds // 60, seconds)
    at: datetime | _Early
    if not is_1904 and seconds < _MARCH_1900 * _DAY_S:
        at = _Early(*divmod(seconds, _DAY_S))
    else:
        at = (_FIRST_1904 if is_1904 else _FIRST_1900) + timedelta(0, seconds)
    if template is not None:
        return template.format(at, seconds // 3600, seconds // 60, seconds)
    texts: list[str] = []
    after_second = False
    for kind, text in tokens:
        if kind == "date":
            texts.append(_date_part(text.lower(), at, is_half=is_half))
        elif kind == "elapsed":
            size = {"h": 3600, "m": 60, "s": 1}[text[0]]
            texts.append(f"{seconds // size:0{len(text)}d}")
        elif kind == "noon":
            texts.append(("AM", "PM")[at.hour >= 12][: 2 if len(text) > 3 else 1])
        elif kind == "digit":
            if after_second:
                texts.append(f"{part:0{fraction}d}")
            after_second = False
            continue
        else:
            texts.append(text)
        after_second = after_second if text in (".", "") else kind in ("date", "elapsed") and text[0] in "sS"
    return "".join(texts).strip()


def _resolution(tokens: tuple[Token, ...]) -> tuple[int, int, bool]:
    """How many digits of a second are shown, in how many parts of one is counted, and whether a day has two halves."""
    fraction = min(sum(kind == "digit" for kind, _ in tokens), 3)
    has_seconds = any(text[0] in "sS" for kind, text in tokens if kind in ("date", "elapsed"))
    return fraction, 10**fraction if has_seconds else 1000, any(kind == "noon" for kind, _ in tokens)


def _template(tokens: tuple[Token, ...]) -> str | None:
    """Return a date or duration of numbers alone, as most are, as a text to be filled in: quicker than part by part."""
    pieces: list[str] = []
    for kind, text in tokens:
        if kind == "date" and (part := _NUMBERS.get(text.lower())) is not None:
            pieces.append(part)
        elif kind == "elapsed":
            pieces.append(f"{{{_ELAPSED[text[0]]}:0{len(text)}d}}")
        elif kind in ("date", "noon", "digit"):
            return None
        else:
            pieces.append(text.replace("{", "{{").replace("}", "}}"))
    return "".join(pieces).strip()


def _date_part(text: str, at: datetime | _Early, *, is_half: bool) -> str:
    length = len(text)
    match text[0]:
        case "y":
            return f"{at.year % 100:02d}" if length < 3 else f"{at.year:04d}"
        case "m":
            names = _MONTHS[at.month - 1]
            return {1: str(at.month), 2: f"{at.month:02d}", 3: names[:3], 5: names[:1]}.get(length, names)
        case "d":
            names = _DAYS[at.weekday()]
            return {1: str(at.day), 2: f"{at.day:02d}", 3: names[:3]}.get(length, names)
        case "h":
            hour = (at.hour - 1) % 12 + 1 if is_half else at.hour
            return f"{hour:0{min(length, 2)}d}"
        case "n":
            return f"{at.minute:0{min(length, 2)}d}"
        case _:
            return f"{at.second:0{min(length, 2)}d}"
