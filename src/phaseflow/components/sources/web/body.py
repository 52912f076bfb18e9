"""The body of an answer, unpacked while it arrives, within limits of size and ratio."""

import zlib
from collections.abc import Iterator, Sequence

from phaseflow.components.sources.web.limits import Limits
from phaseflow.domain.errors import DocumentError

ACCEPTED = "gzip, deflate"
GZIP = b"\x1f\x8b"
_PIECE = 256 * 1024
"""Bytes unpacked in one step, and so the most by which a limit is passed."""
_SMALL = 1024 * 1024
"""Below this a ratio says nothing: a page of blanks is no bomb."""
_MOST_LAYERS = 3
"""A proxy that packs again what is packed makes two."""
_PLAIN = frozenset(("", "identity"))
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW = -15


class Body:
    """Takes the bytes of one answer as they come and keeps what they unpack to.

    ``feed`` raises DocumentError: ``too_large``, ``malformed`` (bytes that do not unpack), ``unsupported_encoding``.
    With ``cut`` it keeps the first ``max_bytes`` and ``is_full`` turns true instead.
    """

    def __init__(self, url: str, encoding: str, limits: Limits, *, cut: bool = False) -> None:
        self._url = url
        self._limits = limits
        self._cut = cut
        self._unpackers = _unpackers(url, encoding)
        self._between = 0
        self._pieces: list[bytes] = []
        self.received = 0
        """Bytes as they came, packed."""
        self.size = 0

    @property
    def is_full(self) -> bool:
        return self._cut and self.size >= self._limits.max_bytes

    def feed(self, data: bytes) -> None:
        self.received += len(data)
        for piece in self._unpacked(data):
            self.size += len(piece)
            self._pieces.append(piece)
            if self.is_full:
                return
            self._check()

    def whole(self) -> bytes:
        """Return everything that came. Raises DocumentError ``malformed`` when the packed stream has no end."""
        if not self.is_full and not all(unpacker.is_complete for unpacker in self._unpackers):
            raise _malformed(self._url)
        data = b"".join(self._pieces)
        return data[: self._limits.max_bytes] if self._cut else data

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        try:
            yield from self._through(data, self._unpackers)
        except zlib.error as error:
            raise _malformed(self._url) from error

    def _through(self, data: bytes, unpackers: Sequence["Unpacker"]) -> Iterator[bytes]:
        if not unpackers:
            yield data
            return
        first, *rest = unpackers
        for piece in first.unpack(data):
            if rest:
                self._between += len(piece)
                if self._between > self._limits.max_bytes:
                    raise self._too_large()
            yield from self._through(piece, rest)

    def _check(self) -> None:
        if self.size > self._limits.max_bytes:
            raise self._too_large()
        if self.size > _SMALL and self.size > self.received * self._limits.max_ratio:
            raise DocumentError(
                f"{self._url} unpacks to more than {self._limits.max_ratio} times its size, and is not read",
                code="too_large",
            )

    def _too_large(self) -> DocumentError:
        message = f"{self._url} has more than the {self._limits.max_bytes:,} bytes that are read; exclude it"
        return DocumentError(message, code="too_large")


class Unpacker:
    """Unpacks gzip (of any number of members) or deflate (with or without its envelope) in bounded pieces."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._stream = zlib.decompressobj(window)
        self._began = False

    @property
    def is_complete(self) -> bool:
        return self._stream.eof or not self._began

    def unpack(self, data: bytes) -> Iterator[bytes]:
        more = bool(data)
        while more:
            if self._stream.eof:
                # Another member, or padding that everybody passes over.
                if not data.startswith(GZIP):
                    return
                self._stream = zlib.decompressobj(self._window)
            piece = self._decompress(data)
            self._began = True
            yield piece
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            # A full piece can leave output behind when all input is used up.
            more = bool(data) or len(piece) == _PIECE

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._stream.decompress(data, _PIECE)
        except zlib.error:
            if self._began or self._window != _WINDOW["deflate"]:
                raise
            # Half of the servers that say deflate leave out the envelope.
            self._window = _RAW
            self._stream = zlib.decompressobj(_RAW)
            return self._stream.decompress(data, _PIECE)


def _malformed(url: str) -> DocumentError:
    """The error for an answer whose packing is broken."""
    return DocumentError(
        f"the answer of {url} is compressed incorrectly; fix the server or exclude it", code="malformed"
    )


def _unpackers(url: str, encoding: str) -> list[Unpacker]:
    """The layers of an answer in the order in which they come off: the reverse of that in which they are named."""
    names = [name for each in encoding.split(",") if (name := each.strip().lower()) not in _PLAIN]
    if len(names) > _MOST_LAYERS or any(name not in _WINDOW for name in names):
        message = f"{url} is compressed as {encoding[:100]!r}, which was not asked for; fix the server or exclude it"
        raise DocumentError(message, code="unsupported_encoding")
    return [Unpacker(_WINDOW[name]) for name in reversed(names)]
