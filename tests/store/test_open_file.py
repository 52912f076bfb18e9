"""Whether a file that is open is still the one that SQLite has."""

import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from phaseflow import PhaseFlow, Reader
from phaseflow.domain.errors import NotADatabase, StoreUnavailable
from phaseflow.store.connection import explained
from phaseflow.store.open_file import SQLITE_MAGIC, connected, descriptor, open_file, size_by_head
from phaseflow.store.session import open_session
from tests.cli.forked import program
from tests.matrices import first_of_each

PAGE = 4096


def head(pages: int, page_size: int = PAGE) -> bytes:
    """The first bytes of a file of so many pages."""
    counter = (7).to_bytes(4)
    start = SQLITE_MAGIC + page_size.to_bytes(2) + bytes(6) + counter + pages.to_bytes(4)
    return start.ljust(92, b"\0") + counter


@pytest.mark.parametrize(
    ("wal_pages", "fault"),
    [(10, None), (0, "was cut off or overwritten while in use; stop the engine and restore a copy of it")],
)
def test_pages_that_a_full_disk_has_left_in_the_wal_are_not_missing(
    tmp_path: Path, wal_pages: int, fault: str | None
) -> None:
    path = tmp_path / "kb.db"
    path.write_bytes(head(10).ljust(2 * PAGE, b"\0"))
    if wal_pages:
        path.with_name("kb.db-wal").write_bytes(bytes(32 + wal_pages * (24 + PAGE)))
    with open_file(path) as file:
        assert file.fault() == fault


@pytest.mark.parametrize(("noted", "page"), [(512, 512), (32768, 32768), (1, 65536)])
def test_a_file_without_its_last_byte_has_a_fault_whatever_its_pages(tmp_path: Path, noted: int, page: int) -> None:
    path = tmp_path / "kb.db"
    for missing in (0, 1):
        path.write_bytes(head(3, noted).ljust(3 * page - missing, b"\0"))
        with open_file(path) as file:
            assert bool(file.fault()) == bool(missing)


def test_a_head_that_a_later_change_has_left_behind_says_nothing_of_the_size() -> None:
    assert size_by_head(head(3)) == 3 * PAGE
    assert size_by_head(head(3)[:-1] + b"\x08") == 0


def test_a_file_of_another_program_is_known_once_the_wal_has_nothing_more_to_say(tmp_path: Path) -> None:
    path, wal = tmp_path / "kb.db", tmp_path / "kb.db-wal"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 258")
        connection.execute("CREATE TABLE t (n)")
    with open_file(path) as file:
        assert not file.is_of_another(258)
        assert file.is_of_another(259)
        wal.write_bytes(b"\0")
        assert not file.is_of_another(259)
        wal.unlink()
        os.truncate(path, 95)
        assert not file.is_of_another(259)


def test_a_file_has_one_descriptor_more_for_as_long_as_it_is_connected_to(tmp_path: Path) -> None:
    path, other = tmp_path / "kb.db", tmp_path / "other.db"
    path.touch()
    other.touch()
    assert descriptor(path) is None
    with connected(path):
        with connected(path):
            found = descriptor(path)
            assert found is not None
            assert os.path.samestat(os.fstat(found), path.stat())
            assert (descriptor(path), descriptor(other)) == (found, None)
        assert descriptor(path) == found
        path.rename(tmp_path / "elsewhere.db")
        assert descriptor(path) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(found)


def test_a_file_that_is_whole_has_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    path.write_bytes(head(2).ljust(2 * PAGE, b"\0"))
    with open_file(path) as file:
        assert file.fault() is None


ENGINE = """
import sys
from datetime import UTC, datetime
import anyio
from pathlib import Path
from phaseflow.store.session import open_session
from phaseflow.domain.settings import Settings
from phaseflow.store.knowledge_bases import KnowledgeBases

async def main() -> None:
    async with open_session(Path(sys.argv[1])) as database:
        for number in range(40):
            await database.write(
                lambda tx: KnowledgeBases(tx).put(f"{sys.argv[2]}-{number}", None, "{}", datetime.now(UTC))
            )

anyio.run(main)
"""


def _engine(path: Path, name: str) -> None:
    """The whole life of an engine in another process, which leaves as the last one if nobody has the file locked."""
    running = program(ENGINE, path, name)
    try:
        _, said = running.communicate()
    finally:
        running.close()
    assert running.returncode == 0, said


async def _another_reader(path: Path) -> None:
    async with Reader(path):
        pass


async def _an_engine(path: Path) -> None:
    async with PhaseFlow(path):
        pass


@pytest.mark.parametrize("opened", first_of_each([_an_engine, _another_reader]))
async def test_a_reader_sees_what_comes_although_its_process_opens_and_closes_the_file_again(
    tmp_path: Path, opened: Callable[[Path], Awaitable[None]]
) -> None:
    path = tmp_path / "kb.db"
    _engine(path, "a")
    async with Reader(path) as reader:
        before = len((await reader.kbs(1000)).items)
        await opened(path)
        for name in ("b", "c"):
            _engine(path, name)
        assert len((await reader.kbs(1000)).items) == before + 80


async def test_the_descriptors_of_closed_engines_go_with_the_last_connection(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    await _an_engine(path)
    before = len(os.listdir("/dev/fd"))
    async with Reader(path):
        await _an_engine(path)
    assert len(os.listdir("/dev/fd")) == before


async def test_a_read_of_a_file_that_was_taken_away_names_that_and_not_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    async with open_session(path) as database:
        path.rename(tmp_path / "elsewhere.db")

        def fails(_: object) -> None:
            raise NotADatabase("disk I/O error")

        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            await database.read(fails)


@pytest.mark.parametrize(("may_write", "said"), [(False, "cannot be written"), (True, "the disk reports an error")])
def test_a_file_that_nobody_may_write_is_no_fault_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_write: bool, said: str
) -> None:
    (tmp_path / "kb.db").touch()
    monkeypatch.setattr(os, "access", lambda *_: may_write)  # root, who may run this, is stopped by no permission
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    assert said in str(explained(error, tmp_path / "kb.db"))
