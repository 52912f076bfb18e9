"""Bytes to text: byte order mark, declaration, UTF-8, detection, in this order."""

import codecs
import re
import unicodedata
from collections.abc import Callable

from phaseflow.components.extraction.charsets import codec_of
from phaseflow.components.extraction.detection import SAMPLE, detect, detect_shifted
from phaseflow.components.extraction.shapes import Raw
from phaseflow.domain.errors import DocumentError

Declaration = Callable[[bytes], str | None]
"""Finds the charset that the first bytes of a document declare."""

HEAD = 4096
"""Bytes in which a declaration must stand; browsers look at 1,024, saved pages often put comments before it."""
_SHORTEST = 8
"""Characters below which bytes with NULs are not taken for UTF-16: a few make sense by chance."""
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x0b\x08\x1b"))

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


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
    if (text := _declared(data, detect_shifted(data))) is not None:
        return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _detected(raw)


def _declared(data: bytes, label: str | None) -> str | None:
    """Decode as declared; None when there is no such encoding, or the bytes do not fit it."""
    encoding = codec_of(label)
    # A declaration that could be read as bytes is not UTF-16, whatever it says.
    if encoding is None or (encoding.startswith(("utf-16", "utf-32")) and data[:HEAD].isascii()):
        return None
    try:
        return str(data, encoding)
    except (LookupError, ValueError):
        return None


def _detected(raw: Raw) -> str:
    data = raw.data
    sample = data[:SAMPLE]
    if _is_binary(sample):
        raise not_text(raw.name)
    if _is_damaged_utf8(sample):
        return data.decode("utf-8", "replace")
    encoding = detect(data)
    if encoding is None:
        raise not_text(raw.name)
    text = _declared(data, encoding)
    if text is None:
        message = f"the encoding of {raw.name} is neither declared nor clear; save it as UTF-8"
        raise DocumentError(message, code="decode_error")
    return text


def _utf16_without_mark(raw: Raw) -> str:
    """Latin text in UTF-16 has a NUL in every second byte, on one side only; other text makes sense in one order."""
    data = raw.data
    even, odd = data[:SAMPLE:2].count(0), data[1:SAMPLE:2].count(0)
    half = min(len(data), SAMPLE) // 2
    if odd > half * 0.4 and even < half * 0.02:
        fitting = ["utf-16-le"]
    elif even > half * 0.4 and odd < half * 0.02:
        fitting = ["utf-16-be"]
    else:
        fitting = ["utf-16-le", "utf-16-be"] if half >= _SHORTEST and len(data) % 2 == 0 else []
    sensible = [encoding for encoding in fitting if _makes_sense(data[:SAMPLE].decode(encoding, "ignore"))]
    if len(sensible) != 1:
        raise not_text(raw.name)
    return sensible[0]


def _makes_sense(sample: str) -> bool:
    return all(
        letter in "\t\n\r\f\v\b\x1b" or unicodedata.category(letter) not in ("Cc", "Cn", "Co", "Cs")
        for letter in sample
    )


def _is_binary(sample: bytes) -> bool:
    return len(sample) - len(sample.translate(None, _CONTROL)) > len(sample) // 100


def _is_damaged_utf8(sample: bytes) -> bool:
    """UTF-8 with a few broken bytes: no other encoding gives so many valid sequences by chance."""
    text = sample.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(re.sub(r"[^\x00-\x7f]", "", text))
    return beyond_ascii - broken > 10 * broken


def not_text(name: str) -> DocumentError:
    """The error for bytes that are no text in any encoding."""
    message = f"A binary file is not supported: {name} is no text; exclude it"
    return DocumentError(message, code="unsupported_format", counts=False)
