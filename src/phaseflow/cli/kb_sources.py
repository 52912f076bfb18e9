"""The sources of a knowledge base after a command has named one: added, put in the place of the same one, or alone."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from phaseflow.cli.sources import as_glob
from phaseflow.components.sources.names import path_of
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.settings import DEFAULT_SOURCE, PUSH, as_given

if TYPE_CHECKING:
    from phaseflow.domain.remote_sources import FsspecSource, GitSource
    from phaseflow.domain.settings import FolderSource, WebSource
    from phaseflow.flow.inputs import Source

    Named = FolderSource | WebSource | FsspecSource | GitSource

LONGEST_NAME = 40


def with_source(present: "Mapping[str, Source]", source: "Named") -> "dict[str, Source]":
    """The sources once ``source`` is one of them.

    The first is named ``default``. A folder, or a set of addresses, that is there already keeps its name, and has
    the options that were given now. Files of a folder, or of one below it, that is there are read beside what it has:
    they never narrow it. Raises InvalidRequest for a file that the ``exclude`` of that folder leaves out.
    """
    found = {name: each for name, each in present.items() if each.type != "upload"}
    if not found:
        return {DEFAULT_SOURCE: source}
    if source.type == "folder" and _is_files(source):
        for name, each in found.items():
            if each.type == "folder" and (wider := _with_files(each, source)):
                return {**found, name: wider}
    for name, each in found.items():
        if same := _merged(each, source):
            return {**found, name: same}
    return {**found, _free_name(source, found): source}


def _merged(old: "Source", new: "Named") -> "Source | None":
    """What becomes of a source that is given again; None when it is another one."""
    if old.type == "web" and new.type == "web":
        return new if set(old.urls) == set(new.urls) else None
    if old.type == "git" and new.type == "git":
        return new if (old.url, old.ref) == (new.url, new.ref) else None
    if old.type == "fsspec" and new.type == "fsspec":
        return new if (old.url, old.connection) == (new.url, new.connection) else None
    if old.type != "folder" or new.type != "folder" or old.path != new.path or _is_files(new):
        return None
    return new


def _with_files(folder: "FolderSource", files: "FolderSource") -> "FolderSource | None":
    """The folder, with files that were named one by one; None where it cannot have them in it."""
    if files.archives != folder.archives or not set(files.exclude) <= set(folder.exclude):
        return None
    below = PurePath(files.path)
    if not below.is_relative_to(folder.path):
        return None
    parts = below.relative_to(folder.path).parts
    if any(part.startswith(".") for part in parts):
        return None  # a folder skips what is hidden below it
    prefix = as_glob("/".join(parts)) if parts else ""
    named = [prefix + glob for glob in files.include]
    if folder.exclude:
        _check_not_excluded(folder, named)
    if not folder.include:
        return folder
    from phaseflow.components.sources.patterns import Globs

    takes = Globs(folder.include, ())
    more = [glob for glob in named if glob not in folder.include and not takes.take_file(_path(glob))]
    return replace(folder, include=(*folder.include, *more)) if more else folder


def _check_not_excluded(folder: "FolderSource", named: "list[str]") -> None:
    from phaseflow.components.sources.patterns import Globs

    globs = Globs((), folder.exclude)
    if left_out := next((glob for glob in named if not globs.take_file(_path(glob))), None):
        raise InvalidRequest(
            "source",
            f"{_path(left_out)!r} is left out by --exclude of the source {as_given(folder.path)}, which this knowledge"
            " base has; run ingest for that folder with another --exclude, or put the file into another --kb",
        )


def _path(glob: str) -> str:
    """The path under the root that ``as_glob`` made a glob of."""
    return path_of(re.sub(r"\\(.)", r"\1", glob[1:], flags=re.DOTALL))


def _is_files(source: "FolderSource") -> bool:
    """Whether each glob is the one of a path: a glob such as ``/docs/**`` is the user's own, and may narrow."""
    return bool(source.include) and all(glob == as_glob(_path(glob)) for glob in source.include)


def _free_name(source: "Named", taken: Collection[str]) -> str:
    if source.type == "fsspec" or source.type == "git":  # noqa: PLR1714  mypy does not narrow by a set
        words: str | None = source.url.rstrip("/").rpartition("/")[2].removesuffix(".git")
    else:
        words = urlsplit(str(source.urls[0])).hostname if source.type == "web" else PurePath(source.path).name
    name = re.sub(r"[^a-z0-9_-]+", "-", (words or "").lower()).strip("-_")[:LONGEST_NAME] or "source"
    number, free = 1, name
    while free in taken or free == PUSH:
        number += 1
        free = f"{name}-{number}"
    return free
