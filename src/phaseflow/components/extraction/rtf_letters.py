"""The letters of RTF: bytes in the encoding of their font, and numbers of Unicode with a substitute behind them."""

import re
from collections.abc import Callable

from phaseflow.components.extraction.rtf_state import Group
from phaseflow.components.extraction.symbol_fonts import shown

_LETTER = re.compile(r"[^\x00-\x7f]")


def as_numbers(data: bytes) -> bytes:
    """Return RTF whose letters are known to be UTF-8 with each beyond ASCII as RTF writes Unicode, where bytes are of a
    code page."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    return _LETTER.sub(_number, text).encode()


def _number(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-le")
    numbers = (int.from_bytes(units[at : at + 2], "little", signed=True) for at in range(0, len(units), 2))
    return "".join(f"{{\\uc1\\u{number}?}}" for number in numbers)


class Letters:
    """Collects bytes until something else comes, and hands on text."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.encoding = "cp1252"
        self._write = write
        self._bytes = bytearray()
        self.to_skip = 0
        """Bytes of the substitute that are still to come. Braces and words end it."""
        self._high = 0

    def unicode(self, number: int, group: Group) -> None:
        self.to_skip = group.unicode_skip
        unit = number & 0xFFFF
        if 0xD800 <= unit < 0xDC00:
            self._high = unit
            return
        if 0xDC00 <= unit < 0xE000:
            high, self._high = self._high, 0
            if high:
                self._write(chr(0x10000 + ((high - 0xD800) << 10) + unit - 0xDC00))
            return
        self._high = 0
        self._write(shown(unit, group.symbols) if group.symbols else chr(unit))

    def byte(self, value: int) -> None:
        if self.to_skip:
            self.to_skip -= 1
        else:
            self._bytes.append(value)

    def text(self, text: bytes) -> None:
        skipped, self.to_skip = self.to_skip, max(self.to_skip - len(text), 0)
        # The second byte of a double-byte character may be an ordinary letter.
        self._bytes += text[skipped:]

    def flush(self, group: Group) -> None:
        if not self._bytes:
            return
        self._high = 0
        if group.symbols:
            text = "".join(shown(code, group.symbols) for code in self._bytes)
        else:
            text = self._bytes.decode(group.encoding or self.encoding, "replace")
        self._bytes.clear()
        self._write(text)
