"""What goes through the pipes between the service and a worker: a head as JSON and a body as bytes, both bounded."""

import json
import struct
from collections.abc import Mapping
from typing import Any

_SIZES = struct.Struct(">IQ")
_MOST_HEAD = 4 << 20
"""Bytes of a head: a few numbers and names, and the places of up to some 100,000 pages or sheets."""
_MOST_BODY = 256 << 20
"""Bytes of a body: a file, or its text, which has at most 64,000,000 characters of up to four bytes."""

Frame = tuple[dict[str, Any], bytes]


class MalformedFrame(ValueError):
    """A frame that is larger than any may be, or is not one: whoever sent it does not keep to the protocol."""


def encode(head: Mapping[str, Any], body: bytes) -> list[bytes]:
    """Return a frame in pieces to be sent one after another, so that a large body is not copied.

    Raises MalformedFrame when it is over a limit.
    """
    words = json.dumps(head).encode()
    _check(len(words), len(body))
    return [_SIZES.pack(len(words), len(body)) + words, body]


class Decoder:
    """Puts frames together from the bytes that arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has arrived since the last frame."""
        return not self._buffer

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> Frame | None:
        """Return the next frame, or None as long as it is not complete. Raises MalformedFrame, at the first sign."""
        buffer = self._buffer
        if len(buffer) < _SIZES.size:
            return None
        words, size = _SIZES.unpack_from(buffer)
        # Before a byte of the body is waited for: sizes come from a process that has read a hostile file. JSON and
        # bytes instead of pickle, for the same reason: what a worker sends must not be able to run anything here.
        _check(words, size)
        start = _SIZES.size + words
        if len(buffer) < start + size:
            return None
        head = _head(bytes(buffer[_SIZES.size : start]))
        # The view must be gone before the buffer shrinks, and saves one copy of what may be 256 MB.
        body = bytes(memoryview(buffer)[start : start + size])
        del buffer[: start + size]
        return head, body


def _check(words: int, size: int) -> None:
    if words > _MOST_HEAD or size > _MOST_BODY:
        raise MalformedFrame(f"a head of {words:,} and a body of {size:,} bytes are too large")


def _head(words: bytes) -> dict[str, Any]:
    try:
        head = json.loads(words)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("the head is not JSON") from error
    if not isinstance(head, dict):
        raise MalformedFrame("the head is not an object")
    return head
