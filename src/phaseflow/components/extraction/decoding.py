"""Bytes to text: byte order mark, declaration, UTF-8, detection, in this order."""

import codecs
import re
from collections.abc import Callable, Sequence

from phaseflow.components.extraction.charsets import codec_of, is_wide
from phaseflow.components.extraction.encoding.damage import replaced
from phaseflow.components.extraction.encoding.wide import wide_encoding
from phaseflow.components.extraction.types import Raw
from phaseflow.domain.errors import DocumentError

_Declaration = Callable[[bytes], str | None]
"""Finds the charset that the first bytes of a document declare."""

HEAD = 4096
"""Bytes in which a declaration must stand; browsers look at 1,024, saved pages often put comments before it."""
_SAMPLE = 32_768
"""Bytes in which the signs of an encoding are looked for that a document has and does not declare."""
_SHIFTS = (b"\x1b$", b"~{")
FAR = 65_536
"""Bytes in which it is looked for when the document is not UTF-8: browsers begin again when they find it late."""
_CONTROL = bytes(set(range(1, 32)) - set(b"\t\n\r\f\x0b\x08\x1b"))
_REPLACEMENT = "\ufffd"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_THREE_BYTES = "[\u0800-\uffff]"
"""A pattern that takes long to compile, and that hardly any document needs."""
_PLAINLY = 8
"""Characters of two bytes of UTF-8, or half as many of three, that are no six or more of another encoding by chance."""
_OF_SEVEN_BITS = ("iso2022", "hz", "utf-7")
_OF_TWO_BYTES = frozenset(
    ("gb18030", "big5hkscs", "cp949", "cp932", "euc_jp", "euc_jis_2004", "shift_jis_2004", "johab")
)
_DOUBTFUL_SHARE = 0.3
"""Of the characters beyond ASCII: more damage than this, and a declared charset is in doubt."""
_VALID_FOR_EACH_BROKEN = 2
"""Characters of UTF-8: in other encodings most bytes beyond ASCII break it, in Chinese ones nine of ten."""
_LETTERS_FOR_EACH_SIGN = 5
_SHORTEST = 16
"""Bytes below which a NUL among them is no slip."""
_LETTERS_FOR_EACH_NUL = 12
_FEW = 4
"""NULs in a short text."""

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_BEGIN_OF_MARKS = frozenset(mark[:1] for mark, _ in _MARKS)


def text_of(raw: Raw, declaration: _Declaration | None = None) -> str:
    """Return the document as text with ``\\n`` line ends, without a byte order mark and without NULs.

    A NUL here and there in a text that is one otherwise is left out, as browsers do.
    Raises DocumentError ``unsupported_format`` when it is no text, ``decode_error`` when no encoding fits.
    """
    text = _decoded(raw, declaration)
    if "\0" in text:
        if not _has_few_nuls(raw.data):
            raise _not_text(raw.name)
        text = text.replace("\0", "")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decoded(raw: Raw, declaration: _Declaration | None) -> str:
    data = raw.data
    for mark, encoding in _MARKS if data[:1] in _BEGIN_OF_MARKS else ():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    usable = _usable(raw, declaration, HEAD)
    if usable and not data.isascii() and (text := _plainly_utf8(data, usable[0])) is not None:
        return text
    for codec in usable:
        if (text := _decoded_as(data, codec)) is not None:
            return text
    if (text := _damaged(data, usable)) is not None:
        return text
    if b"\0" in data:
        return _with_nuls(raw)
    if (shifted := _shifted(data)) and (text := _decoded_as(data, shifted)) is not None:
        return text
    text = _decoded_as(data, "utf-8")
    if text is None and not usable and (late := _usable(raw, declaration, FAR)):
        text = _decoded_as(data, late[0]) or _damaged(data, late)
    return _detected(raw) if text is None else text


def _usable(raw: Raw, declaration: _Declaration | None, head: int) -> list[str]:
    """Return the codecs that are declared for the document and in it."""
    if declaration is None and raw.charset is None:
        return []
    inside = codec_of(declaration(raw.data[:head])) if declaration else None
    # A declaration that could be read as bytes is not UTF-16: whoever writes that means Unicode (WHATWG).
    both = (codec_of(raw.charset), "utf-8" if inside and is_wide(inside) else inside)
    return [codec for codec in dict.fromkeys(both) if codec and not is_wide(codec)]


def _plainly_utf8(data: bytes, codec: str) -> str | None:
    """Return the text of bytes that are valid UTF-8 beyond ASCII, whatever is declared: they are none by chance, but
    for a few characters of encodings that have two bytes for each."""
    if codec == "utf-8" or codec.startswith(_OF_SEVEN_BITS):
        return None
    text = _decoded_as(data, "utf-8")
    if text is None or codec not in _OF_TWO_BYTES:
        return text
    beyond_ascii = sum(map(len, _BEYOND_ASCII.findall(text)))
    return text if beyond_ascii + len(re.findall(_THREE_BYTES, text)) >= _PLAINLY else None


