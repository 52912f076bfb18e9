"""Which names uploaded files may have."""

import unicodedata

from phaseflow.domain.errors import InvalidRequest

LONGEST_NAME = 255
"""Bytes; what the common file systems take."""
_SEPARATORS = frozenset("/\\")
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of surrogate pairs, separators of lines and paragraphs."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They can make ``exe.md`` out of ``dm.exe`` for the eye."""


def safe_name(name: str) -> str:
    """The name as it is kept: NFC, so that the same name typed on two systems is one document.

    Raises InvalidRequest, naming ``files``, for a name that could leave the folder, hide in it, or mislead readers.
    """
    kept = unicodedata.normalize("NFC", name)
    if fault := _fault(kept):
        raise InvalidRequest("files", f"the name {name[:100]!r} {fault}; rename the file")
    return kept


def _fault(name: str) -> str | None:
    if not name.strip():
        return "is empty"
    if name.startswith("."):
        return "begins with a dot, and hidden files are not read"
    if any(letter in _SEPARATORS for letter in name):
        return "holds a path; send the name of the file alone"
    if any(unicodedata.category(letter) in _UNSEEN or letter in _TURNING for letter in name):
        return "holds characters that cannot be seen"
    if len(name.encode()) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return None
