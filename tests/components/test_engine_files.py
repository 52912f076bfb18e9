"""Files of phaseflow itself are never documents: its database, what lies beside it, and its uploads."""

import os
import sqlite3
from pathlib import Path

import pytest

from phaseflow import PhaseFlow
from phaseflow.components.protocols import Entry
from phaseflow.components.sources import FolderLoader
from phaseflow.components.sources.engine_files import EngineFiles
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from phaseflow.domain.settings import FolderSource

BESIDE = ("", "-wal", "-shm", "-journal", ".lock")


async def uris(path: Path, database: Path | None = None) -> list[str]:
    loader = FolderLoader(FolderSource(str(path)), engine_files=EngineFiles(database))
    return [entry.uri async for page in loader.list() for entry in page]


def with_files_of_an_engine(folder: Path, name: str = "kb.db") -> Path:
    folder.mkdir(exist_ok=True)
    for suffix in BESIDE:
        (folder / f"{name}{suffix}").write_text("# not a document")
    for below in ("kb", ".trash", ".staging"):
        (folder / f"{name}.uploads" / below).mkdir(parents=True)
        (folder / f"{name}.uploads" / below / "sent.md").write_text("# sent")
    (folder / "mine.md").write_text("# mine")
    return folder / name


def foreign_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA application_id = 0x70666C77; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    connection.close()


async def test_the_files_of_the_engine_at_work_are_not_listed(tmp_path: Path) -> None:
    database = with_files_of_an_engine(tmp_path / "docs")
    assert await uris(tmp_path / "docs", database) == ["mine.md"]
    assert await uris(tmp_path, database) == ["docs/mine.md"]


async def test_nor_under_another_name(tmp_path: Path) -> None:
    database = with_files_of_an_engine(tmp_path / "engine")
    docs = tmp_path / "docs"
    docs.mkdir()
    for suffix in BESIDE:
        os.link(f"{database}{suffix}", docs / f"hard{suffix}.md")
    assert await uris(docs, database) == []


async def test_nor_through_links(tmp_path: Path) -> None:
    database = with_files_of_an_engine(tmp_path / ".engine")
    (tmp_path / "mine.md").write_text("# mine")
    for suffix in BESIDE:
        (tmp_path / f"link{suffix}.md").symlink_to(f"{database}{suffix}")
    (tmp_path / "uploads").symlink_to(f"{database}.uploads")
    (tmp_path / "kb").symlink_to(f"{database}.uploads/kb")
    (tmp_path / "sent.md").symlink_to(f"{database}.uploads/kb/sent.md")
    assert await uris(tmp_path, database) == ["mine.md"]


@pytest.mark.parametrize(
    "uri", ["kb.db", "kb.db-wal", "kb.db.lock", "kb.db.uploads/kb/sent.md", "link.md", "linked/kb/sent.md"]
)
async def test_an_entry_that_names_one_is_gone(tmp_path: Path, uri: str) -> None:
    database = with_files_of_an_engine(tmp_path)
    (tmp_path / "link.md").symlink_to("kb.db")
    (tmp_path / "linked").symlink_to("kb.db.uploads")
    loader = FolderLoader(FolderSource(str(tmp_path)), engine_files=EngineFiles(database))
    with pytest.raises(DocumentError) as caught:
        await loader.load(Entry(uri), None)
    assert (caught.value.code, caught.value.gone, caught.value.counts) == ("not_found", True, False)


@pytest.mark.parametrize("path", ["kb.db", "kb.db-shm", "kb.db.uploads", "kb.db.uploads/kb", "link"])
async def test_one_of_them_is_no_source(tmp_path: Path, path: str) -> None:
    database = with_files_of_an_engine(tmp_path)
    (tmp_path / "link").symlink_to("kb.db.uploads/kb")
    with pytest.raises(ComponentUnavailable, match="belongs to phaseflow itself"):
        await uris(tmp_path / path, database)


async def test_databases_of_other_engines_are_known_by_their_content(tmp_path: Path) -> None:
    with_files_of_an_engine(tmp_path, "other")
    (tmp_path / "other").unlink()
    foreign_database(tmp_path / "other")
    foreign_database(tmp_path / "renamed.md")
    (tmp_path / "b.md").write_bytes(b"x" * 4096)
    (tmp_path / "notes-wal").write_text("no database stands beside it")
    assert await uris(tmp_path) == ["b.md", "mine.md", "notes-wal"]


async def test_a_new_database_that_another_engine_has_open_is_known(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("# mine")
    async with PhaseFlow(tmp_path / "other.sqlite", slots=0):
        assert await uris(tmp_path) == ["mine.md"]


async def test_a_database_of_another_program_is_listed_as_any_file(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert await uris(tmp_path) == ["a.db"]


async def test_an_engine_that_reads_its_own_folder_finds_only_what_is_no_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("# Mine\n\nzebra")
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        for _ in range(2):
            job = await flow.start("docs", tmp_path, full=True)
            await job.wait()
        assert [each.uri for each in (await flow.documents("docs")).items] == ["mine.md"]
        assert (await flow.failures("docs")).items == []
