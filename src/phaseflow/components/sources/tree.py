"""The walk through a folder: every file that counts, in a steady order, with one folder in memory at a time."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phaseflow.components.sources.patterns import Globs, Ignores, ignores
from phaseflow.domain.errors import ComponentUnavailable

_IGNORE_FILE = ".gitignore"
_OPEN_HIDDEN = frozenset({".github"})
"""Hidden folders that are read all the same: guides for readers, under a name that their host prescribes."""
_IGNORE_LIMIT = 1 << 20
"""A ``.gitignore`` is a few lines. A larger one is refused: cut off, it would let in what the rest leaves out."""

FileId = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file. ``path`` is relative to the root, with ``/``, as ``os.fsdecode`` gives it."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class _Level:
    """A folder on the way down: what is left of it, and what is known above it."""

    prefix: str
    entries: Iterator[os.DirEntry[str]]
    ignores: Ignores | None
    trail: frozenset[FileId]
    """The folder and those above it, to see a link that leads back."""
    linked: bool
    """Reached through a link to a folder."""


class Tree:
    """A folder to be walked. Blocking; one walk belongs to one thread at a time.

    Hidden names (a leading dot; the folder ``.github`` counts as visible) and what ``.gitignore`` and the globs leave
    out are skipped, so are FIFOs, sockets and devices. A link is followed where its target lies under the root: a
    link to a file always, a link to a folder unless it leads back to a folder above, or stands in a folder that was
    itself reached by a link (what it leads to is found under its own name, and links between folders would multiply
    without end).
    """

    def __init__(self, root: Path, globs: Globs) -> None:
        self._root = root
        self._globs = globs

    def walk(self) -> Iterator[Found]:
        """Yield the files, each folder in the order of names. What vanishes meanwhile is passed over.

        Raises ComponentUnavailable when any folder cannot be read: a walk that ends is complete.
        """
        top = self._open("", None, frozenset(), linked=False)
        levels = [top] if top else []
        while levels:
            entry = next(levels[-1].entries, None)
            if entry is None:
                levels.pop()
            elif below := self._folder(levels[-1], entry):
                levels.append(below)
            elif found := self._file(levels[-1], entry):
                yield found

    def _open(self, prefix: str, above: Ignores | None, trail: frozenset[FileId], *, linked: bool) -> _Level | None:
        folder = self._root / prefix
        try:
            identity = _identity(folder)
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=_name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(prefix.rstrip("/") or "the folder", error) from error
        found = next((_read(entry, prefix) for entry in entries if entry.name == _IGNORE_FILE), None)
        rules = ignores(found, prefix, above) if found else above
        return _Level(prefix, _visible(entries), rules, trail | {identity}, linked)

    def _folder(self, level: _Level, entry: os.DirEntry[str]) -> _Level | None:
        if not _is_folder(entry) or self._skips_folder(level, entry):
            return None
        linked = level.linked or entry.is_symlink()
        return self._open(f"{level.prefix}{entry.name}/", level.ignores, level.trail, linked=linked)

    def _skips_folder(self, level: _Level, entry: os.DirEntry[str]) -> bool:
        path = level.prefix + entry.name
        if level.ignores and level.ignores.ignore(f"{path}/"):
            return True
        return not self._globs.enter_folder(path) or (entry.is_symlink() and self._leads_astray(level, entry))

    def _leads_astray(self, level: _Level, entry: os.DirEntry[str]) -> bool:
        return level.linked or not self._holds(entry) or _identity(Path(entry.path)) in level.trail

    def _file(self, level: _Level, entry: os.DirEntry[str]) -> Found | None:
        path = level.prefix + entry.name
        if (
            entry.name in _OPEN_HIDDEN
            or (level.ignores and level.ignores.ignore(path))
            or not self._globs.take_file(path)
        ):
            return None
        if entry.is_symlink() and not self._holds(entry):
            return None
        info = _stat(entry)
        return Found(path, info.st_size, info.st_mtime_ns) if info and stat.S_ISREG(info.st_mode) else None

    def _holds(self, entry: os.DirEntry[str]) -> bool:
        return Path(os.path.realpath(entry.path)).is_relative_to(self._root)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _visible(entries: list[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    # An entry keeps the stat it was asked for: let go of each, or a folder of 100,000 files holds them all.
    entries.reverse()
    while entries:
        entry = entries.pop()
        if not entry.name.startswith(".") or entry.name in _OPEN_HIDDEN:
            yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except PermissionError as error:
        raise _unreadable(entry.name, error) from error
    except OSError:
        return False


def _identity(folder: Path) -> FileId:
    info = folder.stat()
    return info.st_dev, info.st_ino


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except PermissionError as error:
        raise _unreadable(entry.name, error) from error
    except OSError:
        return None


def _read(entry: os.DirEntry[str], prefix: str) -> str:
    # As in git, a link is no .gitignore: it could pull in any file of the machine.
    if not entry.is_file(follow_symlinks=False):
        return ""
    try:
        with Path(entry.path).open("rb") as file:
            text = file.read(_IGNORE_LIMIT + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unreadable(prefix + entry.name, error) from error
    if len(text) > _IGNORE_LIMIT:
        raise ComponentUnavailable(
            f"{prefix}{entry.name} has more than the {_IGNORE_LIMIT:,} bytes that are read; shorten it, or leave the"
            " folder out with exclude"
        )
    return text.decode("utf-8", "surrogateescape")


def _unreadable(name: str, error: OSError) -> ComponentUnavailable:
    why = error.strerror or str(error)
    return ComponentUnavailable(f"cannot read {name} ({why}): mend its permissions, or leave it out with exclude")
