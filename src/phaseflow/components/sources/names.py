"""Names of files: as URIs and back, without loss, and those that uploaded files may have.

A name is kept as it is, but for two things: a byte that is no UTF-8 becomes ``%E9``, and a ``%`` that would be read
back as something else becomes ``%25``. So ``100%.md`` and ``a%41.md`` stay as they are, and no two names share a URI.
"""

import re
import unicodedata

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import hides_something

# Only bytes from 0x80 can fail to be UTF-8, so that only these escapes, and %25 itself, mean anything.
_AMBIGUOUS = re.compile("%(?=25|[89A-F][0-9A-F])")
_RAW_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPE = re.compile("%(25|[89A-F][0-9A-F])")
_SURROGATES = 0xDC00
"""``os.fsdecode`` maps the byte 0x80 to U+DC80 (PEP 383)."""
LONGEST_NAME = 255
"""Bytes of a file's name, or of a folder's before it; what the common file systems take."""
_LONGEST_PATH = 2048
"""Bytes of a relative path."""


def uri_of(path: str) -> str:
    """Return the URI of a relative path as ``os.fsdecode`` gives it. The result is always valid Unicode."""
    plain = path if "%" not in path else _AMBIGUOUS.sub("%25", path)
    return plain if plain.isascii() else _RAW_BYTE.sub(_escape, plain)


def path_of(uri: str) -> str:
    """Return the relative path that has this URI: ``path_of(uri_of(path)) == path``."""
    return uri if "%" not in uri else _ESCAPE.sub(_unescape, uri)


def _escape(match: re.Match[str]) -> str:
    return f"%{ord(match[0]) - _SURROGATES:02X}"


def _unescape(match: re.Match[str]) -> str:
    return "%" if match[1] == "25" else chr(_SURROGATES + int(match[1], 16))


def safe_name(name: str) -> str:
    """The name as it is kept: NFC, so that the same name typed on two systems is one document.

    It may be a path with ``/``, relative to the folder that was sent. Raises InvalidRequest, naming ``files``, for a
    name that could leave the folder, hide in it, or mislead readers.
    """
    kept = unicodedata.normalize("NFC", name)
    fault = next((fault for part in kept.split("/") if (fault := _fault(part))), None)
    if fault is None and len(kept.encode()) > _LONGEST_PATH:
        fault = f"is longer than {_LONGEST_PATH} bytes with its folders"
    if fault:
        raise InvalidRequest("files", f"the name {name[:100]!r} {fault}; rename the file")
    return kept


def _fault(name: str) -> str | None:
    if not name.strip():
        return "is empty, or one of the folders in it is"
    if name.startswith("."):
        return "begins with a dot, or one of the folders in it does, and what is hidden is not read"
    if "\\" in name:
        return "holds a backslash; put a slash between folders"
    if hides_something(name):
        return "holds characters that cannot be seen"
    if len(name.encode()) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return None
