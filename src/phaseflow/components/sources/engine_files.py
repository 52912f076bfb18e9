"""Files of phaseflow itself, which are never documents: its databases, what lies beside them, and its uploads."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from phaseflow.store.open_file import SQLITE_MAGIC
from phaseflow.store.private_files import BESIDE
from phaseflow.store.schema import APPLICATION_ID

UPLOADS = ".uploads"
"""Ends the name of the folder of uploads, which stands beside its database."""
REPOSITORIES = ".repositories"
"""The same for the copies of Git repositories."""
_HEAD_BYTES = 72
_ID = slice(68, 72)
"""Where a SQLite file has its application id (https://sqlite.org/fileformat.html, 1.3)."""
_ENDS = tuple(end for end in (*BESIDE, UPLOADS, REPOSITORIES) if end)
"""What the names end in that stand beside a database."""
_SECTOR = 512
"""The size of a SQLite file is a multiple of this, that of few other files is: only those are opened."""
_FRAME = 32 + 24
"""Bytes of a WAL before the content of its first page."""
_PASS = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class EngineFiles:
    """What must not be read as a document. ``database`` is that of the engine at work, None when there is none.

    Its files are known by device and inode, under whatever name. They are not opened: to close one would drop the
    locks that SQLite has on it in this process. Databases of other engines are known by their content, and what
    belongs to them by the names beside them. Blocking.
    """

    def __init__(self, database: Path | None = None) -> None:
        names = [] if database is None else [f"{database.name}{suffix}" for suffix in (*BESIDE, UPLOADS, REPOSITORIES)]
        self._own = [] if database is None else [database.with_name(name) for name in names]

    def claim(self, path: Path) -> bool:
        """Say whether the engine has this name for itself, whether there is such a file or not."""
        real = path.parent.resolve() / path.name
        return any(real == own.parent.resolve() / own.name for own in self._own)

    def look(self) -> "SeenEngineFiles":
        """What there is of them now."""
        found = (_info(path) for path in self._own)
        return SeenEngineFiles(frozenset((info.st_dev, info.st_ino) for info in found if info is not None))


@dataclass(frozen=True, slots=True)
class SeenEngineFiles:
    """The files of phaseflow at one moment. Blocking."""

    own: frozenset[tuple[int, int]]

    def hold(self, folder: int, name: str, info: os.stat_result) -> bool:
        """Say whether the file or folder of this name in an open folder, of which ``info`` tells, is one of them."""
        if (info.st_dev, info.st_ino) in self.own:
            return True
        base = _base(name)
        if base is not None and self._is_database(folder, base, _info(base, folder)):
            return True
        return self._is_database(folder, name, info)

    def hold_place(self, path: str) -> bool:
        """Say whether a folder or file, given by its real path, is one of them or lies below one. Raises OSError."""
        is_within = False
        while (above := os.path.dirname(path)) != path and not is_within:
            info, name = os.lstat(path), os.path.basename(path)
            is_within = (info.st_dev, info.st_ino) in self.own
            if not is_within and (_base(name) is not None or _can_be_database(info)):
                fd = os.open(above, _PASS)
                try:
                    is_within = self.hold(fd, name, info)
                finally:
                    os.close(fd)
            path = above
        return is_within

    def _is_database(self, folder: int, name: str, info: os.stat_result | None) -> bool:
        if info is None:
            return False
        if (info.st_dev, info.st_ino) in self.own:
            return True
        if not _can_be_database(info):
            return False
        head = _bytes(folder, name, 0)
        if not head.startswith(SQLITE_MAGIC):
            return False
        identity = APPLICATION_ID.to_bytes(4)
        # What made it ours may still be in the WAL alone: in the first page, which its first transaction begins with.
        return identity in {head[_ID], _bytes(folder, f"{name}-wal", _FRAME)[_ID]}


def _base(name: str) -> str | None:
    """The name of the database that a file or folder of this name would belong to."""
    if not name.endswith(_ENDS):  # nearly all: this is asked of each folder on the way to each file
        return None
    return next((name.removesuffix(end) for end in _ENDS if name.endswith(end) and name != end), None)


def _can_be_database(info: os.stat_result) -> bool:
    return stat.S_ISREG(info.st_mode) and info.st_size > 0 and info.st_size % _SECTOR == 0


def _info(path: str | Path, folder: int | None = None) -> os.stat_result | None:
    try:
        return os.stat(path, dir_fd=folder, follow_symlinks=False) if folder is not None else os.stat(path)
    except OSError:
        return None


def _bytes(folder: int, name: str, offset: int) -> bytes:
    try:
        fd = os.open(name, _READ, dir_fd=folder)
    except OSError:
        return b""
    try:
        return os.pread(fd, _HEAD_BYTES, offset)
    except OSError:  # no regular file
        return b""
    finally:
        os.close(fd)
