"""A lock file beside the database: one engine at a time has it. The kernel lets go of it when the process dies."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from phaseflow.domain.errors import DatabaseHeld, StoreUnavailable
from phaseflow.store.private_files import open_private

_TRY_S = 0.25
"""How long an engine tries: a reader that asks who holds the file has the lock for some microseconds."""
_TRY_AGAIN_S = 0.01

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int, *, shared: bool = False) -> None:
        os.lseek(fd, 1 << 30, os.SEEK_SET)  # far behind the text, which others must be able to read
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(fd: int, *, shared: bool = False) -> None:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


_held: set[int] = set()
"""The descriptors of the locks that this process holds."""


def _forget_in_child() -> None:
    """A forked child has a copy of each descriptor, which would keep the lock after the end of its parent."""
    for fd in _held:
        with suppress(OSError):
            os.close(fd)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class _Holder(NamedTuple):
    """What a lock file says about who has it. A pid means something only to processes of the same namespace."""

    pid: str
    host: str
    namespace: str

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        if not self.host or (self.host, self.namespace) == (_host(), _namespace()):
            return f"process {self.pid}"
        if self.host == _host():
            return "a process in another container"
        return f"a process on {self.host}"


@contextmanager
def database_lock(database: Path) -> Iterator[None]:
    """Hold ``database`` for the length of the block. Forked children do not keep it.

    The file stays afterwards: removing it would let two processes lock two files of the same name. Raises DatabaseHeld,
    naming the holder, when another engine has it.
    """
    path = _lock_file(database)
    try:
        fd = open_private(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path}: {error.strerror}; check the folder and its permissions") from error
    _held.add(fd)
    try:
        _lock(fd, database)
        _note_holder(fd)
        yield
    finally:
        if fd in _held:  # else this is a forked child, which has closed it
            _held.remove(fd)
            os.close(fd)


def is_held(database: Path) -> bool:
    """Whether a living engine has the file. Changes nothing; where it cannot be found out, the answer is yes."""
    path = _lock_file(Path(os.path.realpath(database)))
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        _try_lock(fd, shared=True)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def holder(database: Path) -> str:
    """Who has the database, as far as its lock file tells: ``process 4711``."""
    try:
        lines = _lock_file(database).read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return str(_Holder(*[*lines, "", "", ""][:3]))


def _lock(fd: int, database: Path) -> None:
    deadline = time.monotonic() + _TRY_S
    while True:
        try:
            _try_lock(fd)
        except OSError:
            if time.monotonic() > deadline:
                held_by = holder(database)
                raise DatabaseHeld(str(database), held_by, is_here=held_by == f"process {os.getpid()}") from None
            time.sleep(_TRY_AGAIN_S)
        else:
            return


def _note_holder(fd: int) -> None:
    """Say who has the file. On a full disk it stays empty: the lock holds all the same."""
    with suppress(OSError):
        os.ftruncate(fd, 0)
        if hasattr(os, "pwrite"):
            os.pwrite(fd, f"{os.getpid()}\n{_host()}\n{_namespace()}\n".encode(), 0)
        else:
            os.write(fd, b"\n")


def _lock_file(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


def _host() -> str:
    return socket.gethostname()


def _namespace() -> str:
    """The namespace of pids, on Linux; empty elsewhere."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
