"""Upkeep of the file: nothing that was deleted stays readable in it, and what it no longer needs goes back to the disk.

Deleted bytes are overwritten where they stand (``secure_delete``), except in two places, which are cleared in steps of
some ten milliseconds: the segments of the full-text index, and the pages that the file no longer uses.
"""

import sqlite3
import sys
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple, cast

from phaseflow.domain.log import get_logger
from phaseflow.store.connection import WRITER_BUSY_S
from phaseflow.store.transaction import Transaction

_MERGE_PAGES: Final = 128
"""Pages of the full-text index written in one transaction."""
FREE_PAGES: Final = 256
"""Pages given back in one transaction; each may have to be filled with the last one of the file."""
FEW_PAGES: Final = 500
"""An index of so many pages (2 MB) is merged at once, whatever was removed from it."""
WORTH_IT: Final = 10
"""A larger one when this many times as many passages were removed as it has pages. Else it is left to the hour."""

QUIET: Final = (
    "(SELECT j.kb_id FROM ingestion_jobs AS j WHERE (j.completed_at IS NULL OR j.intent IS NOT NULL)"
    " AND j.completed_at IS NULL AND NOT EXISTS"
    " (SELECT 1 FROM ingestion_phase_status AS p WHERE p.job_id = j.id AND p.status = 'running'))"
)
"""SQL: the knowledge bases whose job is open and does not run. What belongs to them is left alone."""
_MERGEABLE: Final = (
    "SELECT shard, removed FROM index_tables WHERE removed > 0"
    f" AND shard NOT IN (SELECT s.shard FROM index_shards AS s WHERE s.kb_id IN {QUIET})"
)

_INCREMENTAL: Final = 2
"""PRAGMA auto_vacuum of a file whose unused pages can be given back one by one."""


class _FileSize(NamedTuple):
    """Bytes of the file, and how many of them it does not use."""

    total: int
    unused: int


class FreeSpace(NamedTuple):
    """What of the file is in no use, and how it is given back."""

    tx: Transaction

    def has_removed_words(self, *, worth_it: bool = False) -> bool:
        """Whether the full-text index still has words of removed passages that may be cleared; ``worth_it``: so many
        that it should be merged now."""
        return _table_to_merge(self.tx, worth_it=worth_it) is not None

    def merge_some(self) -> bool:
        """Write some pages of the one segment that all of a table's are merged into; False when there is nothing
        removed left in any."""
        table = _table_to_merge(self.tx, worth_it=False)
        if table is None:
            return False
        before = self.tx.value("SELECT total_changes()")
        self.tx.run(f"INSERT INTO passages_{table} (passages_{table}, rank) VALUES ('merge', ?)", -_MERGE_PAGES)
        if (
            self.tx.value("SELECT total_changes()") - before < 2
        ):  # as its documentation says: fewer, and nothing was done
            self.tx.run("UPDATE index_tables SET removed = 0 WHERE shard = ?", table)
        return True

    def size(self) -> _FileSize:
        """How large the file is."""
        page = self.tx.value("PRAGMA page_size")
        return _FileSize(page * self.tx.value("PRAGMA page_count"), page * self.tx.value("PRAGMA freelist_count"))

    def has_free_pages(self) -> bool:
        """Whether ``give_back_some`` has anything to give back."""
        return bool(self.tx.value("PRAGMA freelist_count")) and self.tx.value("PRAGMA auto_vacuum") == _INCREMENTAL

    def give_back_some(self) -> bool:
        """Shorten the file by some of the pages that it does not use; False when there are none."""
        if not self.has_free_pages():
            return False
        # One by one: of a pragma that answers with empty rows, sqlite3 takes the first step and no other.
        for _ in range(FREE_PAGES):
            self.tx.run("PRAGMA incremental_vacuum(1)")
        return True

    def may_rest(self) -> bool:
        """No phase of any job runs: the time for what nobody waits for."""
        return not self.tx.row(
            "SELECT 1 FROM ingestion_jobs AS j JOIN ingestion_phase_status AS p ON p.job_id = j.id"
            " WHERE (j.completed_at IS NULL OR j.intent IS NOT NULL) AND p.status = 'running' LIMIT 1"
        )


def _table_to_merge(tx: Transaction, *, worth_it: bool) -> int | None:
    for table, removed in tx.rows(_MERGEABLE):
        pages = tx.value(f"SELECT count(*) FROM passages_{table}_idx") if worth_it else 0
        if pages <= FEW_PAGES or removed * WORTH_IT >= pages:
            return int(table)
    return None


def cut_wal(connection: sqlite3.Connection) -> bool:
    """Bring the WAL into the file and cut it to nothing; False when somebody reads: then the next time will do."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        get_logger().debug("the WAL is left as it is", error=str(error))
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(WRITER_BUSY_S * 1000)}")


def overwrite_deleted(connection: sqlite3.Connection) -> None:
    """From now on, deleted bytes are overwritten.

    Where unused pages are given back, it costs no page more to overwrite what is in the others (``FAST``).
    """
    (vacuum,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    connection.execute(f"PRAGMA secure_delete = {'FAST' if vacuum == _INCREMENTAL else 'ON'}")


def is_rebuilt(connection: sqlite3.Connection) -> bool:
    """The file can give back its pages, as those that this version makes."""
    return bool(connection.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL)


def rebuild(connection: sqlite3.Connection) -> None:
    """Write the whole file anew: nothing is in it but what is there, and its pages can be given back one by one.

    Nobody else can write meanwhile. Needs room for a second and a third copy; a crash leaves the file as it was.
    """
    connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
    connection.execute("VACUUM")
    overwrite_deleted(connection)


def give_back_memory() -> None:
    """Let the system have what was freed: glibc keeps it, for each thread apart, some 60 MB after a job of 70,000
    passages. Takes some milliseconds, without the interpreter lock. Nothing where the C library has no such call."""
    if trim := _malloc_trim():
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    import ctypes  # here: a process that only reads needs none of it

    return cast("Callable[[int], int] | None", getattr(ctypes.CDLL(None), "malloc_trim", None))
