"""Numbers of cells that have no format, or none that is known, as text."""

_SHORT = 16
"""Letters in which no number has more than 15 digits."""


def plain(value: float) -> str:
    """Return a number without a format, with as many digits as Excel keeps, or all of a whole one of 16 digits."""
    if value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    whole = repr(value)
    if len(whole) <= _SHORT and "e" not in whole:
        return whole
    short = f"{value:.15g}"
    return (short if float(short) == value or len(short) < len(whole) else whole).replace("e", "E")
