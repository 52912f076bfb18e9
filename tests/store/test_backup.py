"""A copy of a file that is in use has all documents that one moment of it names."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from threading import Event, Thread

import pytest

from phaseflow.domain.errors import BackupFailed, NotADatabase
from phaseflow.store import backup, copy_check, failpoints
from phaseflow.store.backup import copy_database
from phaseflow.store.copy_check import CopyStop
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
                " VALUES (?, ?, 'text/plain', ?, ?, ?, '2026-01-01T00:00:00.000Z')",
                (made.key, uri, len(CONTENT), blake2b(CONTENT, digest_size=16).hexdigest(), file),
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


async def test_a_copy_begins_a_log_of_its_own(path: Path) -> None:
    async with open_session(path) as database:
        await stock(database)
    copies = [path.with_name(name) for name in ("one.db", "two.db")]
    for copy in copies:
        copy_database(path, copy)
    logs = [select(file, "SELECT name, last FROM sequences ORDER BY name = 'log'") for file in (path, *copies)]
    assert len({log for *_, (_, log) in logs}) == len(logs)
    assert [others for *others, _ in logs] == [logs[0][:-1]] * len(logs)


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
    stop, steps = CopyStop(), list[float | None]()

    def told(share: float | None) -> None:
        steps.append(share)
        if len(steps) == 2:
            stop.ask()

    copy = path.with_name("copy.db")
    assert copy_database(path, copy, stop, kept, progress=told) == 0
    assert len(steps) == 2  # the pages, and before the first document
    assert not copy.exists()


def _damage(path: Path, how: str) -> None:
    """A page of zeros in the middle of the file, or its last bytes gone."""
    if how == "cut":
        os.truncate(path, path.stat().st_size - 100)
        return
    with path.open("r+b") as file:
        file.seek(4096 * 7)
        file.write(bytes(4096))


@pytest.mark.parametrize("how", ["lost", "cut"])
async def test_of_a_damaged_file_there_is_no_copy(path: Path, how: str) -> None:
    async with open_session(path) as database:
        await stock(database)
    _damage(path, how)
    older, copy = path.with_name("older.db"), path.with_name("copy.db")
    older.write_bytes(b"sound")
    with pytest.raises(NotADatabase, match=f"^{re.escape(str(path))} is damaged.*[Rr]estore"):
        copy_database(path, copy)
    assert (older.read_bytes(), list(path.parent.glob("copy.db*"))) == (b"sound", [])


async def test_a_damaged_file_is_copied_as_it_is_where_that_is_wanted(path: Path) -> None:
    async with open_session(path) as database:
        await stock(database)
    _damage(path, "lost")
    copy = path.with_name("copy.db")
    assert copy_database(path, copy, check=False) == copy.stat().st_size


async def test_a_copy_is_checked_with_the_documents_that_were_put_into_it(path: Path, kept: Path) -> None:
    put(kept, "one", "two")
    steps: list[float | None] = []
    copy_database(path, path.with_name("copy.db"), files=kept, progress=steps.append)
    assert (steps[-1], steps.count(None)) == (None, 1)


async def test_a_copy_that_nobody_waits_for_while_it_is_checked_is_not_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_session(path) as database:
        await stock(database)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    monkeypatch.setattr(copy_check, "_CHECK", endless)
    stop, asking = CopyStop(), Event()
    failpoints.install("backup.checking", asking.set)

    def ask() -> None:
        asking.wait()
        stop.ask()

    patient = Thread(target=ask)
    patient.start()
    try:
        assert copy_database(path, copy := path.with_name("copy.db"), stop) == 0
    finally:
        failpoints.clear()
        patient.join()
    assert not list(path.parent.glob(f"{copy.name}*"))


async def test_a_disk_that_fails_while_a_copy_is_checked_is_no_damage(path: Path) -> None:
    async with open_session(path) as database:
        await stock(database)

    def fail() -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    failpoints.install("backup.checking", fail)
    try:
        with pytest.raises(BackupFailed, match=r"cannot check the copy of .*: disk I/O error"):
            copy_database(path, copy := path.with_name("copy.db"))
    finally:
        failpoints.clear()
    assert not copy.exists()
