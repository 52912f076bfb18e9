"""UTF-16 and UTF-32 without a byte order mark."""

import re
import unicodedata

_SAMPLE = 32_768
_SHORTEST = 8
"""Characters below which bytes are not taken for UTF-16 unless half of them are NUL: a few make sense by chance."""
_ASCII = b"\0\t\n\f\r" + bytes(range(0x20, 0x7F))
_CJK = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]*|[\u3000-\u3020\uac00-\ud7a3\uff00-\uff1f]*")
_KOREAN = re.compile("[\t\n\r\x20-\x7e\u3000-\u3020\uac00-\ud7a3\uff00-\uff1f]*")


def wide_encoding(data: bytes) -> str | None:
    """Return UTF-16 or UTF-32 in its byte order, for bytes that make sense in one only; None for all others.

    Bytes without a NUL are recognised only if all of them are Chinese, Japanese or Korean: they would otherwise be
    letters of other encodings, so ask only for what is no text in those.
    """
    sensible = [encoding for encoding in _fitting(data) if _makes_sense(data, encoding)]
    if len(sensible) == 2:
        # Swapped Korean is Chinese of sorts, but nothing becomes Korean by chance.
        sensible = [encoding for encoding in sensible if _KOREAN.fullmatch(_read(data, encoding))]
    return sensible[0] if len(sensible) == 1 else None


def _fitting(data: bytes) -> list[str]:
    """Latin text in UTF-16 has a NUL in every second byte, on one side only; other text makes sense in one order."""
    zeros = [data[start:_SAMPLE:4].count(0) for start in range(4)]
    quarter, half = min(len(data), _SAMPLE) // 4, min(len(data), _SAMPLE) // 2
    if len(data) % 4 == 0 and zeros[3] == quarter and zeros[2] > quarter * 0.8:
        return ["utf-32-le"]
    if len(data) % 4 == 0 and zeros[0] == quarter and zeros[1] > quarter * 0.8:
        return ["utf-32-be"]
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if odd > half * 0.4 and even < half * 0.02:
        return ["utf-16-le"]
    if even > half * 0.4 and odd < half * 0.02:
        return ["utf-16-be"]
    if b"\0" in data and not data.translate(None, _ASCII):
        return []  # letters of ASCII with a NUL here and there are signs of Chinese in pairs, by chance
    return ["utf-16-le", "utf-16-be"] if half >= _SHORTEST and len(data) % 2 == 0 else []


def _makes_sense(data: bytes, encoding: str) -> bool:
    sample = _read(data, encoding)
    if b"\0" not in data:
        return _CJK.fullmatch(sample) is not None
    return all(
        letter in "\t\n\r\f\v\b\x1b" or unicodedata.category(letter) not in ("Cc", "Cn", "Co", "Cs")
        for letter in sample
    )


def _read(data: bytes, encoding: str) -> str:
    return data[:_SAMPLE].decode(encoding, "ignore")
