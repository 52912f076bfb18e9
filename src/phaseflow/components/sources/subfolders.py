"""The folders inside a folder, for whoever chooses a source. Blocking."""

import os
from collections.abc import Sequence

from phaseflow.components.sources.beneath import Folder, opened
from phaseflow.components.sources.engine_files import EngineFiles
from phaseflow.domain.choices import FolderListing, Subfolder
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest

MOST_ENTRIES = 20_000
"""Looked at in one folder: a tenth of a second on a local disk."""
MOST_FOLDERS = 1000


def top_folders(roots: Sequence[str]) -> FolderListing:
    """The folders below which sources may lie. Real paths in, paths as a source gives them out."""
    folders = [Subfolder(name=_shown(root), path=_shown(root)) for root in dict.fromkeys(roots)]
    return FolderListing(path=None, parent=None, folders=folders, files=0, is_complete=True)


def folders_in(path: str, roots: Sequence[str], engine_files: EngineFiles) -> FolderListing:
    """What a folder below one of the roots holds, hidden names, links and phaseflow's own files left out.

    Raises InvalidRequest for a folder that is not there, cannot be read or is none.
    """
    try:
        with opened(os.path.expanduser(path), roots, engine_files) as place:
            if place.name is not None:
                raise InvalidRequest("path", f"{path!r} is a file; name the folder it is in")
            fd = place.folder.open_folder("")
            try:
                names, files, is_complete = _entries(fd)
                names = [name for name in names if _is_listed(place.folder, fd, name)]
            finally:
                os.close(fd)
            real = place.folder.path
    except ComponentUnavailable as error:
        raise InvalidRequest("path", str(error)) from None
    except OSError as error:
        raise InvalidRequest("path", f"{path!r} cannot be read ({error.strerror}); fix its permissions") from None
    folders = [Subfolder(name=name, path=_shown(os.path.join(real, name))) for name in sorted(names)[:MOST_FOLDERS]]
    is_root = real in roots
    return FolderListing(
        path=_shown(real),
        parent=None if is_root else _shown(os.path.dirname(real)),
        folders=folders,
        files=files,
        is_complete=is_complete and len(names) <= MOST_FOLDERS,
    )


def _entries(fd: int) -> tuple[list[str], int, bool]:
    """The names of folders, how many files, and whether that is all."""
    names: list[str] = []
    files = 0
    with os.scandir(fd) as entries:
        for number, entry in enumerate(entries):
            if number == MOST_ENTRIES:
                return names, files, False
            if entry.name.startswith(".") or not _is_text(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files += 1
    return names, files, True


def _is_listed(folder: Folder, fd: int, name: str) -> bool:
    try:
        folder.check(fd, name, os.stat(name, dir_fd=fd, follow_symlinks=False))
    except FileNotFoundError:  # phaseflow's own, or gone since
        return False
    return True


def _is_text(name: str) -> bool:
    """JSON cannot name what is not UTF-8."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _shown(real: str) -> str:
    """As a source gives it: a folder below the working directory says nothing of what is above that."""
    here = os.getcwd()
    inside = os.path.join(here, "")
    return "." if real == here else real[len(inside) :] if real.startswith(inside) else real
