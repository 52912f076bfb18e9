"""Files that were sent to the engine: a folder beside the database, one folder in it for each knowledge base.

A file comes in under a number in a hidden folder, is brought to the disk there, and only then takes its name in one
step. So nothing that reads the folder, be it after a crash, ever sees half a file.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from phaseflow.components.sources.names import path_of, safe_name, uri_of
from phaseflow.components.upload_trash import Trash
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import (
    ComponentUnavailable,
    DocumentNotFound,
    InvalidRequest,
    StoreUnavailable,
    UploadTooLarge,
)
from phaseflow.store import failpoints
from phaseflow.store.private_files import make_folder, open_private, sync_folder, tighten_folder
from phaseflow.store.transaction import Transaction

_MIB = 1024 * 1024
_STAGING = ".staging"
"""No knowledge base can have this name: theirs begin with a letter or a digit."""
_OLDER = ".older"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_COPY_BYTES = _MIB


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What is taken at most: bytes of one file, files sent together, bytes of a knowledge base."""

    file_bytes: int = 64 * _MIB
    files: int = 100
    kb_bytes: int = 10 * 1024 * _MIB


class Uploads:
    """The uploaded files of one database. All methods block; the engine of that database alone may use them."""

    def __init__(self, database: Path, limits: UploadLimits) -> None:
        self.database = database
        self.root = database.with_name(f"{database.name}.uploads")
        self.limits = limits
        self._making = Lock()
        self._trash = Trash(self.root)

    def existing(self, kb_id: str) -> Path:
        """The folder of a knowledge base. Raises ComponentUnavailable when it is missing: then its documents are not
        gone, as an empty folder would have it, but the folder has been left behind."""
        folder = self.root / kb_id
        if not folder.is_dir():
            raise ComponentUnavailable(
                f"the uploaded files of {kb_id!r} are missing: put the folder of uploads back beside the database,"
                " or upload them again"
            )
        return folder

    def make(self, kb_id: str, tx: Transaction, *, is_new: bool = False) -> Path:
        """The folder of a knowledge base, made where there is none, and on the disk; not there if ``tx`` is not stored.

        ``is_new``: what lies there was left by a crash, and belongs to no document of it.
        """
        folder = self.root / kb_id
        if is_new:
            self.move_to_trash(kb_id, uuid.uuid4().hex, tx)
        if not folder.is_dir():
            with self._making:
                make_folder(self.root)
                tx.on_rollback(lambda: self._remove_empty(folder, self.root))
                make_folder(folder)
            for parent in (self.root, self.root.parent):
                sync_folder(parent)
        return folder

    def stage(self) -> "UploadBatch":
        """A place for files on their way in."""
        folder = self.root / _STAGING / uuid.uuid4().hex
        with self._making:
            for each in (self.root, folder.parent, folder):
                make_folder(each)
        return UploadBatch(self, folder)

    def unstage(self, folder: Path) -> None:
        """Delete such a place, and what was made for it alone."""
        shutil.rmtree(folder, ignore_errors=True)
        self._remove_empty(folder.parent, self.root)

    def _remove_empty(self, *folders: Path) -> None:
        with self._making, suppress(OSError):  # others are on their way, or files are kept
            for folder in folders:
                folder.rmdir()

    def remove(self, kb_id: str, uri: str, tx: Transaction, key: str) -> None:
        """Put one document away under a key; it is back if ``tx`` is not stored. Raises DocumentNotFound."""
        name = path_of(uri)
        try:
            if safe_name(name) != name:
                raise DocumentNotFound(kb_id, uri)
            with self._making:
                self._trash.take(self.root / kb_id / name, key, tx)
        except (InvalidRequest, FileNotFoundError, NotADirectoryError):
            raise DocumentNotFound(kb_id, uri) from None

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


