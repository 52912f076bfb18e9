"""Damaged bytes: each becomes one replacement character, and what stands behind it is read as it was meant."""

import codecs

_REPLACEMENT = "\ufffd"
_HANDLER = "phaseflow.replace"
_LEADS = {
    "euc_jp": ((0xA1, 0xFE),),
    "gb18030": ((0x81, 0xFE),),
    "big5hkscs": ((0x81, 0xFE),),
    "cp949": ((0x81, 0xFE),),
    "cp932": ((0x81, 0x9F), (0xE0, 0xFC)),
}
"""Of encodings with characters of two bytes: the first bytes of those."""
_EURO = 0x80
_HIGH = 0x80
_RICH = "cp932"
"""Has the signs that Japanese makers added (①, ㈱), which browsers know in all Japanese encodings."""


def replaced(data: bytes, codec: str) -> str:
    """Decode; what does not fit is U+FFFD. Raises LookupError for a codec of Python that is no charset.

    Two bytes that could be one character and are none are one piece of damage, as the Encoding standard has it: a
    codec that passed over the first one alone would read all that follows in the wrong pairs.
    """
    try:
        codecs.lookup_error(_HANDLER)
    except LookupError:
        codecs.register_error(_HANDLER, _replace)
    return str(data, codec, _HANDLER)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    place, codec = error.start, error.encoding
    pair = error.object[place : place + 2]
    if codec.startswith("iso2022_jp"):
        # Here a character of two bytes is told from others by what went before; its bytes are those of EUC without the
        # highest bit.
        return _of_makers(bytes(byte | _HIGH for byte in pair)) or _REPLACEMENT, error.end
    if codec == "gb18030" and pair[:1] == bytes((_EURO,)):
        return "€", place + 1
    if len(pair) < 2 or pair[1] < _HIGH or not any(low <= pair[0] <= high for low, high in _LEADS.get(codec, ())):
        return _REPLACEMENT, max(error.end, place + 1)
    return (_of_makers(pair) if codec == "euc_jp" else "") or _REPLACEMENT, place + 2


def _of_makers(pair: bytes) -> str:
    """Return the sign that two bytes of EUC-JP mean by the rows that makers added; ``""`` for none."""
    row, cell = (byte - 0xA0 for byte in pair) if len(pair) == 2 else (0, 0)
    if not 0 < row < 95 or not 0 < cell < 95:
        return ""
    half, is_even = (row - 1) // 2, row % 2 == 0
    lead = half + (0x81 if half < 0x1F else 0xC1)
    trail = cell + (0x9E if is_even else 0x3F if cell < 0x40 else 0x40)
    try:
        return str(bytes((lead, trail)), _RICH)
    except UnicodeDecodeError:
        return ""