def declared(data: bytes, label: str | None) -> str | None:
    """Return the bytes as text in a charset; None when there is no such charset, or they do not fit it."""
    codec = codec_of(label)
    return _decoded_as(data, codec) if codec else None


def believed(data: bytes, label: str | None) -> str | None:
    """Like ``declared``, of bytes of which a few may be damaged; None when so many are that the label is in doubt."""
    codec = codec_of(label)
    return _damaged(data, [codec]) if codec else None


def _decoded_as(data: bytes, codec: str) -> str | None:
    """Decode; None when the bytes do not fit, which many NULs do not but in UTF-16."""
    if b"\0" in data and not _has_few_nuls(data):
        return None
    try:
        return str(data, codec)
    except (LookupError, ValueError):
        return None


def _damaged(data: bytes, codecs_declared: Sequence[str]) -> str | None:
    """Decode bytes of which a few do not fit what is declared, each as U+FFFD; None when so many do not that it is in
    doubt, or when all of them are UTF-8.

    Browsers believe a declaration whatever it says. Here one damaged byte is always believed to be one, and more as
    long as they are a small part of what is not ASCII: the rest would not make sense in the codec by chance.
    """
    if not codecs_declared or (b"\0" in data and not _has_few_nuls(data)):
        return None
    # In 7 bits everything is UTF-8.
    is_shifted = b"\x1b" in data and codecs_declared[0].startswith("iso2022")
    if "utf-8" not in codecs_declared and not is_shifted and (text := _decoded_as(data, "utf-8")) is not None:
        return text
    for codec in codecs_declared:
        try:
            text = replaced(data, codec)
        except LookupError:
            continue  # a codec of Python that is no charset, such as rot13
        damaged = text.count(_REPLACEMENT)
        beyond_ascii = len(text) - len(_BEYOND_ASCII.sub("", text))
        if damaged <= 1 or damaged <= beyond_ascii * _DOUBTFUL_SHARE:
            return text
    return None


def _has_few_nuls(data: bytes) -> bool:
    """Few NULs and no other control character: a slip of whoever wrote the text, no binary format."""
    return (
        len(data) >= _SHORTEST
        and data.count(0) <= max(1 + len(data) // 100, min(len(data) // _LETTERS_FOR_EACH_NUL, _FEW))
        and len(data) == len(data.translate(None, _CONTROL))
    )


def _with_nuls(raw: Raw) -> str:
    text = _decoded_as(raw.data, "utf-8")
    if text is not None:
        return text
    # The bytes go before a header that says UTF-16: it does not know the order, and may be wrong altogether.
    if encoding := wide_encoding(raw.data):
        return raw.data.decode(encoding, "replace")
    codec = codec_of(raw.charset)
    if codec is None or not is_wide(codec):
        raise _not_text(raw.name)
    try:
        return raw.data.decode(codec)
    except UnicodeDecodeError as error:
        raise _not_text(raw.name) from error


def _shifted(data: bytes) -> str | None:
    # Most texts have neither sign, and one sign is found in a fraction of the time of two.
    if all(data.find(sign[:1], 0, _SAMPLE) < 0 or data.find(sign, 0, _SAMPLE) < 0 for sign in _SHIFTS):
        return None
    from phaseflow.components.extraction.detection import detect_shifted

    return detect_shifted(data)


def _detected(raw: Raw) -> str:
    # Here, since most jobs have UTF-8 only: with its patterns, it takes as long to import as reading a hundred files.
    from phaseflow.components.extraction.detection import detect

    data = raw.data
    sample = data[:_SAMPLE]
    if _is_binary(sample):
        if encoding := wide_encoding(data):
            return data.decode(encoding, "replace")
        raise _not_text(raw.name)
    if _is_damaged_utf8(sample):
        return data.decode("utf-8", "replace")
    encoding = detect(data)
    if encoding is None:
        raise _not_text(raw.name)
    for codec in (codec_of(encoding), encoding):
        if codec and (text := _decoded_as(data, codec)) is not None:
            return text
    message = f"the encoding of {raw.name} is neither declared nor clear; save it as UTF-8"
    raise DocumentError(message, code="decode_error")


def _is_binary(sample: bytes) -> bool:
    return len(sample) - len(sample.translate(None, _CONTROL)) > len(sample) // 100


def _is_damaged_utf8(sample: bytes) -> bool:
    """UTF-8 with a few broken bytes: no other encoding gives so many valid sequences by chance."""
    text = sample.decode("utf-8", "replace")
    broken = text.count(_REPLACEMENT)
    valid = len(text) - len(_BEYOND_ASCII.sub("", text)) - broken
    if valid >= max(_VALID_FOR_EACH_BROKEN * broken, 1):
        return True
    # In a line or two of Latin letters, no encoding of one byte has two signs in a row that are valid.
    return valid >= broken == 1 and (valid + broken) * _LETTERS_FOR_EACH_SIGN <= len(text)


def _not_text(name: str) -> DocumentError:
    """The error for bytes that are no text in any encoding."""
    message = f"A binary file is not supported: {name} is not text; exclude it"
    return DocumentError(message, code="unsupported_format", counts=False)
