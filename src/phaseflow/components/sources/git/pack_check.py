"""A look at a pack before anything in it is unpacked into memory."""

import zlib
from collections.abc import Callable
from typing import IO

from phaseflow.domain.errors import ComponentUnavailable

_MAX_OBJECT = 256 * 1024 * 1024
"""Bytes of one object, unpacked: each is in memory while a pack is taken in."""
_HEAD = 12
_PIECE = 1 << 16
_OFFSET_DELTA, _REFERENCE_DELTA = 6, 7
_DAMAGED = "the repository's server sent a damaged pack; try again later"
_SIZES = 20
"""Bytes in which a delta says the sizes of its base and its result."""


def check_pack(
    pack: IO[bytes],
    id_bytes: int = 20,
    max_object: int = _MAX_OBJECT,
    may_go_on: Callable[[], None] = lambda: None,
) -> None:
    """Raise ComponentUnavailable when an object of a pack is larger than ``max_object``, or it is not a pack.

    https://git-scm.com/docs/pack-format. Memory does not grow with what is packed; the time is that of unpacking it,
    of no object more than the size that its head says. ``may_go_on`` is called once for each 64 KiB unpacked, and ends
    the look by raising.
    """
    pack.seek(0)
    head = pack.read(_HEAD)
    if len(head) < _HEAD or head[:4] != b"PACK":
        raise ComponentUnavailable("the repository's server sent something that is not a pack; try again later")
    for _ in range(int.from_bytes(head[8:12])):
        kind, size = _object_head(pack)
        if kind == _OFFSET_DELTA:
            while _byte(pack) & 0x80:
                pass
        elif kind == _REFERENCE_DELTA:
            pack.read(id_bytes)
        _check(size, max_object)
        first = _skip(pack, size, may_go_on)
        if kind in {_OFFSET_DELTA, _REFERENCE_DELTA}:
            base, at = _number(first, 0)
            _check(max(base, _number(first, at)[0]), max_object)


def _check(size: int, max_object: int) -> None:
    if size > max_object:
        raise ComponentUnavailable(
            f"the repository holds a file of {size:,} bytes, more than the {max_object:,} that are taken in;"
            " keep it elsewhere"
        )


def _object_head(pack: IO[bytes]) -> tuple[int, int]:
    byte = _byte(pack)
    kind, size, shift = byte >> 4 & 7, byte & 15, 4
    while byte & 0x80:
        byte = _byte(pack)
        size |= (byte & 0x7F) << shift
        shift += 7
    return kind, size


def _skip(pack: IO[bytes], size: int, may_go_on: Callable[[], None]) -> bytes:
    """Go to the end of a compressed object of this size; return its first bytes."""
    stream, data, first = zlib.decompressobj(), b"", b""
    left = size
    while not stream.eof:
        may_go_on()
        data = data or pack.read(_PIECE)
        if not data:
            raise ComponentUnavailable("the repository's server sent a pack that ends too early; try again later")
        try:
            found = stream.decompress(data, _PIECE)
        except zlib.error as error:
            raise ComponentUnavailable(_DAMAGED) from error
        # Not looked at behind the end: there it names what `unused_data` has, and to unpack that once more never ends.
        data = stream.unconsumed_tail
        first = (first + found)[:_SIZES] if len(first) < _SIZES else first
        left -= len(found)
        if left < 0:
            break
    if left:
        raise ComponentUnavailable(_DAMAGED)
    pack.seek(-len(stream.unused_data), 1)
    return first


def _byte(pack: IO[bytes]) -> int:
    found = pack.read(1)
    if not found:
        raise ComponentUnavailable("the repository's server sent a pack that ends too early; try again later")
    return found[0]


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data):
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            break
    return number, at
