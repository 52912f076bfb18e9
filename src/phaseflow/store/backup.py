"""A copy of a database that is in use: one moment of it, whole, made beside whoever has it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from phaseflow.domain.errors import BackupFailed
from phaseflow.store import failpoints, schema
from phaseflow.store.connection import BUSY_S, explained
from phaseflow.store.private_files import BESIDE, open_private

STEP_PAGES: Final = 1000
"""Pages copied before anybody is asked whether to go on: 4 MB."""


def copy_database(source: Path, target: Path, go_on: Callable[[], bool] = lambda: True) -> int:
    """Copy ``source`` as it is now into a new file for its owner only; its size in bytes. Blocking.

    What is committed later is not in it, and nobody waits for it. It is made under another name, and gets its own once
    it is whole and on the disk; when ``go_on`` answers False between two steps, nothing is left. Raises BackupFailed
    for a target that exists or cannot be written and for a source that cannot be read, NotADatabase, NewerDatabase.
    """
    if os.path.lexists(target):
        raise BackupFailed(f"{target} exists already; name a new file, or remove that one first")
    partial = target.with_name(target.name + ".partial")
    try:
        _remove(partial)
        os.close(open_private(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        if not _copy(source, partial, go_on):
            return 0
        _sync(partial)
        failpoints.hit("backup.copied")
        os.link(partial, target)  # as a rename, but never in the place of a file that has come meanwhile
        _sync(target.parent)
        return target.stat().st_size
    except OSError as error:
        raise BackupFailed(f"cannot write {target}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            _remove(partial)


def _copy(source: Path, target: Path, go_on: Callable[[], bool]) -> bool:
    uri = f"{source.as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)) as old,
            closing(sqlite3.connect(target, isolation_level=None)) as new,
        ):
            old.execute("BEGIN")
            schema.check_version(source, *schema.identity(old))  # from here on it sees this moment
            stopped = _Stopped()

            def look(status: int, remaining: int, total: int) -> None:
                failpoints.hit("backup.step")
                if remaining and not go_on():
                    raise stopped

            try:
                old.backup(new, pages=STEP_PAGES, progress=look)
            except _Stopped:
                return False
            return True
    except sqlite3.Error as error:
        failure = explained(error, source)
        raise BackupFailed(f"cannot copy {source}: {failure}") from error


class _Stopped(Exception):
    """Nobody waits for the copy any more."""


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path: Path) -> None:
    for suffix in BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
