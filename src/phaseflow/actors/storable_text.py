"""Text as UTF-8 and SQLite's functions can hold it."""

import re

from phaseflow.store import texts

_SURROGATE = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    """The same number of characters, without those that UTF-8 and SQLite's functions cannot hold.

    In pieces: encoding a text of 64 MB in one call would keep the interpreter lock for a tenth of a second.
    """
    pieces = [text[start : start + texts.SEGMENT] for start in range(0, len(text), texts.SEGMENT)]
    clean = [_clean(piece) for piece in pieces]
    return text if all(a is b for a, b in zip(pieces, clean, strict=True)) else "".join(clean)


def _clean(piece: str) -> str:
    if "\0" in piece:
        piece = piece.replace("\0", " ")
    try:
        piece.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", piece)
    return piece
