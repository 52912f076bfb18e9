"""The walk through a folder: every file that counts, in a steady order, with one folder in memory at a time."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from operator import itemgetter

from phaseflow.components.sources.beneath import FILE, LINK_IN_THE_WAY, Folder, advice
from phaseflow.components.sources.patterns import Globs, Ignores
from phaseflow.domain.errors import ComponentUnavailable

_IGNORE_FILE = ".gitignore"
_OPEN_HIDDEN = frozenset({".github"})
"""Hidden folders that are read all the same: guides for readers, under a name that their host prescribes."""
_IGNORE_LIMIT = 1 << 20
"""A ``.gitignore`` is a few lines. A larger one is refused: cut off, it would let in what the rest leaves out."""

_FileId = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file. ``path`` is relative to the root, with ``/``, as ``os.fsdecode`` gives it."""

    path: str
    size: int
    mtime_ns: int


class _Kind(Enum):
    """What a folder says of a name in it."""

    FOLDER = auto()
    LINK = auto()
    OTHER = auto()
    """A regular file, or nothing that can be a document."""


_Name = tuple[str, _Kind]


@dataclass(frozen=True, slots=True)
class _Level:
    """A folder on the way down: what is left of it, and what is known above it."""

    prefix: str
    place: str
    """The same without links: what it is opened by."""
    names: Iterator[_Name]
    ignores: Ignores | None
    trail: frozenset[_FileId]
    """The folder and those above it, to see a link that leads back."""
    linked: bool
    """Reached through a link to a folder."""


class Tree:
    """An open folder to be walked. Blocking; one walk belongs to one thread at a time.

    Hidden names (a leading dot; the folder ``.github`` counts as visible) and what ``.gitignore`` and the globs leave
    out are skipped, so are FIFOs, sockets and devices, and the files of phaseflow itself. A link is followed where its
    target lies under the root: a link to a file always, a link to a folder unless it leads back to a folder above, or
    stands in a folder that was itself reached by a link (what it leads to is found under its own name, and links
    between folders would multiply without end).
    """

    def __init__(self, root: Folder, globs: Globs) -> None:
        self._root = root
        self._globs = globs
        self._current: tuple[str, int] | None = None
        """The one folder that is kept open, by its place: descriptors do not grow with the depth."""

    def walk(self) -> Iterator[Found]:
        """Yield the files, each folder in the order of names. What vanishes below the root meanwhile is passed over.

        Raises ComponentUnavailable when any folder cannot be read, or the root is gone: a walk that ends is complete.
        """
        try:
            top = self._open("", "", None, frozenset(), linked=False)
            if top is None:
                raise ComponentUnavailable("the folder was removed while it was listed; check the path, or mount it")
            levels = [top]
            while levels:
                name = next(levels[-1].names, None)
                if name is None:
                    levels.pop()
                elif isinstance(found := self._look(levels[-1], *name), _Level):
                    levels.append(found)
                elif found is not None:
                    yield found
        finally:
            self._leave()

    def takes(self, path: str) -> bool | None:
        """Whether a walk would yield the file of this path, without a look at any other; None where only a walk can
        tell, since a link is in its way. False for what is not there. Raises ComponentUnavailable as ``walk`` does.
        """
        *folders, name = path.split("/")
        level = _Level("", "", iter(()), self._rules("", None), frozenset(), linked=False)
        try:
            for folder in folders:
                if not _is_visible(folder) or not self._takes_folder(level, folder):
                    return False
                below = f"{level.prefix}{folder}/"
                level = _Level(below, below, iter(()), self._rules(below, level.ignores), frozenset(), linked=False)
            if not _is_visible(name) or not self._takes_file(level, name):
                return False
            info = self._stat(level, name, path, _Kind.OTHER)
        except OSError as error:
            if error.errno in LINK_IN_THE_WAY:
                return None
            if isinstance(error, FileNotFoundError):
                return False
            raise _unreadable(path, error) from error
        finally:
            self._leave()
        if info is None:
            return False
        return None if stat.S_ISLNK(info.st_mode) else stat.S_ISREG(info.st_mode)

    def _rules(self, prefix: str, above: Ignores | None) -> Ignores | None:
        text = _read(self._enter(prefix), prefix)
        return Ignores.read(text, prefix, above) if text else above

    def _open(
        self, prefix: str, place: str, above: Ignores | None, trail: frozenset[_FileId], *, linked: bool
    ) -> _Level | None:
        try:
            fd = self._enter(place)
            info = os.fstat(fd)
            with os.scandir(fd) as listing:
                names = sorted(((entry.name, _kind(entry)) for entry in listing), key=itemgetter(0))
            rules = Ignores.read(_read(fd, prefix), prefix, above) if (_IGNORE_FILE, _Kind.OTHER) in names else above
        except OSError as error:
            if _has_vanished(error):
                return None
            raise _unreadable(prefix.rstrip("/") or "the folder", error) from error
        return _Level(prefix, place, _visible(names), rules, trail | {_identity(info)}, linked)

    def _look(self, level: _Level, name: str, kind: _Kind) -> "_Level | Found | None":
        place: str | None = level.place + name
        if kind is _Kind.LINK:
            try:
                place = self._root.resolve(level.place + name)
            except OSError as error:
                if _has_vanished(error):
                    return None
                raise _unreadable(level.prefix + name, error) from error
        if place is None:
            return None
        if kind is _Kind.OTHER and not self._takes_file(level, name):
            return None
        if kind is _Kind.FOLDER and not self._takes_folder(level, name):
            return None
        info = self._stat(level, name, place, kind)
        if info is None:
            return None
        # Links are followed once, and only to what is below the root: two folders that link to each other would make an
        # endless tree, and a hundred links to one folder a hundred copies of it.
        if stat.S_ISDIR(info.st_mode):
            if kind is _Kind.LINK and (
                level.linked or _identity(info) in level.trail or not self._takes_folder(level, name)
            ):
                return None
            linked = level.linked or kind is _Kind.LINK
            return self._open(f"{level.prefix}{name}/", f"{place}/", level.ignores, level.trail, linked=linked)
        if kind is _Kind.LINK and not self._takes_file(level, name):
            return None
        if not stat.S_ISREG(info.st_mode):
            return None
        return Found(level.prefix + name, info.st_size, info.st_mtime_ns)

    def _takes_folder(self, level: _Level, name: str) -> bool:
        path = level.prefix + name
        return not (level.ignores and level.ignores.ignore(f"{path}/")) and self._globs.enter_folder(path)

    def _takes_file(self, level: _Level, name: str) -> bool:
        path = level.prefix + name
        is_ignored = level.ignores is not None and level.ignores.ignore(path)
        return name not in _OPEN_HIDDEN and not is_ignored and self._globs.take_file(path)

    def _stat(self, level: _Level, name: str, place: str, kind: _Kind) -> os.stat_result | None:
        try:
            if kind is _Kind.LINK:
                return self._root.stat(place)
            fd = self._enter(level.place)
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            self._root.check(fd, name, info)
        except OSError as error:
            if _has_vanished(error):
                return None
            raise _unreadable(level.prefix + name, error) from error
        return info

    def _enter(self, place: str) -> int:
        if self._current is None or self._current[0] != place:
            self._leave()
            self._current = place, self._root.open_folder(place)
        return self._current[1]

    def _leave(self) -> None:
        if self._current is not None:
            os.close(self._current[1])
            self._current = None


