"""Files and folders for the eyes of their owner only: all that the engine makes holds texts, or says who has them.

The umask decides nothing here. SQLite gives its own files beside a database (``-wal``, ``-shm``, ``-journal``) the mode
of the database, whatever the umask, so that making or tightening the one covers the others.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phaseflow.domain.log import get_logger

FILE = 0o600
FOLDER = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
BESIDE = ("", "-wal", "-shm", "-journal", ".lock")


def open_private(path: Path | str, flags: int) -> int:
    """Open a file, made for its owner only when ``flags`` create it; an ``opener`` for ``open``. Raises OSError."""
    fd = os.open(path, flags, FILE)
    if flags & os.O_CREAT:
        _restrict(fd, str(path), FILE)
    return fd


def make_folder(path: Path) -> None:
    """Make one folder for its owner only, or tighten the one that is there. Its parent must exist. Raises OSError."""
    path.mkdir(FOLDER, exist_ok=True)
    _restrict(path, str(path), FOLDER)


def make_database_file(path: Path) -> None:
    """Make an empty file where there is none, and close what is there, with all beside it, to others. Blocking.

    Raises OSError when no file can be made.
    """
    with suppress(FileExistsError):
        os.close(open_private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    for suffix in BESIDE:
        _tighten(path.with_name(path.name + suffix))


def tighten_folder(folder: Path) -> None:
    """Close a folder and all in it to others. What is missing, or belongs to somebody else, is left. Blocking.

    The folder comes last, and one that is closed is not looked into: whatever its files say, nobody gets at them.
    """
    with suppress(FileNotFoundError):
        if not folder.lstat().st_mode & _OTHERS:
            return
        for path in _below(folder):
            _tighten(path)
        _tighten(folder)


def _tighten(path: Path) -> None:
    """Take from others what they may do with a file or folder; its owner's rights stay, and links are not followed."""
    with suppress(FileNotFoundError):
        found = path.lstat()
        if found.st_mode & _OTHERS and not stat.S_ISLNK(found.st_mode):
            _restrict(path, str(path), stat.S_IMODE(found.st_mode) & ~_OTHERS)


def sync_folder(folder: Path) -> None:
    """A name is on the disk when its folder is, and so are the bytes of a file.

    Systems that cannot open a folder keep their names by themselves.
    """
    with suppress(PermissionError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """A new file for its owner only, to be written under another name: it gets its own when the block ends well.

    By then it is on the disk, and it never takes the place of another file. Raises OSError. Blocking.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    partial = target.with_name(target.name + ".partial")
    try:
        _remove_database(partial)
        os.close(open_private(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        yield partial
        sync_folder(partial)
        os.link(partial, target)  # as a rename, but never in the place of a file that has come meanwhile
        sync_folder(target.parent)
    finally:
        with suppress(OSError):
            _remove_database(partial)


def _remove_database(path: Path) -> None:
    """Remove a database with all that stands beside it. Raises OSError."""
    for suffix in BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _restrict(target: Path | int, name: str, mode: int) -> None:
    """Set a mode. File systems that keep none, and files of another owner, are no reason not to work."""
    try:
        os.chmod(target, mode)
    except FileNotFoundError:
        return
    except OSError as error:
        get_logger().warning("cannot be closed to other users", path=name, error=str(error))
