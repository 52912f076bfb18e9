"""What goes through the pipes between the service and a worker: a head as JSON and a body as bytes."""

import json
import struct
from typing import Any

_SIZES = struct.Struct(">IQ")

Frame = tuple[dict[str, Any], bytes]


def encode(head: dict[str, Any], body: bytes) -> list[bytes]:
    """Return a frame in pieces to be sent one after another, so that a large body is not copied."""
    words = json.dumps(head).encode()
    return [_SIZES.pack(len(words), len(body)) + words, body]


class Decoder:
    """Puts frames together from the bytes that arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> Frame | None:
        """Return the next frame, or None as long as it is not complete."""
        buffer = self._buffer
        if len(buffer) < _SIZES.size:
            return None
        words, size = _SIZES.unpack_from(buffer)
        start = _SIZES.size + words
        if len(buffer) < start + size:
            return None
        head = json.loads(buffer[_SIZES.size : start])
        body = bytes(memoryview(buffer)[start : start + size])
        del buffer[: start + size]
        return head, body
