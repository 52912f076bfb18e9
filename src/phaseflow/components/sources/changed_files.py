"""What events of the file system mean for the documents of a folder: which to read, and when only a list can tell."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phaseflow.components.sources import archive
from phaseflow.components.sources.beneath import opened
from phaseflow.components.sources.engine_files import EngineFiles
from phaseflow.components.sources.names import uri_of
from phaseflow.components.sources.patterns import Globs
from phaseflow.components.sources.tree import Tree
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.domain.settings import FolderSource

MOST_FILES: Final = 500
"""More changes at once are looked up by listing the folder. The queue of the kernel holds some 16,000: before it
overflows, and loses some, there are many more than this."""


@dataclass(frozen=True, slots=True)
class ChangedFiles:
    """``uris`` of files that the folder has; ``gone``: uris of files or folders that it has not. ``is_all`` known:
    otherwise the folder has to be listed."""

    uris: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    is_all: bool = True

    @classmethod
    def at(cls, source: FolderSource, root: Path, paths: Collection[str]) -> "ChangedFiles":
        """What the changes at these paths, relative to the folder, mean. No folder is listed. Blocking.

        Folders, links, archives and ``.gitignore`` can change which other files there are: then it is ``ANYTHING``, as
        where the folder cannot be read, which the listing will say.
        """
        if len(paths) > MOST_FILES:
            return ANYTHING
        try:
            return _looked_up(source, root, paths)
        except (OSError, ComponentUnavailable):
            return ANYTHING

    @classmethod
    def merged(cls, changes: "Iterable[ChangedFiles]") -> "ChangedFiles":
        """Several in the order of time: what is there at the last look, is there."""
        uris, gone = set[str](), set[str]()
        for each in changes:
            if not each.is_all:
                return ANYTHING
            uris = (uris - each.gone) | each.uris
            gone = (gone - each.uris) | each.gone
        return cls(frozenset(uris), frozenset(gone)) if len(uris) + len(gone) <= MOST_FILES else ANYTHING


ANYTHING: Final = ChangedFiles(is_all=False)


def left_out(root: Path, paths: Collection[str]) -> list[str]:
    """Those of these files, relative to a folder, that a source on it never takes, whatever it includes. None where the
    folder cannot be read, which its listing will say. Blocking."""
    try:
        with opened(str(root), None, EngineFiles()) as place:
            tree = Tree(place.folder, Globs((), ()))
            return [path for path in paths if tree.takes(path) is False]
    except (OSError, ComponentUnavailable):
        return []


def _looked_up(source: FolderSource, root: Path, paths: Collection[str]) -> ChangedFiles:
    uris, gone = set[str](), set[str]()
    with opened(str(root), None, EngineFiles()) as place:
        tree = Tree(place.folder, Globs(source.include, source.exclude))
        for path in paths:
            if os.path.basename(path) == ".gitignore" or (source.archives and archive.is_archive(path)):
                return ANYTHING
            if (root / path).is_dir():
                return ANYTHING
            takes = tree.takes(path)
            if takes is None:
                return ANYTHING
            (uris if takes else gone).add(uri_of(path))
    return ChangedFiles(frozenset(uris), frozenset(gone))
