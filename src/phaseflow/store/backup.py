"""A copy of a database that is in use: one moment of it, whole, made beside whoever has it."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from phaseflow.domain.errors import BackupFailed, NotADatabase
from phaseflow.store import failpoints, schema
from phaseflow.store.connection import BUSY_S, explained
from phaseflow.store.copy_check import CopyStop, damage
from phaseflow.store.private_files import made_whole, make_folder, open_private
from phaseflow.store.read_pool import reading_mode

STEP_PAGES: Final = 1000
"""Pages copied before anybody is asked whether to go on: 4 MB."""
_TRIES: Final = 5
"""Of finding all files that one moment of the database names, while documents are replaced."""
_PIECE: Final = 1 << 20
_KEPT: Final = (
    "SELECT p.id, k.name, p.file FROM pushed AS p JOIN knowledge_bases AS k ON k.id = p.kb_id"
    " WHERE p.file IS NOT NULL AND k.name IS NOT NULL"
)

Kept = dict[int, Path]
"""The files of documents that were pushed, by the number of their row."""

Progress = Callable[[float | None], None]
"""Told the share that has been copied, from 0 to 1, and None once the copy is being checked."""


def copy_database(
    source: Path,
    target: Path,
    stop: CopyStop | None = None,
    files: Path | None = None,
    *,
    check: bool = True,
    progress: Progress = lambda _: None,
) -> int:
    """Copy ``source`` as it is now into a new file for its owner only; its size in bytes. Blocking.

    What is committed later is not in it, and nobody waits for it. It is made under another name, and gets its own once
    it is whole, found sound (unless ``check`` is False: then damage is copied as it is) and on the disk; when ``stop``
    asks for it, nothing is left. The larger documents that were pushed, which stand in the folder ``files``, are put
    into the copy, so that it needs no other file. Raises BackupFailed for a target that exists or cannot be written and
    for a source that cannot be read, NotADatabase for one that is damaged, StoreUnavailable for one in a read-only
    folder whose WAL would be missed, NewerDatabase.
    """
    stop = stop or CopyStop()
    try:
        if check:
            schema.check_file(source)  # where the end of a file is missing, SQLite copies zeros
        with made_whole(target) as partial, _beside(partial) as links:
            _copy(source, partial, stop, files, links, progress)
            failpoints.hit("backup.copied")
            if check:
                progress(None)
                _check(source, partial, stop)
        return target.stat().st_size
    except _Stopped:
        return 0
    except FileExistsError:
        raise BackupFailed(f"{target} exists already; name a new file, or remove that one first") from None
    except OSError as error:
        raise BackupFailed(f"cannot write {target}: {error.strerror}") from error


@contextmanager
def _beside(partial: Path) -> Iterator[Path]:
    """A folder for second names of files, which goes at the end."""
    folder = partial.with_name(partial.name + ".files")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(source: Path, copy: Path, stop: CopyStop) -> None:
    """Raise NotADatabase when the copy is damaged: it has every page of its source as it is, whatever is in it."""
    try:
        found = damage(copy, stop)
    except sqlite3.Error as error:
        if stop.is_asked:
            raise _Stopped from error
        raise BackupFailed(f"cannot check the copy of {source}: {error}") from error
    if found:
        raise NotADatabase(
            f"{source} is damaged, or the disk of its copy is ({found}); no copy was left. Keep the backups you have,"
            " and restore one; --no-check (check=False) copies the file as it is"
        )


def _copy(source: Path, target: Path, stop: CopyStop, files: Path | None, links: Path, progress: Progress) -> None:
    uri = f"{source.as_uri()}?mode={reading_mode(source, may_write=os.access(source.parent, os.W_OK))}"

    def look(status: int, remaining: int, total: int) -> None:
        failpoints.hit("backup.step")
        progress(1 - remaining / total if total else 1)
        if remaining and stop.is_asked:
            raise _Stopped

    try:
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)) as old,
            closing(sqlite3.connect(target, isolation_level=None)) as new,
        ):
            new.execute("PRAGMA synchronous = OFF")  # it is synced once, as a whole, before it gets its name
            old.execute("BEGIN")
            schema.check_version(source, *schema.identity(old))  # from here on it sees this moment
            kept = _kept(old, files, links) if files is not None else {}
            old.backup(new, pages=STEP_PAGES, progress=look)
            for number, path in kept.items():
                look(0, 1, 1)
                _put(new, number, path)
            if schema.identity(new)[1] == schema.VERSION:
                _begin_log(new)
    except sqlite3.Error as error:
        failure = explained(error, source)
        if isinstance(failure, NotADatabase):
            raise failure from error
        raise BackupFailed(f"cannot copy {source}: {failure}") from error


def _kept(old: sqlite3.Connection, files: Path, links: Path) -> Kept:
    """The files that this moment names, each under a second name that nobody removes.

    One that is replaced before it has that is gone: then it is tried with a later moment. One that is missing all the
    same is missing in the database, too.
    """
    if schema.identity(old)[1] != schema.VERSION:
        return {}  # an older one has no table of them
    for last in range(_TRIES):
        found: Kept = {}
        rows = old.execute(_KEPT).fetchall()
        for number, kb_id, name in rows:
            with suppress(FileNotFoundError):
                found[number] = _second_name(files / kb_id / name, links, number)
        if len(found) == len(rows) or last == _TRIES - 1:
            break
        old.execute("COMMIT")
        failpoints.hit("backup.again")
        old.execute("BEGIN")
    return found


def _second_name(path: Path, links: Path, number: int) -> Path:
    make_folder(links)
    link = links / f"{number}"
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one that knows no second names
        with open(path, "rb") as file, open(link, "xb", opener=open_private) as copy:
            shutil.copyfileobj(file, copy, _PIECE)
    return link


def _put(new: sqlite3.Connection, number: int, path: Path) -> None:
    """Put the bytes of a document into its row, piece by piece."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        new.execute("BEGIN")
        new.execute("UPDATE pushed SET content = zeroblob(?), file = NULL WHERE id = ?", (size, number))
        with new.blobopen("pushed", "content", number) as blob:
            while piece := file.read(_PIECE):
                blob.write(piece)
        new.execute("COMMIT")


def _begin_log(new: sqlite3.Connection) -> None:
    """What the copy logs from here on is another log: whoever follows that of the source learns so where the copy takes
    its place."""
    with suppress(sqlite3.DatabaseError):  # of a damaged one that is copied as it is
        new.execute("UPDATE sequences SET last = abs(random() >> 16) WHERE name = 'log'")


class _Stopped(Exception):
    """Nobody waits for the copy any more."""
