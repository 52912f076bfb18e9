"""The sources of a knowledge base after a command has named one: added, put in the place of the same one, or alone."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from phaseflow.domain.settings import DEFAULT_SOURCE, PUSH

if TYPE_CHECKING:
    from phaseflow.domain.remote_sources import FsspecSource, GitSource
    from phaseflow.domain.settings import FolderSource, WebSource
    from phaseflow.flow.inputs import Source

    Named = FolderSource | WebSource | FsspecSource | GitSource

LONGEST_NAME = 40


def with_source(present: "Mapping[str, Source]", source: "Named") -> "dict[str, Source]":
    """The sources once ``source`` is one of them.

    The first is named ``default``. A folder, or a set of addresses, that is there already keeps its name, and has
    the options that were given now; files of a folder of which others were named before are read beside these.
    """
    found = {name: each for name, each in present.items() if each.type != "upload"}
    if not found:
        return {DEFAULT_SOURCE: source}
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
    if old.type != "folder" or new.type != "folder" or old.path != new.path:
        return None
    if names_files(old) and names_files(new) and (old.exclude, old.archives) == (new.exclude, new.archives):
        return replace(new, include=tuple(dict.fromkeys([*old.include, *new.include])))
    return new


def names_files(source: "FolderSource") -> bool:
    """Whether a source is files of a folder that were named one by one."""
    return bool(source.include) and all(glob.startswith("/") for glob in source.include)


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
