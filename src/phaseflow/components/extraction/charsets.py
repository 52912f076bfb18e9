"""Names of encodings: what documents declare, and the codec that reads what they mean by it."""

import codecs

_SPELLED = {
    # Labels of the WHATWG Encoding standard that Python's codecs do not know.
    "big5": "cn-big5 x-x-big5",
    "cp874": "dos-874 windows-874 iso885911",
    "euc_jp": "cseucpkdfmtjapanese x-euc-jp",
    "euc_kr": "cseuckr csksc56011987 iso-ir-149 ks_c_5601-1989 ksc_5601 windows-949",
    "gbk": "csgb2312 gb_2312 gb_2312-80 x-gbk",
    "iso8859-1": "iso88591",
    "iso8859-2": "iso88592",
    "iso8859-3": "iso88593",
    "iso8859-4": "iso88594",
    "iso8859-5": "iso88595",
    "iso8859-6": "csiso88596e csiso88596i iso-8859-6-e iso-8859-6-i iso88596",
    "iso8859-7": "iso88597 sun_eu_greek",
    # Visual order too: what the page shows from left to right is still better than letters of another alphabet.
    "iso8859-8": "csiso88598e csiso88598i iso-8859-8-e iso-8859-8-i iso88598 logical visual",
    "iso8859-9": "iso88599",
    "iso8859-10": "iso885910",
    "iso8859-13": "iso885913",
    "iso8859-14": "iso885914",
    "iso8859-15": "csisolatin9 iso885915",
    "koi8-r": "koi koi8",
    "koi8-u": "koi8-ru",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "mac-roman": "csmacintosh mac x-mac-roman",
    "shift_jis": "windows-31j x-sjis",
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff",
    "utf-16-be": "unicodefffe",
    # HTML: a page that says x-user-defined is read as windows-1252.
    "cp1252": "x-cp1252 x-user-defined",
    **{f"cp{page}": f"x-cp{page}" for page in (1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258)},
}
_CODECS = {label: codec for codec, labels in _SPELLED.items() for label in labels.split()}
# What documents call by one name and mean by another (WHATWG Encoding): the right one is a superset.
_MEANT = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
    "big5": "big5hkscs",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
}


def codec_of(label: str | None) -> str | None:
    """Return the name of the codec for what a declaration says; None when there is none."""
    if not label:
        return None
    try:
        spelled = label.strip().lower()
        name = codecs.lookup(_CODECS.get(spelled, spelled)).name
    except (LookupError, ValueError):
        return None
    return _MEANT.get(name, name)


def is_wide(codec: str) -> bool:
    """Whether each character takes two or four bytes, so that ASCII text has NULs in it."""
    return codec.startswith(("utf-16", "utf-32"))
