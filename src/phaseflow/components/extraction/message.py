"""E-mail taken apart: parts, whose headers read as people see them.

Not by ``email.policy.default``: its parser takes time that is quadratic in the length of a header, 7 s for a letter to
20,000 recipients. Here a header is a string until somebody wants to read it.
"""

import re
from base64 import b64decode
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message
from email.policy import Compat32
from email.utils import collapse_rfc2231_value
from itertools import groupby
from quopri import decodestring
from typing import Any

from phaseflow.components.extraction.decoding import believed, declared

_MIME = "content-"
_LONGEST = 8192
"""Characters of a header about content that are read: to find a parameter in it takes quadratic time."""
# An encoded word (RFC 2047). No class holds the sign that ends it, so that a match takes linear time.
_WORD = r"=\?([^?\s]{1,80})\?([bBqQ])\?([^?]*)\?="
_WORDS = re.compile(rf"{_WORD}(?: ?{_WORD})*")
_EACH = re.compile(_WORD)


class Part(Message):
    """A message, or a part of one. Whatever its headers say, none of this raises."""

    @classmethod
    def parse(cls, data: bytes) -> "Part":
        """Return a mail as a tree. Raises RecursionError for parts that are nested beyond reason."""
        message = message_from_bytes(data, cls, policy=_Policy())
        assert isinstance(message, cls)
        return message

    @property
    def parts(self) -> "Sequence[Part]":
        """What a multipart holds, or the message in a forwarded one; nothing for all others."""
        # Asked for the content of a text, the standard library decodes it, and fails at a charset that is none.
        payload = self.get_payload() if self.is_multipart() else []
        return [each for each in payload if isinstance(each, Part)] if isinstance(payload, list) else []

    @property
    def data(self) -> bytes:
        """The content, without its transfer encoding."""
        payload = self.get_payload(decode=True)
        return payload if isinstance(payload, bytes) else b""

    @property
    def file_name(self) -> str:
        """The name to save it under; ``""`` for none."""
        return self._readable(self.get_filename() or "")

    @property
    def is_attachment(self) -> bool:
        """Whether it says that it is not to be shown with the text."""
        return self.get("Content-Disposition", "").partition(";")[0].strip().lower() == "attachment"

    def header(self, name: str) -> str:
        """Return a header in one line, its letters decoded; ``""`` for none."""
        return self._readable(self.get(name, ""))

    @property
    def fields(self) -> str:
        """All headers, one in a line."""
        return "\n".join(f"{name}: {self.header(name)}" for name in dict.fromkeys(self.keys()))

    def get_param(self, param: str, failobj: Any = None, header: str = "content-type", unquote: bool = True) -> Any:
        """Return a parameter as a string. The standard library's own methods, and its parser, ask here too."""
        try:
            value = super().get_param(param, failobj, header, unquote)
            return collapse_rfc2231_value(value) if isinstance(value, tuple) else value
        except (ValueError, TypeError):
            # A charset with a NUL, a piece without a number among numbered ones: the rest of the mail is worth more.
            return failobj

    def _readable(self, header: str) -> str:
        data = header.encode("utf-8", "surrogateescape")
        text = header if data.isascii() else _text(data, "utf-8", self.get_content_charset())
        line = " ".join(text.split())
        return " ".join(_WORDS.sub(_decoded, line).split()) if "=?" in line else line


class _Policy(Compat32):
    """Headers as they came, those that are taken apart cut to a length that can be."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_LONGEST] if name.lower().startswith(_MIME) else value

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


def _decoded(words: re.Match[str]) -> str:
    # Programs cut a letter in two between words of one charset: their bytes come together first.
    runs = groupby(_EACH.findall(words[0]), key=lambda word: word[0].partition("*")[0].lower())
    return "".join(_as_said(b"".join(_bytes(how, code) for _, how, code in run), charset) for charset, run in runs)


def _bytes(how: str, code: str) -> bytes:
    data = code.encode("utf-8", "surrogateescape")
    if how in "qQ":
        return decodestring(data, header=True)
    try:
        return b64decode(data + b"===")
    except ValueError:
        return data


def _as_said(data: bytes, charset: str) -> str:
    text = declared(data, charset)
    if text is None:
        text = believed(data, charset)
    return _text(data, "utf-8") if text is None else text


def _text(data: bytes, *charsets: str | None) -> str:
    """Decode by the first charset that fits, else as Western: detection takes a name as short as Jörg for Chinese."""
    found = (declared(data, charset) for charset in (*charsets, "cp1252"))
    return next((text for text in found if text is not None), data.decode("latin-1"))
