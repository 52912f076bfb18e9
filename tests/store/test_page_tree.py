"""Where tables and indexes lie in the file: all of their pages, and no other, without reading what holds the rows."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from phaseflow.store.read_ahead import _PageTree

pytestmark = pytest.mark.skipif(not hasattr(os, "pread"), reason="this system reads no file at a place")
PAGE = 512


@contextmanager
def opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


def made(path: Path, rows: int) -> dict[str, int]:
    """A file with one table, one index and nothing else: the first page of each."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("CREATE INDEX i ON t (text)")
        connection.execute("BEGIN")
        texts = [(number, f"{number * 7919 % rows:060}") for number in range(rows)]
        connection.executemany("INSERT INTO t VALUES (?, ?)", texts)
        connection.execute("COMMIT")
        return dict(connection.execute("SELECT name, rootpage FROM sqlite_schema"))


@pytest.mark.parametrize("rows", [1, 20, 5_000])
def test_a_table_and_its_index_have_all_pages_of_a_file_that_holds_nothing_else(tmp_path: Path, rows: int) -> None:
    roots = made(tmp_path / "kb.db", rows)
    with opened(tmp_path / "kb.db") as file:
        found = [page for root in roots.values() for some in _PageTree(file, PAGE, root).pages() for page in some]
    assert sorted([1, *found]) == list(range(1, (tmp_path / "kb.db").stat().st_size // PAGE + 1))


def test_only_pages_that_lead_to_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = made(tmp_path / "kb.db", 5_000)["t"]
    read = list[int]()
    pread = os.pread

    def noted(file: int, length: int, at: int) -> bytes:
        read.append(at // PAGE + 1)
        return pread(file, length, at)

    monkeypatch.setattr(os, "pread", noted)
    with opened(tmp_path / "kb.db") as file:
        found = [page for some in _PageTree(file, PAGE, root).pages() for page in some]
        last = {page for page in found if pread(file, 1, (page - 1) * PAGE) == b"\x0d"}
    assert len(last) > 500
    assert len(last & set(read)) == 1


def test_a_page_that_leads_back_to_itself_ends_at_the_depth_of_a_tree(tmp_path: Path) -> None:
    page = bytes([5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).ljust(PAGE, b"\0")
    (tmp_path / "kb.db").write_bytes(page)
    with opened(tmp_path / "kb.db") as file:
        assert {number for some in _PageTree(file, PAGE, 1).pages() for number in some} == {1}