class UploadBatch:
    """Files on their way in, one after the other. Blocking, from any thread, one call at a time.

    Raises InvalidRequest for a name that cannot be kept or too many files, UploadTooLarge past a limit; then, and after
    ``discard``, nothing of it is to be kept.
    """

    def __init__(self, uploads: Uploads, folder: Path) -> None:
        self._uploads = uploads
        self._folder = folder
        self._lock = Lock()
        self._began = 0
        self._bytes = 0
        self._name = ""
        self._file: BinaryIO | None = None
        self._done: dict[str, Path] = {}
        self._closed = False

    @property
    def is_empty(self) -> bool:
        """No file has come in."""
        return not self._done

    def begin(self, name: str) -> None:
        """A file begins; of two with the same name, the later one counts."""
        with self._lock:
            self._check_open()
            if self._began == self._uploads.limits.files:
                raise InvalidRequest(
                    "files", f"more than {counted(self._began, 'file')}; send the rest in another request"
                )
            self._name = safe_name(name)
            path = self._folder / str(self._began)
            self._file = open(path, "xb", opener=open_private)  # noqa: SIM115  closed by `end` or `discard`
            self._began += 1

    def write(self, data: bytes) -> None:
        """More of the file."""
        with self._lock:
            self._check_open()
            assert self._file is not None
            limits = self._uploads.limits
            if self._file.tell() + len(data) > limits.file_bytes:
                raise UploadTooLarge(f"{self._name} has more than the {limits.file_bytes:,} bytes of a file; split it")
            self._bytes += len(data)
            if self._bytes > limits.kb_bytes:
                raise _full(limits)
            self._file.write(data)

    def end(self) -> None:
        """The file is whole; it is on the disk now."""
        with self._lock:
            self._check_open()
            assert self._file is not None
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._done[self._name] = Path(self._file.name)
            self._file = None

    def copy(self, path: Path) -> None:
        """Take a file of this machine."""
        with _opened(path) as file:
            self.begin(path.name)
            while data := file.read(_COPY_BYTES):
                self.write(data)
        self.end()

    def add(self, name: str, data: bytes) -> None:
        """Take a file from memory."""
        self.begin(name)
        self.write(data)
        self.end()

    def commit(self, kb_id: str, tx: Transaction) -> Sequence[str]:
        """Give the files their names in the folder of a knowledge base, each in one step in place of an older one of
        its name, and return their uris; all is as before if ``tx`` is not stored. Raises UploadTooLarge, and moves
        nothing, when they are too much for it."""
        with self._lock:
            self._check_open()
            folder = self._uploads.make(kb_id, tx)
            self._check_room(folder)
            for name, path in self._done.items():
                self._replace(folder / name, path, tx)
            sync_folder(folder)
            return [uri_of(name) for name in self._done]

    def _replace(self, target: Path, path: Path, tx: Transaction) -> None:
        older = path.with_name(f"{path.name}{_OLDER}")
        if target.exists():
            _copy(target, older)  # so that there is one under the name at every moment
        path.replace(target)
        tx.on_rollback(lambda: _put_back(target, path, older))
        failpoints.hit("uploads.replaced")

    def discard(self) -> None:
        """Delete what has not been committed; nothing more is taken."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()
            self._uploads.unstage(self._folder)

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest("files", "the upload was given up; send it again")

    def _check_room(self, folder: Path) -> None:
        with os.scandir(folder) as entries:
            kept = sum(entry.stat(follow_symlinks=False).st_size for entry in entries if entry.name not in self._done)
        if kept + sum(path.stat().st_size for path in self._done.values()) > self._uploads.limits.kb_bytes:
            raise _full(self._uploads.limits)


@contextmanager
def disk() -> Iterator[None]:
    """Raise StoreUnavailable where the file system refuses."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        reason = "the disk is full" if error.errno in _FULL else f"the folder of uploads cannot be written ({why})"
        raise StoreUnavailable(f"cannot keep the files ({error}); make room, or fix the permissions", reason) from error


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():  # opening a FIFO would wait for ever
        raise InvalidRequest("files", f"{path} is no file; check the name")
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidRequest("files", f"cannot read {path} ({error.strerror}); mend its permissions") from error


def _full(limits: UploadLimits) -> UploadTooLarge:
    return UploadTooLarge(
        f"the knowledge base would have more than the {limits.kb_bytes:,} bytes that one may have;"
        " delete documents, or begin another"
    )


def _copy(path: Path, copy: Path) -> None:
    try:
        os.link(path, copy)
    except OSError:  # a file system without links
        shutil.copyfile(path, copy)


def _put_back(target: Path, path: Path, older: Path) -> None:
    """A file that has taken the place of an older one, or of none, goes back where it came from."""
    if older.exists():
        older.replace(target)
    else:
        target.unlink(missing_ok=True)
    sync_folder(target.parent)
