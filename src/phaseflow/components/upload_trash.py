"""Uploaded files that were taken out: put away in one step, deleted once that is stored, else put back."""

import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from phaseflow.store import failpoints
from phaseflow.store.private_files import make_folder, sync_folder
from phaseflow.store.transaction import Transaction

_TRASH = ".trash"
"""No knowledge base can have this name: theirs begin with a letter or a digit."""


class Trash:
    """A hidden folder in that of the uploads. All methods block; one call at a time."""

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