def _kind(entry: os.DirEntry[str]) -> _Kind:
    if entry.is_symlink():
        return _Kind.LINK
    return _Kind.FOLDER if entry.is_dir(follow_symlinks=False) else _Kind.OTHER


def _visible(names: list[_Name]) -> Iterator[_Name]:
    return (each for each in names if _is_visible(each[0]))


def _is_visible(name: str) -> bool:
    return not name.startswith(".") or name in _OPEN_HIDDEN


def _identity(info: os.stat_result) -> _FileId:
    return info.st_dev, info.st_ino


def _has_vanished(error: OSError) -> bool:
    """The name is gone, or leads elsewhere than it did: a link has been put in its place."""
    return isinstance(error, FileNotFoundError) or error.errno in LINK_IN_THE_WAY


def _read(fd: int, prefix: str) -> str:
    # As in git, a link is no .gitignore: it could pull in any file of the machine.
    try:
        with open(os.open(_IGNORE_FILE, FILE, dir_fd=fd), "rb") as file:
            text = file.read(_IGNORE_LIMIT + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError as error:
        if _has_vanished(error) or error.errno == errno.ENXIO:  # a socket
            return ""
        raise _unreadable(prefix + _IGNORE_FILE, error) from error
    if len(text) > _IGNORE_LIMIT:
        raise ComponentUnavailable(
            f"{prefix}{_IGNORE_FILE} has more than the {_IGNORE_LIMIT:,} bytes that are read; shorten it, or leave the"
            " folder out with exclude"
        )
    return text.decode("utf-8", "surrogateescape")


def _unreadable(name: str, error: OSError) -> ComponentUnavailable:
    why = error.strerror or str(error)
    return ComponentUnavailable(f"cannot read {name} ({why}): {advice(error)}, or leave it out with exclude")
