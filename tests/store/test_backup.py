"""A copy of a file that is in use has all documents that one moment of it names."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from phaseflow.store import backup, failpoints
from phaseflow.store.backup import copy_database
from phaseflow.store.session import open_session
from tests.store.probes import select
from tests.store.stock import stock

CONTENT = b"A letter. " * 3


@pytest.fixture
async def kept(path: Path, tmp_path: Path) -> Path:
    """A file that names two documents outside it; the folder where they are, still empty."""
    async with open_session(path) as database:
        made = await stock(database)
    with closing(sqlite3.connect(path)) as connection:
        for uri, file in (("a", "one"), ("b", "two")):
            connection.execute(
                "INSERT INTO pushed (kb_id, uri, media_type, size, digest, file, pushed_at)"
                " VALUES (?, ?, 'text/plain', ?, '', ?, '2026-01-01T00:00:00.000Z')",
                (made.key, uri, len(CONTENT), file),
            )
        connection.commit()
    folder = tmp_path / "kept"
    (folder / "kb").mkdir(parents=True)
    return folder


@pytest.fixture
def again() -> Iterator[list[int]]:
    """The tries after the first."""
    tried: list[int] = []
    failpoints.install("backup.again", lambda: tried.append(1))
    yield tried
    failpoints.clear()


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "kb" / name).write_bytes(CONTENT)


def contents(copy: Path) -> list[tuple[object, ...]]:
    return select(copy, "SELECT content, file FROM pushed ORDER BY uri")


async def test_documents_that_are_all_there_are_in_the_copy_at_the_first_try(
    path: Path, kept: Path, again: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PIECE", 7)
    put(kept, "one", "two")
    copy = path.with_name("copy.db")
    assert copy_database(path, copy, files=kept) == copy.stat().st_size
    assert contents(copy) == [(CONTENT, None), (CONTENT, None)]
    assert again == []
    assert contents(path) == [(None, "one"), (None, "two")]
    assert sorted(each.name for each in kept.rglob("*")) == ["kb", "one", "two"]
    assert not list(path.parent.glob("*.files"))


async def test_a_document_that_cannot_be_found_is_looked_for_so_often_and_left_out(
    path: Path, kept: Path, again: list[int]
) -> None:
    put(kept, "two")
    copy_database(path, copy := path.with_name("copy.db"), files=kept)
    assert contents(copy) == [(None, "one"), (CONTENT, None)]
    assert len(again) == backup._TRIES - 1


async def test_a_document_that_comes_while_it_is_looked_for_is_in_the_copy(path: Path, kept: Path) -> None:
    tried: list[int] = []

    def come() -> None:
        tried.append(1)
        if len(tried) == 2:
            put(kept, "one", "two")

    failpoints.install("backup.again", come)
    try:
        copy_database(path, copy := path.with_name("copy.db"), files=kept)
    finally:
        failpoints.clear()
    assert len(tried) == 2
    assert contents(copy) == [(CONTENT, None), (CONTENT, None)]


async def test_a_copy_of_which_nobody_waits_for_the_documents_is_given_up(path: Path, kept: Path) -> None:
    put(kept, "one", "two")
    pages = select(path, "PRAGMA page_count")[0][0]
    assert pages <= backup.STEP_PAGES  # one step, at whose end nobody is asked
    asked: list[int] = []

    def go_on() -> bool:
        asked.append(1)
        return len(asked) < 2

    copy = path.with_name("copy.db")
    assert copy_database(path, copy, go_on, kept) == 0
    assert len(asked) == 2  # before each document
    assert not copy.exists()
