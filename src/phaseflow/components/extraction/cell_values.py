"""Values of cells that have no format, or none that is known, as text."""

import datetime
from typing import Any

_SHORT = 16
"""Letters in which no number has more than 15 digits."""


def as_text(cell: Any, first_day: str) -> str:
    """Return a value that no format says more about. ``first_day`` is day 0; ``""`` where days are not counted."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return plain(cell)
    if isinstance(cell, datetime.timedelta):
        return _duration(cell)
    if isinstance(cell, datetime.datetime):
        return str(cell.date()) if cell.time() == datetime.time() else cell.isoformat(" ", "seconds")
    if isinstance(cell, datetime.time) and first_day:
        # Times are shown by their formats, and before this. What is left is a date, as systems or other languages write
        # it, on the day before the first: mostly one that nobody has filled in.
        return f"{first_day} {cell.isoformat('seconds')}" if cell != datetime.time() else first_day
    return str(cell)


def _duration(time: datetime.timedelta) -> str:
    """Hours may be more than a day: 36:00:00."""
    seconds = round(time.total_seconds())
    minutes, second = divmod(abs(seconds), 60)
    return f"{'-' if seconds < 0 else ''}{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def plain(value: float) -> str:
    """Return a number without a format, with as many digits as Excel keeps, or all of a whole one of 16 digits."""
    if value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    whole = repr(value)
    if len(whole) <= _SHORT and "e" not in whole:
        return whole
    short = f"{value:.15g}"
    return (short if float(short) == value or len(short) < len(whole) else whole).replace("e", "E")
