"""Opening files below a folder that cannot be left, whatever others do to its folders and links meanwhile.

A path that was checked may lead elsewhere when it is opened: a folder has been swapped for a link. So nothing is opened
by its path. Each component is opened below the folder before it, and none of them may be a link. A link that stays
inside is resolved first, and what it leads to is then opened in the same way.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from phaseflow.components.sources.engine_files import EngineFiles, SeenEngineFiles
from phaseflow.domain.errors import ComponentUnavailable, TransientError
from phaseflow.domain.settings import as_given

_CLOSED = os.O_CLOEXEC | os.O_NOFOLLOW
_STEP = _CLOSED | os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)
"""A folder to pass through. Where the system has O_PATH, one that may not be listed can be passed, as by its path."""
_FOLDER = _CLOSED | os.O_DIRECTORY | os.O_RDONLY
FILE = _CLOSED | os.O_RDONLY | os.O_NONBLOCK
"""Opening a FIFO must not wait for its writer."""
_TRIES = 3
"""How often a link is resolved that has become another one when it is followed."""
LINK_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})
"""What the systems say of a link that is not to be followed."""


class Outside(Exception):
    """A path leads out of the folder."""


@dataclass(frozen=True, slots=True)
class Folder:
    """An open folder. Paths are relative to it, with ``/``. Blocking.

    A file of phaseflow itself is FileNotFoundError, as is one that does not exist.
    """

    fd: int
    path: str
    """Its real path: what links are resolved against. Nothing is opened by it."""
    engine_files: SeenEngineFiles | None

    def resolve(self, path: str) -> str | None:
        """Return the path without links, None when it leads out of the folder. It may be another one a moment later.

        Raises OSError for a link that is gone between the look at it and the reading of it.
        """
        real = os.path.realpath(os.path.join(self.path, path))
        above = os.path.join(self.path, "")
        return real[len(above) :] if real.startswith(above) else "" if real == self.path else None

    def open_folder(self, path: str) -> int:
        """Open a folder by a path without links, to be listed. Raises OSError, also for a link in its way."""
        with self._above([*_parts(path), "."]) as above:
            return os.open(".", _FOLDER, dir_fd=above)

    def stat(self, path: str) -> os.stat_result:
        """Return what a path without links says of a file or folder. Raises OSError, also for a link in its way."""
        parts = _parts(path) or ["."]
        with self._above(parts) as above:
            info = os.stat(parts[-1], dir_fd=above, follow_symlinks=False)
            self.check(above, parts[-1], info)
            return info

    def check(self, fd: int, name: str, info: os.stat_result) -> None:
        """Raise FileNotFoundError when a name in an open folder is that of a file or folder of phaseflow itself."""
        if self.engine_files is not None and self.engine_files.hold(fd, name, info):
            raise FileNotFoundError(errno.ENOENT, "a file of phaseflow itself", name)

    def is_file(self, path: str) -> bool:
        """Say whether a path that may hold links leads to a regular file. Raises OSError when it cannot be opened."""
        try:
            fd = self.open_file(path)
        except (FileNotFoundError, NotADirectoryError, Outside):
            return False
        try:
            return stat.S_ISREG(os.fstat(fd).st_mode)
        finally:
            os.close(fd)

    def open_file(self, path: str) -> int:
        """Open a file by a path that may hold links, and return its descriptor. Raises OSError and Outside."""
        if path.startswith("/") or ".." in path.split("/"):
            raise Outside
        place: str | None = path
        for _ in range(_TRIES):
            if place is None:
                raise Outside
            try:
                return self._open_file(place)
            except OSError as error:
                if error.errno not in LINK_IN_THE_WAY:
                    raise
                failure = error
            place = self.resolve(path)
        raise failure

    def _open_file(self, path: str) -> int:
        parts = _parts(path)
        if not parts:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with self._above(parts) as above:
            info = os.stat(parts[-1], dir_fd=above, follow_symlinks=False)
            self.check(above, parts[-1], info)
            return os.open(parts[-1], FILE, dir_fd=above)

    @contextmanager
    def _above(self, parts: Sequence[str]) -> Iterator[int]:
        """Open the folder that the last part is a name in."""
        fd = os.open(".", _STEP, dir_fd=self.fd)
        try:
            for part in parts[:-1]:
                below = os.open(part, _STEP, dir_fd=fd)
                above, fd = fd, below
                try:
                    if self.engine_files is not None:
                        self.check(above, part, os.fstat(fd))
                finally:
                    os.close(above)
            yield fd
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Place:
    """What a source names: a folder, or one file (``name``) in it."""

    folder: Folder
    name: str | None


@contextmanager
def opened(path: str, roots: Sequence[str] | None, engine_files: EngineFiles | None) -> Iterator[Place]:
    """Open what a source names by its path, which may hold links.

    With ``roots``, real paths of folders, it must lie below one of them, and what is opened does. Raises
    ComponentUnavailable, which names the path as it was given.
    """
    given = as_given(path)
    try:
        # Resolved once; what it came to is then opened below a root, folder by folder, following no link
        # (``_opened_below``). To check a path and then open it leaves a moment in which a link can be put there.
        real = os.path.realpath(path)
        seen = engine_files.look() if engine_files is not None else None
        root = _root_of(real, roots)
        if root is None:
            raise ComponentUnavailable(f"{given} leads out of the folders that may be read; name one below them")
        if seen is not None and seen.hold_place(real):
            raise ComponentUnavailable(f"{given} belongs to phaseflow itself and is not read; name something else")
        fd, name = _opened_below(root, real)
    except FileNotFoundError as error:
        raise ComponentUnavailable(f"there is no folder {given}; check the path, or mount it") from error
    except OSError as error:
        kind = TransientError if lacks_descriptors(error) else ComponentUnavailable
        raise kind(f"cannot read {given} ({error.strerror}); {advice(error)}") from error
    except ValueError as error:
        raise ComponentUnavailable(f"cannot read {given} ({error}); check the path") from error
    try:
        if fd is None:
            raise ComponentUnavailable(f"{given} is neither a folder nor a file; give the path of one")
        yield Place(Folder(fd, real if name is None else os.path.dirname(real), seen), name)
    finally:
        if fd is not None:
            os.close(fd)


def lacks_descriptors(error: OSError) -> bool:
    """The process, or the machine, has too many files open: that says nothing about this one."""
    return error.errno in {errno.EMFILE, errno.ENFILE}


def advice(error: OSError) -> str:
    """What to do about a file that could not be read."""
    return "raise the limit on open files (ulimit -n)" if lacks_descriptors(error) else "fix its permissions"


def _root_of(real: str, roots: Sequence[str] | None) -> str | None:
    if roots is None:
        return os.path.dirname(real)
    below = (root for root in roots if real == root or real.startswith(os.path.join(root, "")))
    return max(below, key=len, default=None)


def _opened_below(root: str, real: str) -> tuple[int | None, str | None]:
    """Open a folder, or the one that a file lies in; return the name of the file too. None for anything else."""
    fd = os.open(root, _STEP)
    try:
        parts = _parts(real[len(root) :])
        with Folder(fd, root, None)._above(parts or ["."]) as above:
            info = os.stat(parts[-1] if parts else ".", dir_fd=above, follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                return os.open(parts[-1] if parts else ".", _STEP, dir_fd=above), None
            if stat.S_ISLNK(info.st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            return (os.dup(above), parts[-1]) if stat.S_ISREG(info.st_mode) else (None, None)
    finally:
        os.close(fd)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
