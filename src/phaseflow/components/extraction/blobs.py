"""Pictures and other files that stand in a text as letters, and nobody reads: ``data:`` addresses, base64 and hex."""

import re
from collections.abc import Iterator

_SHORTEST = 64
_WINDOW = 120
"""Characters. The smallest block (4 rows of 60 letters and a line end) covers one of them, wherever it begins."""
_SPACED = re.compile(rf"(?s)(?:.{{0,{2 * _WINDOW - 1}}} )*+")
"""Up to the first blank behind which there is none for as long as the smallest block: one look at a whole text."""
_DATA = re.compile(
    r"(data:[\w.+-]{1,60}/[\w.+-]{1,100}(?:;[\w.+-]{1,60}(?:=[\w.+-]{1,60})?){0,5}?)"
    rf"(?:;base64,[A-Za-z0-9+/=_%-]{{{_SHORTEST},}}|,[^\s\"'()<>`]{{{_SHORTEST},}})",
    re.I,
)
_BEGIN = "data:"
_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{256,}={0,2}(?![A-Za-z0-9+/=_-])")
_ROW = "[A-Za-z0-9+/]"
_LAST = rf"(?:{_ROW}{{1,76}}={{1,2}}|(?=[A-Za-z+/]*[0-9])(?=[0-9+/]*[A-Za-z]){_ROW}{{1,76}})"
"""A word behind the rows is no row of them."""
_LINES = re.compile(rf"(?m)^{_ROW}{{60,76}}\n(?:{_ROW}{{60,76}}\n){{3,}}(?:{_LAST}$)?")
_ESCAPED = re.compile(rf"(?:{_ROW}{{60,76}}\\(?:r\\)?n){{4,}}(?:{_ROW}{{1,76}}={{0,2}})?")
"""The same as strings of JSON and of source have it."""
_UUENCODED = re.compile(r"(?m)^(begin [0-7]{3,4} [^\n]{1,200}\n)(?:[ -`]{1,61}\n){4,}+end$")
"""Files as programs wrote them into letters before there was MIME; their names stay."""
_INSIDE = re.compile(r"[A-Za-z0-9+/=_\\\n-]+")
_HEX = re.compile(r"[0-9a-f\s]+|[0-9A-F\s]+")
_KINDS = (re.compile("[A-Z]"), re.compile("[a-z]"), re.compile("[0-9]"))


def _without_data(text: str) -> str:
    """Return a text without the content of ``data:`` addresses, whose type stays."""
    pieces: list[str] = []
    place, begin = 0, text.find(_BEGIN)
    # Many texts hold these words and no address. They are looked for literally, and the pattern is tried only there.
    while begin >= 0:
        if (found := _DATA.match(text, begin)) is not None:
            pieces += [text[place:begin], found[1]]
            place = found.end()
        begin = text.find(_BEGIN, max(place, begin + 1))
    return "".join((*pieces, text[place:])) if pieces else text


def without_blobs(text: str) -> str:
    """Return a text without the content of ``data:`` addresses, and without blocks of base64."""
    text = _without_data(text)
    if "begin " in text:
        text = _UUENCODED.sub(r"\1", text)
    pieces: list[str] = []
    place = 0
    for begin, end in _long_runs(text):
        run = text[begin:end]
        for blob in (_RUN, _LINES, _ESCAPED):
            run = blob.sub(_unless_words, run)
        pieces += [text[place:begin], run]
        place = end
    return "".join((*pieces, text[place:])) if pieces else text


def _long_runs(text: str) -> Iterator[tuple[int, int]]:
    """Yield where blocks may be, from a blank to the next."""
    end = 0
    while (found := _SPACED.match(text, end)) is not None and len(text) - found.end() >= 2 * _WINDOW:
        begin = found.end()
        following = text.find(" ", begin)
        # The blank shows that the last row ends before it.
        end = following + 1 if following >= 0 else len(text)
        windows = range(begin, end - _WINDOW + 1, _WINDOW)
        if any(_INSIDE.fullmatch(text, place, place + _WINDOW) for place in windows):
            yield begin, end


def _unless_words(run: re.Match[str]) -> str:
    """Keep rows of letters that are no base64, which has capitals, small letters and digits in any piece, nor hex,
    which has all 16 digits about as often."""
    letters = run[0][:2000]
    if _HEX.fullmatch(letters):
        often = [letters.lower().count(digit) for digit in "0123456789abcdef"]
        return "" if min(often) > len(letters) // 100 and letters[:64] not in letters[64:] else run[0]
    return "" if all(len(kind.findall(letters)) > len(letters) // 50 for kind in _KINDS) else run[0]
