"""Bytes to text: byte order mark, declaration, UTF-8, detection, in this order."""

import codecs
import re
import unicodedata
from collections.abc import Callable

from phaseflow.components.extraction.shapes import Raw
from phaseflow.domain.errors import DocumentError

Declaration = Callable[[bytes], str | None]
"""Finds the charset that the first bytes of a document declare."""

HEAD = 4096
"""Bytes in which a declaration must stand; browsers look at 1,024, saved pages often put comments before it."""
_SAMPLE = 32_768
"""Bytes given to detection: enough to tell encodings apart, and a few milliseconds whatever the file's size."""
_WESTERN = ("cp1252", "cp850", "mac_roman")
# In the wrong one of the three there are signs among the letters.
_WESTERN_TEXT = re.compile("[\x00-\x7f\xa0àâäéèêëîïôöùûüçñáíóúãõåæøœßÀÂÄÉÈÊÎÔÖÛÜÇÑÁÍÓÚÅÆØ¿¡«»–—…’€°§©®]*")
_SHORTEST = 8
"""Characters below which bytes with NULs are not taken for UTF-16: a few make sense by chance."""
_JAPANESE_SHIFT = re.compile(rb"\x1b\$[@B]")
_KANA = re.compile("[\u3041-\u30ff]")
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x0b\x08\x1b"))

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What documents call by one name and mean by another (WHATWG Encoding): the right one is a superset.
_MEANT = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
}
# What detection chooses from. Without this it answers hp_roman8 or mac_iceland for short western texts. A tie goes to
# the first, so that a French text is not taken for Polish.
_CANDIDATES = (
    "cp1252", "cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1250", "iso8859_2", "cp1251", "koi8_r", "cp866",
    "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "tis_620", "mac_roman", "cp850", "iso2022_jp",
)  # fmt: skip


def text_of(raw: Raw, declaration: Declaration | None = None) -> str:
    """Return the document as text with ``\\n`` line ends and without a byte order mark.

    Raises DocumentError ``unsupported_format`` when it is no text, ``decode_error`` when no encoding fits.
    """
    text = _decoded(raw, declaration)
    if "\0" in text:
        raise not_text(raw.name)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decoded(raw: Raw, declaration: Declaration | None) -> str:
    data = raw.data
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    for label in (raw.charset, declaration(data[:HEAD]) if declaration else None):
        text = _declared(data, label)
        if text is not None:
            return text
    if b"\0" in data:
        return data.decode(_utf16_without_mark(raw), "replace")
    if _JAPANESE_SHIFT.search(data, 0, _SAMPLE) and (text := _declared(data, "iso2022_jp")) is not None:
        return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _detected(raw)


def _declared(data: bytes, label: str | None) -> str | None:
    """Decode as declared; None when there is no such encoding, or the bytes do not fit it."""
    try:
        encoding = codecs.lookup(label.strip()).name if label else None
        # A declaration that could be read as bytes is not UTF-16, whatever it says.
        if encoding is None or (encoding.startswith(("utf-16", "utf-32")) and data[:HEAD].isascii()):
            return None
        return str(data, _MEANT.get(encoding, encoding))
    except (LookupError, ValueError):
        return None


def _detected(raw: Raw) -> str:
    data = raw.data
    encoding = _guess(data, raw.name)
    if encoding == "utf-8":
        return data.decode("utf-8", "replace")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"the encoding of {raw.name} is neither declared nor clear; save it as UTF-8"
        raise DocumentError(message, code="decode_error") from error


def _utf16_without_mark(raw: Raw) -> str:
    """Latin text in UTF-16 has a NUL in every second byte, on one side only; other text makes sense in one order."""
    data = raw.data
    even, odd = data[:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
    half = min(len(data), _SAMPLE) // 2
    if odd > half * 0.4 and even < half * 0.02:
        fitting = ["utf-16-le"]
    elif even > half * 0.4 and odd < half * 0.02:
        fitting = ["utf-16-be"]
    else:
        fitting = ["utf-16-le", "utf-16-be"] if half >= _SHORTEST and len(data) % 2 == 0 else []
    sensible = [encoding for encoding in fitting if _makes_sense(data[:_SAMPLE].decode(encoding, "ignore"))]
    if len(sensible) != 1:
        raise not_text(raw.name)
    return sensible[0]


def _makes_sense(sample: str) -> bool:
    return all(
        letter in "\t\n\r\f\v\b\x1b" or unicodedata.category(letter) not in ("Cc", "Cn", "Co", "Cs")
        for letter in sample
    )


def _guess(data: bytes, name: str) -> str:
    from charset_normalizer import from_bytes

    sample = _sample(data)
    if _is_binary(sample):
        raise not_text(name)
    if _is_damaged_utf8(sample):
        return "utf-8"
    for encoding in ("cp932", "euc_jp"):
        if _is_japanese(sample, encoding):
            return encoding
    matches = list(from_bytes(sample, cp_isolation=list(_CANDIDATES)))
    if not matches:
        raise not_text(name)
    best = matches[0]
    ties = {match.encoding for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence)}
    encoding = _CANDIDATES[0] if _CANDIDATES[0] in ties else best.encoding
    if encoding not in _WESTERN:
        return encoding
    return next((each for each in _WESTERN if _WESTERN_TEXT.fullmatch(sample.decode(each, "replace"))), encoding)


def _sample(data: bytes) -> bytes:
    if len(data) <= _SAMPLE:
        return data
    cut = data.rfind(b"\n", 0, _SAMPLE)
    return data[: cut if cut > 0 else _SAMPLE]


def _is_binary(sample: bytes) -> bool:
    return len(sample) - len(sample.translate(None, _CONTROL)) > len(sample) // 100


def _is_damaged_utf8(sample: bytes) -> bool:
    """UTF-8 with a few broken bytes: no other encoding gives so many valid sequences by chance."""
    text = sample.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(re.sub(r"[^\x00-\x7f]", "", text))
    return beyond_ascii - broken > 10 * broken


def _is_japanese(sample: bytes, encoding: str) -> bool:
    """A fifth of Japanese text is kana, which no other text is by chance; detection takes a short one for Korean."""
    text = sample.decode(encoding, "ignore")
    beyond_ascii = len(re.sub(r"[\x00-\x7f]", "", text))
    return len(_KANA.findall(text)) > max(2, beyond_ascii // 5)


def not_text(name: str) -> DocumentError:
    """The error for bytes that are no text in any encoding."""
    message = f"A binary file is not supported: {name} is no text; exclude it"
    return DocumentError(message, code="unsupported_format", counts=False)
