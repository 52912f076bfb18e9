"""The database file as it was opened: SQLite would go on writing into one that is no longer that."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SQLITE_MAGIC = b"SQLite format 3\x00"
HEAD_BYTES = 100
_COUNTER, _PAGES, _MADE_BY, _COUNTER_OF_PAGES = slice(24, 28), slice(28, 32), slice(68, 72), slice(92, 96)
_READ = getattr(os, "O_BINARY", os.O_RDONLY)
"""For reading, and as bytes where a system tells texts apart. No child inherits what Python opens."""


_Inode = tuple[int, int]
_guard = threading.Lock()
_connections: Counter[_Inode] = Counter()
"""Of this process: how many connections each file has."""
_to_close: dict[_Inode, list[int]] = {}
"""Descriptors to be closed with the last connection to their file: nobody needs them any more, or only as long."""


class OpenFile:
    """A file that SQLite has open, looked at by a descriptor of its own.

    That is closed after those of SQLite: closing any descriptor of a file gives up all locks that the process has on it
    (https://sqlite.org/howtocorrupt.html, 2.2). Without its lock a connection is not seen by the last engine that
    leaves, which then deletes the WAL: the connection goes on reading what was there before, or finds a damaged file.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self._path, self._wal = str(path), f"{path}-wal"  # asked for with each transaction
        self._fd = fd

    def fault(self) -> str | None:
        """What happened to the file, None when it is as SQLite left it. Costs a few system calls.

        Only where nothing is being written to the file, so in the thread of the connection that writes.
        """
        # By its inode: another file at the same path is no sign of life of the one that SQLite writes.
        here = os.fstat(self._fd)
        if gone := self.gone():
            return gone
        os.lseek(self._fd, 0, os.SEEK_SET)
        head = os.read(self._fd, HEAD_BYTES)
        missing = size_by_head(head) - here.st_size  # below 0 is no fault: SQLite counts by the head alone
        if not head.startswith(SQLITE_MAGIC) or missing > self._bytes_in_wal():
            return "was cut off or overwritten while in use; stop the engine and restore a copy of it"
        return None

    def gone(self) -> str | None:
        """Whether the path names another file by now, or none: two system calls, from any thread."""
        try:
            is_same = os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except OSError:
            is_same = False
        return None if is_same else "was deleted or replaced while in use; put it back or start anew"

    def is_of_another(self, application_id: int) -> bool:
        """Whether the file is by now one that another program made. False while the WAL has more to say."""
        head = os.pread(self._fd, HEAD_BYTES, 0)
        return (
            len(head) == HEAD_BYTES and head[_MADE_BY] != application_id.to_bytes(4, "big") and not self._bytes_in_wal()
        )

    def _bytes_in_wal(self) -> int:
        """What the WAL may still bring into the file: a full disk can stop that after the head was written."""
        try:
            return os.stat(self._wal).st_size
        except OSError:
            return 0


def size_by_head(head: bytes) -> int:
    """Bytes; 0 when the head does not tell (https://sqlite.org/fileformat.html, 1.3)."""
    page_size, pages = int.from_bytes(head[16:18]), int.from_bytes(head[_PAGES])
    is_valid = head[_COUNTER] == head[_COUNTER_OF_PAGES]
    return (65536 if page_size == 1 else page_size) * pages if is_valid else 0


@contextmanager
def open_file(path: Path) -> Iterator[OpenFile]:
    """For the length of the block, in which connections are opened and closed. Raises OSError."""
    fd = os.open(path, _READ)
    try:
        yield OpenFile(path, fd)
    finally:
        _close(fd)


@contextmanager
def connected(path: Path) -> Iterator[None]:
    """For the length of the block this process has a connection to the file."""
    with _guard:
        inode = _inode(path)
        _connections[inode] += 1
    try:
        yield
    finally:
        with _guard:
            _connections[inode] -= 1
            if not _connections[inode]:
                del _connections[inode]
                for fd in _to_close.pop(inode, []):
                    os.close(fd)


def descriptor(path: Path) -> int | None:
    """One of a file, for as long as this process has a connection to it; None without one, or where it cannot be
    opened."""
    with _guard, suppress(OSError):
        inode = _inode(path)
        if inode not in _connections:
            return None
        if inode not in _to_close:
            _to_close[inode] = [os.open(path, _READ)]
        return _to_close[inode][0]
    return None


def may_be_open(path: Path) -> bool:
    """Whether any connection, also one of the program around, can have the file open.

    Then nobody but SQLite may open and close it. One that reads or writes a file in WAL mode has ``-shm`` beside it.
    """
    return path.with_name(f"{path.name}-shm").exists()


def _close(fd: int) -> None:
    found = os.fstat(fd)  # not by its path, where another file may be by now
    inode = (found.st_dev, found.st_ino)
    with _guard:
        if inode in _connections:
            _to_close.setdefault(inode, []).append(fd)
        else:
            os.close(fd)


def _inode(path: Path) -> _Inode:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)  # opening it will say what is wrong
    return (found.st_dev, found.st_ino)
