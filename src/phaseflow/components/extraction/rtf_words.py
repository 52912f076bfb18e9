"""Words of RTF: what is no text, what stands for a character, and which encoding a font has."""

# Groups whose text is no text of the document.
APART = frozenset(
    b"fonttbl colortbl stylesheet pict object info header headerl headerr headerf footer footerl footerr footerf "
    b"listtable listoverridetable rsidtbl themedata colorschememapping latentstyles datastore generator xmlnstbl "
    b"fldinst bkmkstart bkmkend ftnsep ftnsepc listtext pntext operator filetbl revtbl template nonshppict mmathPr "
    b"wgrffmtfilter datafield objdata blipuid picprop shpinst shprslt".split()
)
SIGNS = {
    b"par": "\n", b"line": "\n", b"sect": "\n", b"page": "\n", b"tab": "\t", b"emdash": "—", b"endash": "–",
    b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•",
    b"emspace": " ", b"enspace": " ", b"qmspace": " ",
}  # fmt: skip
MARKS = {b"~": "\u00a0", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n", b"\r": "\n"}
CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gb18030", 136: "big5", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
ASIDES = frozenset((b"footnote", b"annotation", b"shptxt"))
"""Groups whose text stands beside the paragraph that they are in."""
LIST_MARKS = frozenset((b"listtext", b"pntext"))
