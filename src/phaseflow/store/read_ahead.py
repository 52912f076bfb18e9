"""Reading the file ahead of a search that is about to need a good part of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final

from phaseflow.store.open_file import descriptor
from phaseflow.store.transaction import Transaction

LEAST: Final = 2_000
"""Passages: fewer are read in some milliseconds."""
_GOOD_PART: Final = 4
"""One passage of so many in the file: SQLite waits for each page, and reads a virtual disk at an eighth of the speed
that it has when much is asked of it at once (measured: 264 MB/s of 2,010)."""
_STEP: Final = 8 << 20
_CONTROL_GROUP: Final = Path("/sys/fs/cgroup/memory.max")


@contextmanager
def reading_ahead(tx: Transaction, kb_key: str) -> Iterator[None]:
    """For the length of the block, the system reads the file into its memory from the beginning on, where a good part
    of it is this knowledge base and half of the memory can hold it. An advice, which changes no result: a system that
    does not know it goes without."""
    file = _file_to_read(tx, kb_key) if hasattr(os, "posix_fadvise") else None
    if file is None:
        yield
        return
    is_over = Event()
    reading = Thread(target=_read, args=(file, is_over), name="phaseflow-read-ahead", daemon=True)
    reading.start()
    try:
        yield
    finally:
        is_over.set()
        reading.join()  # the file may be closed now


def _file_to_read(tx: Transaction, kb_key: str) -> int | None:
    """A descriptor of the file."""
    found = tx.row(
        "SELECT sum(passages) AS whole, sum(iif(kb_id = ?1, passages, 0)) AS own FROM index_shards"
        " GROUP BY true HAVING own >= ?2 AND own * ?3 >= whole",
        kb_key, LEAST, _GOOD_PART,
    )  # fmt: skip
    path = tx.row("PRAGMA database_list") if found else None
    if path is None or not path[2]:
        return None
    file = descriptor(Path(path[2]))
    return file if file is not None and os.fstat(file).st_size * 2 <= _memory() else None


def _memory() -> int:
    """Bytes that the machine has, or that this process may use of them."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no control group, or one without a limit
        return min(machine, int(_CONTROL_GROUP.read_text("ascii")))
    return machine


def _read(file: int, is_over: Event) -> None:
    with suppress(OSError):
        for at in range(0, os.fstat(file).st_size, _STEP):
            os.posix_fadvise(file, at, _STEP, os.POSIX_FADV_WILLNEED)
            if is_over.is_set():
                return
