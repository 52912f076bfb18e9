"""Whether a database holds what was stored: SQLite keeps no checksums, but passages and what was pushed have some.

Each passage has the hash of its text and of what stands above it, under which its vector is kept; what was pushed has
the digest of its bytes. A bit that was turned over in either is found, whatever the pages around it look like.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from phaseflow.store import schema
from phaseflow.store.documents import HASH_BYTES, text_hash
from phaseflow.store.pieces import piece_id, pieces_of
from phaseflow.store.states import DocumentState
from phaseflow.store.texts import SEGMENT

_NAMED: Final = 5
"""Documents named; one more is looked for, to say that there are others."""
_PIECE: Final = 1 << 20
_WITH_PASSAGES: Final = (
    "SELECT d.id, k.name, d.uri FROM documents AS d JOIN knowledge_bases AS k ON k.id = d.kb_id"
    f" WHERE d.state BETWEEN {DocumentState.CHUNKED} AND {DocumentState.FAILED:d} AND k.name IS NOT NULL ORDER BY d.id"
)
_PASSAGES: Final = f"SELECT start, stop, text_hash, context FROM chunks WHERE {pieces_of('id', '?1')} ORDER BY id"
_PUSHED: Final = (
    "SELECT p.id, k.name, p.uri, p.digest FROM pushed AS p JOIN knowledge_bases AS k ON k.id = p.kb_id"
    " WHERE p.content IS NOT NULL AND k.name IS NOT NULL ORDER BY p.id"
)


def changed_content(connection: sqlite3.Connection, is_stopped: Callable[[], bool] = lambda: False) -> str | None:
    """Which documents of a file are not what was stored, and what to do, in a line; None where all are. Blocking.

    Reads all texts and all that was pushed, a passage or a MiB at a time. A file that an older version wrote passes: it
    has yet to be brought to this one. Raises sqlite3.Error where it is interrupted, or ``is_stopped``: SQLite does not
    notice between many small statements.
    """
    if schema.identity(connection)[1] != schema.VERSION or schema.is_half_migrated(connection):
        return None
    # What is damaged may be no UTF-8 any more: then it is not what was stored, which is what is asked.
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    found = [
        _named(
            _changed_texts(connection, is_stopped),
            "the text of {} is not what was stored; phaseflow retry KB URI reads it again",
        ),
        _named(_changed_pushes(connection, is_stopped), "what was pushed as {} is not what was sent; push it again"),
    ]
    return "; ".join(each for each in found if each) or None


def _named(documents: Iterator[tuple[str, str]], words: str) -> str | None:
    found = [f"{uri} in {kb_id}" for kb_id, uri in islice(documents, _NAMED + 1)]
    if not found:
        return None
    return words.format(", ".join(found[:_NAMED]) + (" and others" if len(found) > _NAMED else ""))


def _changed_texts(connection: sqlite3.Connection, is_stopped: Callable[[], bool]) -> Iterator[tuple[str, str]]:
    for document, kb_id, uri in connection.execute(_WITH_PASSAGES):
        text = _slices(connection, document)
        for start, stop, digest, context in connection.execute(_PASSAGES, {"1": document}):
            _check_wanted(is_stopped)
            passage = text(start, stop)
            if text_hash(f"{context}\n\n{passage}" if context else passage) != digest:
                yield kb_id, uri
                break


def _slices(connection: sqlite3.Connection, document: int) -> Callable[[int, int], str]:
    """Slices of a document's text. Passages follow each other: the last segments that were read are kept."""
    kept: dict[int, str] = {}

    def segment(number: int) -> str:
        if number not in kept:
            row = connection.execute("SELECT text FROM texts WHERE id = ?", (piece_id(document, number),)).fetchone()
            while len(kept) > 1:
                del kept[next(iter(kept))]
            kept[number] = "" if row is None else row[0]
        return kept[number]

    def text(start: int, stop: int) -> str:
        first, last = start // SEGMENT, max(start, stop - 1) // SEGMENT
        begin = start - first * SEGMENT
        found = segment(first) if first == last else "".join(segment(each) for each in range(first, last + 1))
        return found[begin : begin + stop - start]

    return text


def _changed_pushes(connection: sqlite3.Connection, is_stopped: Callable[[], bool]) -> Iterator[tuple[str, str]]:
    for number, kb_id, uri, digest in connection.execute(_PUSHED):
        found = hashlib.blake2b(digest_size=HASH_BYTES)
        with connection.blobopen("pushed", "content", number, readonly=True) as blob:
            while piece := blob.read(_PIECE):
                _check_wanted(is_stopped)
                found.update(piece)
        if found.hexdigest() != digest:
            yield kb_id, uri


def _check_wanted(is_stopped: Callable[[], bool]) -> None:
    if is_stopped():
        raise sqlite3.OperationalError("interrupted")
