"""Numbers as the plain formats show them that most cells of a spreadsheet have: 1,234.50, 47.5%, 00042, $ 9."""

import re
from collections.abc import Callable
from functools import lru_cache

LONGEST = 255
"""Characters of a format."""
_FRAME = r"(?:\"[^\"]*\"|\\.|[ $€£()+-])*"
_QUICK = re.compile(rf"(?P<before>{_FRAME})(?P<whole>#,##0|0+)(?P<decimals>\.0+)?(?P<after>(?P<percent>%)?{_FRAME})")
_LITERAL = re.compile(r"\"([^\"]*)\"|\\(.)")
QUICK_BELOW = 1e13
_TIE = 1 + 1e-15
"""Excel keeps 15 digits: what is half to them is rounded up, though the number may be a little less than half."""


@lru_cache(maxsize=1000)
def quick_ways(code: str) -> tuple[Callable[[float], str], Callable[[float], str]] | None:
    """Return how numbers from zero on and those below are shown, for the plain formats that most cells have, as far as
    they are smaller than ``QUICK_BELOW``. ``""`` is for what is shown as it stands."""
    found = [_QUICK.fullmatch(section) for section in code[: LONGEST + 1].split(";")]
    if len(code) > LONGEST or len(found) > 2:
        return None
    first, last = found[0], found[-1]
    if first is None or last is None:
        return None
    is_signed = len(found) == 1
    return _way(first, is_signed=False, is_negative=False), _way(last, is_signed=is_signed, is_negative=True)


def _way(section: re.Match[str], *, is_signed: bool, is_negative: bool) -> Callable[[float], str]:
    before, whole, decimals, after = section["before"], section["whole"], section["decimals"] or "", section["after"]
    zeros, places = whole.count("0"), max(len(decimals) - 1, 0)
    width = zeros + places + (1 if places else 0)
    spec = f",.{places}f" if "," in whole else f"0{width}.{places}f"
    scale = (100 if section["percent"] else 1) * _TIE
    nothing = f"{0:{spec}}"
    head, tail = (_LITERAL.sub(lambda part: part[1] or part[2] or "", text) for text in (before, after))
    head, tail = (text.replace("{", "{{").replace("}", "}}") for text in (head, tail))
    filled = f"{head}{{:{spec}}}{tail}".strip().format
    signed = f"-{head}{{:{spec}}}{tail}".strip().format if is_signed else filled

    def show(value: float) -> str:
        return filled(value * scale + 0.0)  # minus zero has no sign

    def show_negative(value: float) -> str:
        size = -value * scale
        return filled(size) if f"{size:{spec}}" == nothing else signed(size)

    return show_negative if is_negative else show
