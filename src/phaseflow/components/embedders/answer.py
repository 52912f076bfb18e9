"""The answer of an embedding server, read within bounds that follow from what was asked."""

import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from phaseflow.components.sources.web.body import Unpacker
from phaseflow.domain.errors import TransientError

ACCEPTED = "gzip, deflate"
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_LARGEST_DIMENSION = 12_288
"""Numbers in a vector, where nothing is known; no model in use has more."""
_NUMBER_BYTES = 32
"""A number as JSON, with its comma and indentation."""
_ROW_BYTES = 1024
"""What stands around a vector."""
_ROUND_BYTES = 65_536
"""What stands around all of them. An error has no more."""
_ROW_BRACKETS = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one call; ``content`` is unpacked. Names of ``headers`` are in lower case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large an answer may be: its bytes, and the commas and brackets that decide what parsing takes."""

    size: int
    commas: int
    brackets: int

    @classmethod
    def of(cls, texts: int, dimension: int | None) -> "Bounds":
        """What an answer with a vector for each of so many texts can have."""
        numbers = texts * max(dimension or 0, _LARGEST_DIMENSION)
        return cls(
            _ROUND_BYTES + texts * _ROW_BYTES + numbers * _NUMBER_BYTES,
            _ROUND_BYTES + texts * _ROW_BRACKETS + numbers,
            _ROUND_BYTES + texts * _ROW_BRACKETS,
        )

    async def read(self, pieces: AsyncIterator[bytes], encoding: str, *, is_error: bool) -> bytes:
        """Unpack an answer while it arrives. Of an error the beginning is enough.

        Raises TransientError for one that is larger than that, compressed incorrectly or in a way not asked for.
        """
        unpacker = _unpacker(encoding)
        most = _ROUND_BYTES if is_error else self.size
        content = bytearray()
        try:
            async for data in pieces:
                for piece in unpacker.unpack(data) if unpacker else (data,):
                    content += piece
                    if len(content) > most:
                        return _cut(content, most, is_error=is_error)
        except zlib.error as error:
            raise TransientError("malformed answer of the embedding server: it is compressed incorrectly") from error
        if not is_error and (
            content.count(b",") > self.commas or content.count(b"[") + content.count(b"{") > self.brackets
        ):
            raise TransientError("malformed answer of the embedding server: more values than vectors can have")
        return bytes(content)


def _cut(content: bytearray, most: int, *, is_error: bool) -> bytes:
    if is_error:
        return bytes(content[:most])
    raise TransientError(
        f"malformed answer of the embedding server: more than the {most:,} bytes that these texts need"
    )


def _unpacker(encoding: str) -> Unpacker | None:
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name not in _WINDOW:
        raise TransientError(f"malformed answer of the embedding server: compressed as {name[:40]!r}, not asked for")
    return Unpacker(_WINDOW[name])
