"""Fractions as a spreadsheet shows them, 1 3/4, and numbers with an exponent, 12.3E+3."""

from collections.abc import Sequence
from fractions import Fraction
from math import floor, log10

from phaseflow.components.extraction.moment_format import Token

_SLASH = ("sign", "/")
_MOST_DIGITS = 6


def fraction(tokens: Sequence[Token], value: float) -> str | None:
    """Return a number as a whole number and a fraction; None for a format that cannot be followed."""
    slash = tokens.index(_SLASH)
    groups = _groups(tokens[:slash])
    below = [(kind, text) for kind, text in tokens[slash + 1 :] if kind == "digit" or text.isdigit()]
    if not groups or not below or len(below) > _MOST_DIGITS or tokens[slash + 1] not in below:
        return None
    size = abs(value)
    has_whole = len(groups) > 1
    whole = int(size) if has_whole else 0
    # Digits after the slash are a denominator that the format prescribes (# ?/8). Placeholders only say how long it may
    # be: then it is the nearest fraction with a denominator of so many digits.
    fixed = "".join(text for _, text in below)
    if fixed.isdigit() and int(fixed):
        denominator = int(fixed)
        numerator = floor((size - whole) * denominator + 0.5)
    else:
        found = Fraction(f"{size - whole:.15g}").limit_denominator(10 ** len(below) - 1)
        numerator, denominator = found.numerator, found.denominator
    # Rounding may have made a whole one of it: 0.99 in eighths is 1, not 8/8.
    if has_whole and numerator >= denominator:
        whole, numerator = whole + 1, 0
    texts = [str(whole)] if has_whole and (whole or not numerator) else []
    if numerator or not has_whole:
        texts.append(f"{numerator}/{denominator}")
    before = "".join(text for kind, text in tokens[: groups[0][0]] if kind == "literal")
    behind = tokens[slash + 1 :][len(below) :]
    after = "".join(text for kind, text in behind if kind == "literal")
    is_negative = value < 0 and (whole or numerator)
    return f"{'-' if is_negative else ''}{before}{' '.join(texts)}{after}".strip()


def scientific(tokens: Sequence[Token], value: float) -> str | None:
    """Return a number with an exponent, which with several digits before the point is a multiple of their count."""
    kinds = [kind for kind, _ in tokens]
    exponent = kinds.index("exponent")
    point = next((place for place, token in enumerate(tokens) if token == ("sign", ".")), exponent)
    digits = sum(kind == "digit" for kind in kinds[:point])
    decimals = sum(kind == "digit" for kind in kinds[point:exponent])
    if not digits:
        return None
    if digits == 1:
        mantissa, _, power = f"{value:.{decimals}e}".partition("e")
        number = int(power)
    else:
        number = floor(log10(abs(value))) // digits * digits if value else 0
        mantissa = f"{value / 10.0**number:.{decimals}f}"
        # Rounded up, it may have a digit more than the format has places before the point: 999.96 as ##0.0E+0.
        if abs(float(mantissa)) >= 10**digits:
            number += digits
            mantissa = f"{value / 10.0**number:.{decimals}f}"
    width = sum(kind == "digit" for kind in kinds[exponent:])
    sign = "-" if number < 0 else "+" if tokens[exponent][1].endswith("+") else ""
    return f"{mantissa}E{sign}{abs(number):0{width}d}"


def _groups(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Return where the groups of digits begin and end."""
    found: list[tuple[int, int]] = []
    for place, (kind, _) in enumerate(tokens):
        if kind != "digit":
            continue
        if found and found[-1][1] == place:
            found[-1] = found[-1][0], place + 1
        else:
            found.append((place, place + 1))
    return found
