"""One file of a folder, read as it was at one moment, and what the system says of it in our words."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from phaseflow.components.sources.beneath import Outside, advice, lacks_descriptors
from phaseflow.domain.errors import DocumentError, TransientError


@dataclass(frozen=True, slots=True)
class FileReading:
    """The bytes of a file, and when it was last changed."""

    data: bytes
    mtime_ns: int | None
    """None for a file inside an archive: it is read and hashed every time."""
    is_archive: bool = False
    """Its files are documents, not itself."""


def read_file(file: BinaryIO, uri: str, max_bytes: int, *, is_archive: bool) -> FileReading | None:
    """Return the file as it was at one moment, or None when it changed meanwhile."""
    before = os.fstat(file.fileno())
    _check(before, uri, max_bytes)
    data = file.read(before.st_size + 1)
    after = os.fstat(file.fileno())
    same = before.st_mtime_ns == after.st_mtime_ns and len(data) == before.st_size == after.st_size
    return FileReading(data, before.st_mtime_ns, is_archive) if same else None


@contextmanager
def told_of(uri: str) -> Iterator[None]:
    """What the system says of a file, in our words."""
    try:
        yield
    except Outside:
        raise DocumentError(f"{uri} lies outside the folder and is not read", code="outside_folder") from None
    except (FileNotFoundError, NotADirectoryError) as error:
        raise not_found(uri) from error
    except OSError as error:
        message = f"cannot read {uri} ({error.strerror}); {advice(error)} and retry"
        if lacks_descriptors(error):
            raise TransientError(message) from error
        raise DocumentError(message, code="unreadable") from error


def not_found(uri: str) -> DocumentError:
    """The file does not exist any more."""
    return DocumentError(f"{uri} is not there any more", code="not_found", counts=False, gone=True)


def _check(info: os.stat_result, uri: str, max_bytes: int) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise DocumentError(f"{uri} is not a regular file and is not read", code="unreadable")
    if info.st_size > max_bytes:
        message = f"{uri} has {info.st_size:,} bytes, more than the {max_bytes:,} that are read; split it or exclude it"
        raise DocumentError(message, code="too_large")
