"""A lock file beside the database: one engine at a time has it. The kernel lets go of it when the process dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phaseflow.domain.errors import DatabaseHeld, StoreUnavailable
from phaseflow.store.private_files import open_private

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> None:
        os.lseek(fd, 1 << 30, os.SEEK_SET)  # far behind the text, which others must be able to read
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def database_lock(database: Path) -> Iterator[None]:
    """Hold ``database`` for the length of the block.

    The file stays afterwards: removing it would let two processes lock two files of the same name. Raises DatabaseHeld,
    naming the holder's pid, when another engine has it.
    """
    path = database.with_name(database.name + ".lock")
    try:
        fd = open_private(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path}: {error.strerror}; check the folder and its permissions") from error
    try:
        try:
            _try_lock(fd)
        except OSError:
            raise DatabaseHeld(str(database), holder(database)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0) if hasattr(os, "pwrite") else os.write(fd, b"\n")
        yield
    finally:
        os.close(fd)


def holder(database: Path) -> str:
    """Who has the database, as far as its lock file tells: ``process 4711``."""
    try:
        pid = database.with_name(database.name + ".lock").read_text().strip()
    except OSError:
        pid = ""
    return f"process {pid}" if pid else "another process"
