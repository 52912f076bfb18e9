"""Names of files: as URIs and back, without loss.

A name is kept as it is, but for two things: a byte that is no UTF-8 becomes ``%E9``, and a ``%`` that would be read
back as something else becomes ``%25``. So ``100%.md`` and ``a%41.md`` stay as they are, and no two names share a URI.
"""

import re

# Only bytes from 0x80 can fail to be UTF-8, so that only these escapes, and %25 itself, mean anything.
_AMBIGUOUS = re.compile("%(?=25|[89A-F][0-9A-F])")
_RAW_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPE = re.compile("%(25|[89A-F][0-9A-F])")
_SURROGATES = 0xDC00
"""``os.fsdecode`` maps the byte 0x80 to U+DC80 (PEP 383)."""


def uri_of(path: str) -> str:
    """Return the URI of a relative path as ``os.fsdecode`` gives it. The result is always valid Unicode."""
    plain = path if "%" not in path else _AMBIGUOUS.sub("%25", path)
    return plain if plain.isascii() else _RAW_BYTE.sub(_escape, plain)


def glob_of(written: str) -> str:
    """Return the same glob in valid Unicode, as ``Globs`` read it: bytes that are no UTF-8 stand as in a URI."""
    return _RAW_BYTE.sub(_escape, written)


def path_of(uri: str) -> str:
    """Return the relative path that has this URI: ``path_of(uri_of(path)) == path``."""
    return uri if "%" not in uri else _ESCAPE.sub(_unescape, uri)


def _escape(match: re.Match[str]) -> str:
    return f"%{ord(match[0]) - _SURROGATES:02X}"


def _unescape(match: re.Match[str]) -> str:
    return "%" if match[1] == "25" else chr(_SURROGATES + int(match[1], 16))
