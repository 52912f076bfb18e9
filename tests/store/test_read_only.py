"""A database that lies where nothing can be written."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from phaseflow import FolderSource, PhaseFlow
from phaseflow.domain.errors import StoreUnavailable
from phaseflow.flow.reader import Reader
from phaseflow.store.backup import copy_database
from phaseflow.store.read_pool import reading_mode
from tests.engine.components import write_folder


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, that can be made read-only: for root, permissions are none."""
    place = tmp_path / "mount"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


async def filled(path: Path, tmp_path: Path) -> None:
    async with PhaseFlow(path) as flow:
        await (await flow.start("kb", FolderSource(str(write_folder(tmp_path / "docs", 3))))).wait()


async def test_a_database_in_a_read_only_folder_is_read(mount: Path, tmp_path: Path) -> None:
    await filled(mount / "kb.db", tmp_path)
    read_only(mount)
    async with Reader(mount / "kb.db") as reader:
        assert (await reader.kb("kb")).documents == 3
        assert await reader.search("kb", "word")
    assert copy_database(mount / "kb.db", tmp_path / "copy.db")
    async with Reader(tmp_path / "copy.db") as reader:
        assert (await reader.kb("kb")).documents == 3


async def test_changes_that_cannot_be_seen_are_not_passed_over(mount: Path, tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    async with PhaseFlow(path) as flow:
        await (await flow.start("kb", FolderSource(str(write_folder(tmp_path / "docs", 3))))).wait()
        for name in ("kb.db", "kb.db-wal"):
            shutil.copy(tmp_path / name, mount)
    assert (mount / "kb.db-wal").stat().st_size
    read_only(mount)
    with pytest.raises(StoreUnavailable, match=r"kb\.db-wal holds changes .* Copy both files"):
        async with Reader(mount / "kb.db"):
            pass


def test_a_file_that_somebody_has_open_is_read_as_one_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    assert reading_mode(path, may_write=True) == "ro"
    assert reading_mode(path, may_write=False) == "ro&immutable=1"
    (tmp_path / "kb.db-shm").touch()
    assert reading_mode(path, may_write=False) == "ro"
