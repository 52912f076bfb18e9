"""The larger documents that were pushed: a folder beside the database, one folder in it for each knowledge base.

A file comes in under a name of its own in a hidden folder, is brought to the disk there, and is moved to its place as
the last step of the transaction that names it. A name is never used again. So a file that the database names is whole,
and one that it does not name is a leftover.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from phaseflow.domain.checked_fields import check_numbers
from phaseflow.domain.errors import StoreUnavailable, UploadTooLarge
from phaseflow.store import failpoints
from phaseflow.store.private_files import make_folder, sync_folder, tighten_folder
from phaseflow.store.transaction import Transaction

_MIB = 1024 * 1024
_STAGING, _TRASH = ".staging", ".trash"
"""No knowledge base can have such a name: theirs begin with a letter or a digit."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What is taken at most: bytes of one document, documents sent together, bytes of a knowledge base."""

    file_bytes: int = 64 * _MIB
    files: int = 100
    kb_bytes: int = 10 * 1024 * _MIB

    def __post_init__(self) -> None:
        check_numbers(self)


class Uploads:
    """The larger pushed documents of one database. All methods block; its engine alone may use them."""

    def __init__(self, database: Path, limits: UploadLimits) -> None:
        self.database = database
        self.root = database.with_name(f"{database.name}.uploads")
        self.limits = limits
        self._making = Lock()
        self._trash = _Trash(self.root)

    def stage(self) -> Path:
        """A folder for files on their way in, of its own."""
        folder = self.root / _STAGING / uuid.uuid4().hex
        with self._making:
            for each in (self.root, folder.parent, folder):
                make_folder(each)
        return folder

    def unstage(self, folder: Path) -> None:
        """Delete such a folder, and what was made for it alone."""
        shutil.rmtree(folder, ignore_errors=True)
        self._remove_empty(folder.parent, self.root)

    def place(self, kb_id: str, files: Sequence[Path], tx: Transaction) -> None:
        """Move files that are on the disk to the folder of a knowledge base, each in one step, and bring that there.
        They are gone if ``tx`` is not stored."""
        if not files:
            return
        folder = self.root / kb_id
        if not folder.is_dir():
            with self._making:
                make_folder(self.root)
                tx.on_rollback(lambda: self._remove_empty(folder, self.root))
                make_folder(folder)
            for parent in (self.root, self.root.parent):
                sync_folder(parent)
        tx.on_rollback(lambda: self.remove(kb_id, [file.name for file in files]))
        for file in files:
            file.replace(folder / file.name)
        sync_folder(folder)
        failpoints.hit("uploads.placed")

    def path(self, kb_id: str, name: str) -> Path:
        """Where a file of a knowledge base is."""
        return self.root / kb_id / name

    def remove(self, kb_id: str, names: Iterable[str]) -> None:
        """Delete files that nothing names any more. What cannot be deleted now is tried again by the next engine."""
        for name in names:
            with suppress(OSError):
                self.path(kb_id, name).unlink()

    def kbs(self) -> list[str]:
        """The knowledge bases that have a folder."""
        if not self.root.is_dir():
            return []
        return sorted(each.name for each in self.root.iterdir() if each.is_dir() and not each.name.startswith("."))

    def names(self, kb_id: str) -> Iterator[str]:
        """The names of all files of a knowledge base. Those that begin with a dot are kept under a number; an older
        phaseflow kept each under its own."""
        with os.scandir(self.root / kb_id) as entries:
            yield from (entry.name for entry in entries if entry.is_file(follow_symlinks=False))

    def move_to_trash(self, kb_id: str, key: str, tx: Transaction) -> None:
        """Take the folder of a knowledge base out of sight, in one step; it is back if ``tx`` is not stored.

        ``key`` is that of the knowledge base, by which a start after a crash knows whether it was deleted.
        """
        folder = self.root / kb_id
        if folder.exists():
            with self._making:
                self._trash.take(folder, key, tx)

    def empty_trash(self, key: str) -> None:
        """Delete what was put away under a key. What cannot be deleted now goes with the next start."""
        with self._making:
            self._trash.delete(key)

    def recover(self, live: Mapping[str, str]) -> None:
        """Finish or take back what an engine that died was about, and close the rest to other users.

        ``live`` are the names of the knowledge bases that there are, by their keys. What one of them has in the trash
        goes back: its deletion was not stored. Files on their way in go. Blocking; for the start of an engine.
        """
        shutil.rmtree(self.root / _STAGING, ignore_errors=True)
        self._trash.recover(live)
        tighten_folder(self.root)

    def _remove_empty(self, *folders: Path) -> None:
        with self._making, suppress(OSError):  # others are on their way, or files are kept
            for folder in folders:
                folder.rmdir()


@contextmanager
def disk() -> Iterator[None]:
    """Raise StoreUnavailable where the file system refuses."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        reason = "the disk is full" if error.errno in _FULL else f"the folder of uploads cannot be written ({why})"
        raise StoreUnavailable(f"cannot keep the files ({error}); make room, or fix the permissions", reason) from error


def kb_is_full(limits: UploadLimits) -> UploadTooLarge:
    """The error for a knowledge base that would have too much."""
    return UploadTooLarge(
        f"the knowledge base would have more than the {limits.kb_bytes:,} bytes that one may have;"
        " delete documents, or begin another"
    )


class _Trash:
    """Files that were taken out: put away in one step, deleted once that is stored, else put back.

    A hidden folder in that of the uploads. All methods block; one call at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / _TRASH

    def take(self, path: Path, key: str, tx: Transaction) -> None:
        """Put a file or folder away under a key; it is back if ``tx`` is not stored. Raises OSError."""
        for folder in (self._root, self._folder):
            make_folder(folder)
        target = self._folder / key
        try:
            path.rename(target)
        except OSError:
            self._leave()
            raise
        tx.on_rollback(lambda: self._put_back(target, path))
        sync_folder(path.parent)
        failpoints.hit("uploads.put_away")

    def delete(self, key: str) -> None:
        """Delete what was put away under a key, as far as that is possible."""
        path = self._folder / key
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
        self._leave()

    def recover(self, live: Mapping[str, str]) -> None:
        """After a crash: put back what a knowledge base of ``live``, names by key, still has here; delete the rest."""
        for key in self._keys():
            if key in live:
                folder = self._root / live[key]
                if folder.exists():  # made for another of its name, which was not stored either
                    folder.rename(self._folder / uuid.uuid4().hex)
                (self._folder / key).rename(folder)
                sync_folder(self._root)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _keys(self) -> list[str]:
        try:
            return os.listdir(self._folder)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _put_back(self, target: Path, path: Path) -> None:
        target.rename(path)
        sync_folder(path.parent)
        self._leave()

    def _leave(self) -> None:
        with suppress(OSError):  # there is more in it
            self._folder.rmdir()
