"""Watching a folder: the kernel tells of changes, and nothing is read until it does."""

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

from phaseflow.components.sources.changed_files import ChangedFiles
from phaseflow.components.sources.patterns import Globs
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.domain.settings import FolderSource

_DEBOUNCE_MS = 400
"""A burst of changes is told at once, after so long at most."""
_STEP_MS = 50
_LOOK_MS = 500
"""How often it is seen whether the folder is still the same one."""


class FolderGone(ComponentUnavailable):
    """There is no such folder at this moment: it may have been moved, or not be mounted yet."""


def watch_folder(
    source: FolderSource,
    own: Iterable[Path],
    changed: Callable[[ChangedFiles], None],
    began: Callable[[], None],
    stop: Event,
) -> None:
    """Call ``changed`` after changes to files that may be documents, until ``stop``; ``began`` once it watches.

    Hidden files, those that the globs leave out, and all whose path begins as one of ``own`` (the engine's) do not
    count. Returns when the folder has been replaced or is gone: then it has to be watched anew. Blocking. Raises
    ComponentUnavailable when it cannot be watched, FolderGone when it is not there.
    """
    root = Path(source.path).expanduser()
    wanted = _filter(source, root, own)
    try:
        before = os.stat(root)
        changes = _library().watch(
            root if root.is_dir() else root.parent, watch_filter=None, debounce=_DEBOUNCE_MS, step=_STEP_MS,
            rust_timeout=_LOOK_MS, yield_on_timeout=True, stop_event=stop, raise_interrupt=False, force_polling=False,
        )  # fmt: skip
        has_begun = False
        for found in changes:
            if not has_begun:
                has_begun = True
                began()
            paths = {relative for _, path in found if (relative := wanted(path)) is not None}
            if paths:
                changed(ChangedFiles.at(source, root, paths))
            now = os.stat(root)
            if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
                return
    except FileNotFoundError as error:
        raise FolderGone(f"there is no folder {source.path!r} any more") from error
    except Exception as error:
        raise ComponentUnavailable(
            f"the folder {source.path!r} cannot be watched ({_words(error)}); it is read at set times instead. A limit"
            " of the kernel can be raised (fs.inotify.max_user_watches)"
        ) from error


def _words(error: Exception) -> str:
    """What the library says for people; behind that stand its own structures and every path."""
    return str(error).partition(" about [")[0]


def _library() -> Any:
    try:
        return import_module("watchfiles")
    except ImportError as error:
        raise ComponentUnavailable("watching needs the package watchfiles; pip install watchfiles") from error


def _filter(source: FolderSource, root: Path, own: Iterable[Path]) -> Callable[[str], str | None]:
    """The path of a change relative to the folder, None for what cannot be a document."""
    globs = Globs(source.include, source.exclude)
    prefixes = [os.path.realpath(path) for path in own]
    roots = [f"{root}/", f"{os.path.realpath(root)}/"]

    def wanted(path: str) -> str | None:
        if any(os.path.realpath(path).startswith(prefix) for prefix in prefixes):
            return None
        if not root.is_dir():
            return Path(path).name if Path(path).name == root.name else None
        relative = next((path[len(each) :] for each in roots if path.startswith(each)), "")
        if any(part.startswith(".") and part not in {".github", ".gitignore"} for part in relative.split("/")):
            return None
        is_left_out = os.path.basename(path) != ".gitignore" and os.path.isfile(path) and not globs.take_file(relative)
        return None if is_left_out else relative

    return wanted
