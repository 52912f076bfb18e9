"""Whether a copy of a database is sound, before it gets its name; and whether anybody still waits for it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from phaseflow.store import failpoints
from phaseflow.store.connection import is_damage
from phaseflow.store.content_check import changed_content

_CHECK: Final = "PRAGMA quick_check(1)"
"""It reads every page once. ``integrity_check`` also compares the indexes with their tables, for twice the time, and
found one more of 150 bits that were turned over: a page that was lost or cut off is found by either."""
_STEPS: Final = 1_000_000


class CopyStop:
    """Asks a copy to stop, from any thread: between its steps, and in the middle of a statement."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: sqlite3.Connection | None = None
        self.is_asked = False

    def ask(self) -> None:
        """Nobody waits for the copy any more."""
        with self._lock:
            self.is_asked = True
            if self._running is not None:
                self._running.interrupt()

    @contextmanager
    def interrupting(self, connection: sqlite3.Connection) -> Iterator[None]:
        """A statement of this block is interrupted when the copy is to stop.

        SQLite itself asks as well: an interrupt just before a statement begins is lost. On its own that would not do,
        since it asks once a table (3.6 s for a file of 2.9 GB).
        """
        connection.set_progress_handler(lambda: self.is_asked, _STEPS)
        with self._lock:
            self._running = connection
        try:
            yield
        finally:
            with self._lock:
                self._running = None


def damage(path: Path, stop: CopyStop) -> str | None:
    """What is wrong in a file that nobody else has open, in one line: what SQLite finds, else which documents are not
    what was stored. None when it is sound. Blocking.

    Takes time in proportion to the file. Raises sqlite3.Error when it is stopped, or the disk fails.
    """
    uri = f"{path.as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection, stop.interrupting(connection):
            failpoints.hit("backup.checking")
            found = str(connection.execute(_CHECK).fetchone()[0])
            if found == "ok":
                failpoints.hit("backup.checking_contents")
                found = changed_content(connection, lambda: stop.is_asked) or found
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        found = str(error)
    return None if found == "ok" else " ".join(found.split())
