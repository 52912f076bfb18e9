"""ZIP archives as folders: their files, one level deep."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from phaseflow.domain.errors import DocumentError

MAX_MEMBERS = 10_000
_SUFFIX = ".zip"
_RUBBISH = "__MACOSX"


@dataclass(frozen=True, slots=True)
class _Member:
    """A file inside an archive, with the bytes that it claims to unpack to."""

    name: str
    size: int


def is_archive(path: str) -> bool:
    """Say whether a file of this name is opened."""
    return path.lower().endswith(_SUFFIX)


def splits(path: str) -> Iterator[tuple[str, str]]:
    """Yield what may be the path of an archive and the name of a file inside, the shortest first: a folder may be
    called like an archive."""
    place = path.lower().find(f"{_SUFFIX}/")
    while place >= 0:
        end = place + len(_SUFFIX)
        yield path[:end], path[end + 1 :]
        place = path.lower().find(f"{_SUFFIX}/", end)


def members(file: BinaryIO, uri: str) -> list[_Member]:
    """Return the files that are neither hidden nor outside the archive, each name once, in the order of names.

    Raises DocumentError ``malformed``, or ``too_large`` for more than 10,000 files.
    """
    with _opened(file, uri) as archive:
        found = _files(archive)
    if len(found) > MAX_MEMBERS:
        message = f"{uri} holds more than {MAX_MEMBERS:,} files; unpack it into the folder, or exclude it"
        raise DocumentError(message, code="too_large")
    return [_Member(name, info.file_size) for name, info in sorted(found.items())]


def read(file: BinaryIO, name: str, uri: str, max_bytes: int) -> bytes | None:
    """Return the content of a file inside, None when there is no such file.

    Raises DocumentError ``malformed``, ``encrypted``, ``too_large``.
    """
    with _opened(file, uri) as archive:
        info = _files(archive).get(name)
        if info is None:
            return None
        if info.flag_bits & 1:
            message = f"{uri} is encrypted and cannot be read without its password; unpack it"
            raise DocumentError(message, code="encrypted")
        with archive.open(info) as member:
            data = member.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DocumentError(f"{uri} unpacks to more than {max_bytes:,} bytes; split it or exclude it", code="too_large")
    return data


@contextmanager
def _opened(file: BinaryIO, uri: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        message = f"{uri} cannot be unpacked ({error}); pack it again as a plain ZIP archive, or unpack it"
        raise DocumentError(message, code="malformed") from error


def _files(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found = {}
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        parts = PurePosixPath(name).parts
        # Not is_dir(), which breaks on an empty name.
        if parts and not name.endswith("/") and not any(part.startswith((".", "/", _RUBBISH)) for part in parts):
            found["/".join(parts)] = info
    return found
