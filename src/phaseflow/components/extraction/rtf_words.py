"""Words of RTF: what is no text, what stands for a character, and which encoding a font has."""

import codecs
import re
from collections.abc import Iterator

_TOKEN = re.compile(rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)")

# Groups whose text is no text of the document.
APART = frozenset(
    b"fonttbl colortbl stylesheet pict objclass objname objalias objsect info do upr "
    b"listtable listoverridetable rsidtbl themedata colorschememapping latentstyles datastore generator xmlnstbl "
    b"fldinst bkmkstart bkmkend ftnsep ftnsepc listtext pntext operator filetbl revtbl template nonshppict mmathPr "
    b"wgrffmtfilter datafield objdata blipuid picprop shpinst shprslt nonesttables xe rxe txe tc tcn ftncn aftnsep "
    b"aftnsepc aftncn atnid atnauthor atndate atntime atnref atnicn atnparent atrfstart atrfend".split()
)
SIGNS = {
    b"par": "\n", b"line": "\n", b"sect": "\n", b"page": "\n", b"tab": "\t", b"emdash": "—", b"endash": "–",
    b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•",
    b"emspace": " ", b"enspace": " ", b"qmspace": " ",
}  # fmt: skip
_LETTERS = frozenset(b"emdash endash lquote rquote ldblquote rdblquote bullet".split())
_LETTER_MARKS = b"~_-\\{}"
MARKS = {b"~": "\u00a0", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n", b"\r": "\n"}
CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gb18030", 136: "big5", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
HEADERS = frozenset(b"header headerl headerr headerf footer footerl footerr footerf".split())
"""Groups whose text stands on every page."""
ASIDES = frozenset((b"footnote", b"annotation", b"shptxt", b"dptxbxtext")) | HEADERS
"""Groups whose text stands beside the paragraph that they are in."""
LIST_TABLES = frozenset((b"listtable", b"listoverridetable"))
LIST_MARKS = frozenset((b"listtext", b"pntext"))
POSITIONS = {
    b"super": "superscript", b"up": "superscript", b"sub": "subscript", b"dn": "subscript", b"nosupersub": "",
}  # fmt: skip

_OF_TEXTS = b"""
    upr u ansicpg mac uc f v deleted plain pard intbl s outlinelevel ls ilvl cell nestcell row nestrow
"""
TELLING = frozenset(_OF_TEXTS.split()).union(ASIDES, APART, SIGNS, POSITIONS)
"""Words that say something of a text: three in four are about how it looks."""


def tokens(data: bytes) -> Iterator[re.Match[bytes]]:
    """Yield word, number, code of a byte, mark, brace and text, without the binary data that ``\\bin`` announces."""
    place = 0
    while token := _TOKEN.search(data, place):
        place = token.end()
        if token[1] == b"bin" and token[2]:
            place += max(int(token[2]), 0)
        else:
            yield token


def is_one_letter(word: bytes | None, mark: bytes | None) -> bool:
    """Whether a word or mark may be the substitute of a letter. A tab or a paragraph behind such a letter is none."""
    return word in _LETTERS or (mark is not None and mark in _LETTER_MARKS)


def known(encoding: str) -> str:
    """Return the encoding, or the usual one where there is no such."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return "cp1252"
