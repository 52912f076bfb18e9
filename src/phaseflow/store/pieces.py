"""The ids of what a document consists of: its chunks and passages, and the segments of its text.

The id of a piece is computed: that of its document, shifted, plus its number. So the pieces of a document are one range
of the key, no index is needed to find them, and what is stored again after a crash takes the place of itself.
"""

from typing import Final

PIECE_BITS: Final = 20
MOST_PIECES: Final = 1 << PIECE_BITS
"""A document has fewer."""


def piece_id(document_id: int, number: int) -> int:
    """The id of piece ``number``, from 0, of a document."""
    return (document_id << PIECE_BITS) + number


def piece_number(key: int) -> int:
    """The number of a piece in its document, by its id."""
    return key & (MOST_PIECES - 1)


def document_of(piece_id: str) -> str:
    """SQL for the id of the document that a piece belongs to; ``piece_id`` is SQL, too."""
    return f"({piece_id} >> {PIECE_BITS})"


def number_of(piece_id: str) -> str:
    """SQL for the number of a piece in its document."""
    return f"({piece_id} & {MOST_PIECES - 1})"


def pieces_of(piece_id: str, document_id: str, *, first: str = "0", before: str = str(MOST_PIECES)) -> str:
    """The condition in SQL that a piece belongs to a document: those from number ``first`` up to ``before``."""
    base = f"(({document_id}) << {PIECE_BITS})"
    return f"({piece_id} >= {base} + ({first}) AND {piece_id} < {base} + ({before}))"
