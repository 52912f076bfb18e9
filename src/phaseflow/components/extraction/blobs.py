"""Pictures and other files that stand in a text as letters, and nobody reads: ``data:`` addresses, base64 and hex."""

import re
from base64 import b64decode
from collections.abc import Iterator, Sequence

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
_LINE_END = re.compile(r"\n|\\r\\n|\\n")
_URL_SAFE = str.maketrans("-_", "+/")
_PRINTABLE = re.compile(rb"[\t\n\r -~]+")
"""A text inside a text: four rows of identifiers do not become one by chance."""
_MIME_WIDTH = 76
_BEYOND_IDENTIFIERS = 4096
"""Characters without a break: tokens and keys have at most some thousand."""
_SIGNATURES = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"\0\0\1\0", b"<svg", b"<?xml", b"%PDF-",
    b"%!PS", b"{\\rtf", b"PK\3\4", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x78\x9c", b"\x78\xda",
    b"\xd0\xcf\x11\xe0", b"wOFF", b"wOF2", b"OTTO", b"\0\1\0\0", b"OggS", b"ID3", b"fLaC", b"\x1aE\xdf\xa3",
    b"\x7fELF", b"MZ\x90\0", b"SQLite format 3", b"\x30\x82", b"\x30\x81", b"\x30\x77\2\1", b"openssh-key-v1\0",
    b"\x93NUMPY",
)  # fmt: skip
"""Pictures, documents, archives, fonts, sound, films, programs, certificates and keys."""
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
    """Return a text without the content of ``data:`` addresses, and without blocks of base64 and hex that are files.

    Identifiers stay, such as hashes, tokens and keys, alone or in lists: a block is a file if it begins as one, is cut
    into rows as encoders cut, or is far longer than any identifier.
    """
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
    """Keep words, identifiers and lists of them, however many there are: they are not files."""
    rows = _LINE_END.split(run[0].rstrip("\n"))
    letters = "".join(rows)
    sample = letters[:2000]
    is_unbroken = len(rows) == 1 and len(letters) >= _BEYOND_IDENTIFIERS
    if _HEX.fullmatch(sample):
        often = [sample.lower().count(digit) for digit in "0123456789abcdef"]
        is_mixed = min(often) > len(sample) // 100 and sample[:64] not in sample[64:]
        is_file = _begins_file(bytes.fromhex(sample[:64])) or (is_unbroken and is_mixed)
    else:
        is_mixed = all(len(kind.findall(sample)) > len(sample) // 50 for kind in _KINDS)
        head = b64decode(sample[:64].translate(_URL_SAFE))
        is_file = is_mixed and (
            _begins_file(head)
            or is_unbroken
            or (len(rows) > 1 and (_PRINTABLE.fullmatch(head) is not None or _is_wrapped(rows)))
        )
    return "" if is_file else run[0]


def _begins_file(head: bytes) -> bool:
    return head.startswith(_SIGNATURES) or head[4:8] == b"ftyp"


def _is_wrapped(rows: Sequence[str]) -> bool:
    """Whether rows are one thing, cut as encoders cut: a list of equally long identifiers has no shorter row at its
    end, and none of the 76 letters of MIME."""
    *whole, last = rows
    width = len(whole[0])
    return (
        width % 4 == 0
        and all(len(row) == width for row in whole)
        and (width == _MIME_WIDTH or (len(last) < width and len(last) % 4 == 0))
    )
