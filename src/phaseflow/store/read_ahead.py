"""Reading the file ahead of a search that is about to need a good part of it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from struct import unpack_from
from threading import Event, Thread
from typing import Final, NamedTuple

from phaseflow.store.open_file import descriptor
from phaseflow.store.transaction import Transaction, json_array

LEAST: Final = 2_000
"""Passages: fewer are read in some milliseconds."""
PASSAGES: Final = ("documents_live", "documents_by_kb", "documents", "chunks")
VECTORS: Final = ("vectors",)
"""Tables and indexes that are read to know the passages, and their vectors."""
_GOOD_PART: Final = 4
"""One passage of so many in the file: SQLite waits for each page, and reads a virtual disk at an eighth of the speed
that it has when much is asked of it at once (measured: 264 MB/s of 2,010)."""
_STEP: Final = 8 << 20
_GAP: Final = 32 << 10
"""Bytes between two pages that are read with them: a disk does that in the time of one more request."""
_CONTROL_GROUP: Final = Path("/sys/fs/cgroup/memory.max")

_INNER: Final = (0x02, 0x05)
_HEAD_OF_INNER: Final = 12
_DEEPEST: Final = 20
"""Levels, as in SQLite: a file that changes meanwhile could lead in a circle."""


class ReadAhead:
    """A file that is being read ahead; or none."""

    def __init__(self) -> None:
        self._may_go_on = Event()
        self._may_go_on.set()
        self._is_over = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """For the length of the block nothing more is read ahead: for a few pages from all over the file, which are
        read one after the other. Each would wait until the disk has done what it was asked for before, some 15 ms."""
        self._may_go_on.clear()
        try:
            yield
        finally:
            self._may_go_on.set()

    def end(self) -> None:
        """Read no more ahead."""
        self._is_over = True
        self._may_go_on.set()

    def goes_on(self) -> bool:
        """For who reads ahead, before each piece of the file: waits while it is held. False when it is over."""
        self._may_go_on.wait()
        return not self._is_over


@contextmanager
def reading_ahead(tx: Transaction, kb_key: str, first: Sequence[str]) -> Iterator["ReadAhead"]:
    """For the length of the block, the system reads the file into its memory, where a good part of it is this knowledge
    base and half of the memory can hold it: the tables and indexes that are named ``first``, then the whole. An advice,
    which changes no result: a system that does not know it goes without.

    From the beginning on alone, a million documents were known when all of the file was read, and only then was the
    processor needed for their vectors.
    """
    file = _file_to_read(tx, kb_key) if hasattr(os, "posix_fadvise") else None
    ahead = ReadAhead()
    if file is None:
        yield ahead
        return
    reading = _Reading(file, int(tx.value("PRAGMA page_size")), _roots(tx, first), ahead)
    thread = Thread(target=reading.run, name="phaseflow-read-ahead", daemon=True)
    thread.start()
    try:
        yield ahead
    finally:
        ahead.end()
        thread.join()  # the file may be closed now


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


def _roots(tx: Transaction, names: Sequence[str]) -> list[int]:
    """The first pages of tables and indexes, in this order."""
    rows = tx.rows(
        "SELECT s.rootpage FROM json_each(?) AS n JOIN sqlite_schema AS s ON s.name = n.value ORDER BY n.key",
        json_array(names),
    )
    return [row[0] for row in rows]


def _memory() -> int:
    """Bytes that the machine has, or that this process may use of them."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no control group, or one without a limit
        return min(machine, int(_CONTROL_GROUP.read_text("ascii")))
    return machine


class _Reading(NamedTuple):
    file: int
    page_size: int
    roots: Sequence[int]
    ahead: ReadAhead

    def run(self) -> None:
        with suppress(OSError):
            whole = ((at, _STEP) for at in range(0, os.fstat(self.file).st_size, _STEP))
            for at, length in chain(self._of_trees(), whole):
                os.posix_fadvise(self.file, at, length, os.POSIX_FADV_WILLNEED)
                if not self.ahead.goes_on():
                    return

    def _of_trees(self) -> Iterator[tuple[int, int]]:
        for root in self.roots:
            for pages in _PageTree(self.file, self.page_size, root).pages():
                yield from self._stretches(pages)

    def _stretches(self, pages: Sequence[int]) -> Iterator[tuple[int, int]]:
        """(place, length) of what has these pages in it, as few as can be."""
        places = sorted((number - 1) * self.page_size for number in pages)
        begin = end = places[0]
        for at in places:
            if at > end + _GAP:
                yield begin, end - begin
                begin = at
            end = at + self.page_size
        yield begin, end - begin


class _PageTree(NamedTuple):
    """Where a table or an index lies in the file: a b-tree, by the number of its first page.

    From the pages that only lead to others (https://sqlite.org/fileformat.html, 1.6): one of some hundred. A guess:
    what stands in the WAL is newer. SQLite itself tells the same by ``dbstat``, which reads all pages, and which it is
    mostly built without.
    """

    file: int
    page_size: int
    root: int

    def pages(self) -> Iterator[list[int]]:
        """The numbers of its pages, some hundred at a time: those that lead to others before these, and the last ones,
        which hold the rows, in the order of the rows. None of the last ones is read for it but the first."""
        yield [self.root]
        yield from self._below(self.root, self._height())

    def _height(self) -> int:
        """Levels below the first page: all last pages are as far from it."""
        number, height = self.root, 0
        while height < _DEEPEST and (children := self._children(number)):
            number, height = children[0], height + 1
        return height

    def _below(self, number: int, height: int) -> Iterator[list[int]]:
        if height and (children := self._children(number)):
            yield children
            if height > 1:
                for child in children:
                    yield from self._below(child, height - 1)

    def _children(self, number: int) -> list[int]:
        """The pages that a page leads to; none where it is one of the last."""
        page = os.pread(self.file, self.page_size, (number - 1) * self.page_size)
        if len(page) < self.page_size or page[0] not in _INNER:
            return []
        count = min(int.from_bytes(page[3:5]), (len(page) - _HEAD_OF_INNER) // 2)
        places = unpack_from(f">{count}H", page, _HEAD_OF_INNER)
        return [*(int.from_bytes(page[at : at + 4]) for at in places), int.from_bytes(page[8:12])]
