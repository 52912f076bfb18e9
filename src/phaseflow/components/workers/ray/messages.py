"""What the service, its driver and the workers of a cluster tell each other: frames, and frames within frames.

No side unpickles what a worker says: a hostile document may have taken it over.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.answers import FAILED, READ, outcome
from phaseflow.components.workers.frames import Decoder, Frame, MalformedFrame, encode
from phaseflow.components.workers.protocol import Outcome, RawDocument
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import ComponentError, DocumentError, WorkerLost, WorkerUnavailable

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors

READY, CAPACITY, DOWN = "ready", "capacity", "down"
DONE, LOST, GONE, REFUSED, UNAVAILABLE = "done", "lost", "gone", "refused", "unavailable"
_SHAPE = struct.Struct("<II")


def documents(batch: Sequence[RawDocument]) -> bytes:
    """A batch of documents, as it goes to a worker. Raises MalformedFrame for one that is too large."""
    pieces: list[bytes] = []
    for each in batch:
        pieces += encode({"name": each.name, "charset": each.charset, "type": each.media_type}, each.data)
    return b"".join(pieces)


def frames(data: bytes) -> Iterator[Frame]:
    """The frames in some bytes. Raises MalformedFrame where they are none."""
    decoder = Decoder()
    decoder.feed(data)
    while (frame := decoder.take()) is not None:
        yield frame
    if not decoder.is_empty:
        raise MalformedFrame("the last frame is not complete")


def outcomes(found: Sequence[Extracted | ComponentError]) -> bytes:
    """What became of the documents of a batch, as a worker tells it."""
    return b"".join(piece for each in found for piece in _encoded(each))


def read_outcomes(data: bytes, names: Sequence[str]) -> list[Outcome]:
    """What became of the documents of a batch. Raises MalformedFrame when it is not that."""
    found = [_outcome(frame) for frame in frames(data)]
    if len(found) != len(names):
        raise MalformedFrame(f"{counted(len(found), 'outcome')} for {counted(len(names), 'document')}")
    return found


def vectors(found: "Vectors") -> bytes:
    """Vectors as bytes: their number, their length, and the numbers as float32."""
    rows, columns = found.shape if found.ndim == 2 else (0, 0)
    return _SHAPE.pack(rows, columns) + found.astype("<f4").tobytes()


def read_vectors(data: bytes) -> "Vectors":
    """Vectors from bytes. Raises MalformedFrame when they are not that."""
    import numpy as np

    if len(data) < _SHAPE.size or len(data) != _SHAPE.size + 4 * int(np.prod(_SHAPE.unpack_from(data), dtype=np.int64)):
        raise MalformedFrame("the vectors are not complete")
    rows, columns = _SHAPE.unpack_from(data)
    return np.frombuffer(data, "<f4", offset=_SHAPE.size).reshape(rows, columns)


def code_version() -> str:
    """Changes whenever the code of this package does: two that differ might read a document in two ways."""
    digest, root = blake2b(digest_size=8), Path(__file__).parents[3]
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _encoded(found: Extracted | ComponentError) -> list[bytes]:
    if isinstance(found, Extracted):
        said = {
            "title": found.title, "type": found.media_type, "read_as": found.read_as, "parts": found.parts,
            "metadata": dict(found.metadata),
        }  # fmt: skip
        return encode({"status": READ, **said}, found.text.encode())
    return encode(_said(found), b"")


def _said(error: ComponentError) -> Mapping[str, Any]:
    if isinstance(error, DocumentError):
        return {"status": FAILED, "code": error.code, "message": str(error), "counts": error.counts}
    return {"status": UNAVAILABLE if isinstance(error, WorkerUnavailable) else LOST, "message": str(error)}


def _outcome(frame: Frame) -> Outcome:
    head, _ = frame
    if head.get("status") == LOST:
        return WorkerLost(str(head.get("message")))
    if head.get("status") == UNAVAILABLE:
        return WorkerUnavailable(str(head.get("message")))
    return outcome(frame)
