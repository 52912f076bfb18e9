"""One change among many files reads one file; what only a list can tell is listed."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.sources import changed_files
from tests.engine.components import CountingEmbedder
from tests.engine.test_source_sync import WATCH, has, is_watched, jobs, until
from tests.matrices import first_of_each
from tests.store.probes import select

FOLDERS, FILES = 20, 150


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("watchfiles")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("A letter.")
    (tmp_path / "docs" / "b.md").write_text("Another letter.")
    return tmp_path / "docs"


@pytest.fixture
def looks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the file system is asked about the folder, and what is in it."""
    counted: Counter[str] = Counter()

    def count(name: str) -> None:
        real = getattr(os, name)

        def counting(*args: Any, **options: Any) -> Any:
            is_ours = isinstance(args[0], int) or options.get("dir_fd") or str(args[0]).startswith(str(folder))
            counted[name] += bool(is_ours)
            return real(*args, **options)

        monkeypatch.setattr(os, name, counting)

    for name in ("scandir", "listdir", "stat", "open"):
        count(name)
    return counted


def lists(database: Path) -> int:
    return int(select(database, "SELECT count(*) FROM ingestion_jobs WHERE lists")[0][0])


async def test_an_edit_of_one_among_thousands_lists_none(database: Path, folder: Path, looks: Counter[str]) -> None:
    for number in range(FOLDERS):
        (folder / f"part{number}").mkdir()
        for name in range(FILES):
            os.close(os.open(folder / f"part{number}" / f"{name}.txt", os.O_CREAT | os.O_WRONLY))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", FolderSource(str(folder), include=("*.md",)), WATCH)
        await until(lambda: is_watched(flow))
        before = lists(database)
        looks.clear()
        (folder / "part7" / "new.md").write_text("A new letter.")
        (folder / "a.md").write_text("A letter, changed.")
        await until(lambda: has(flow, "a.md", "b.md", "part7/new.md"), within_s=5)

        async def changed() -> bool:
            return await flow.document_text("kb", "a.md") == "A letter, changed."

        await until(changed, within_s=5)
        assert lists(database) == before
        assert (looks["scandir"], looks["listdir"]) == (0, 0)
        assert looks["stat"] + looks["open"] < 200, looks  # the watch sees if the folder is still the same
        assert (await flow.document("kb", "b.md")).attempts == 1


@pytest.mark.thorough
async def test_editors_that_write_by_renaming_are_one_edit(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", FolderSource(str(folder)), WATCH)
        await until(lambda: is_watched(flow))
        before = lists(database)
        (folder / "a.md").rename(folder / "a.md~")
        (folder / "a.md.new").write_text("A letter, written anew.")
        (folder / "a.md.new").rename(folder / "a.md")
        (folder / "a.md~").unlink()

        async def changed() -> bool:
            return await flow.document_text("kb", "a.md") == "A letter, written anew."

        await until(changed, within_s=5)
        assert await has(flow, "a.md", "b.md")
        assert lists(database) == before


@pytest.mark.parametrize(
    "deed",
    first_of_each(
        ["delete", "rename", "move folder", "ignore", "burst"], lambda deed: deed in {"burst", "ignore"} and deed
    ),
)
async def test_what_only_a_list_can_tell_is_listed(
    database: Path, folder: Path, deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "c.md").write_text("A third letter.")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", FolderSource(str(folder), include=("*.md",)), WATCH)
        await until(lambda: is_watched(flow))
        before = lists(database)
        expected = ["a.md", "b.md", "deep/c.md"]
        match deed:
            case "delete":
                (folder / "b.md").unlink()
                expected = ["a.md", "deep/c.md"]
            case "rename":
                (folder / "b.md").rename(folder / "z.md")
                expected = ["a.md", "deep/c.md", "z.md"]
            case "move folder":
                (folder / "deep").rename(folder / "deeper")
                expected = ["a.md", "b.md", "deeper/c.md"]
            case "ignore":
                (folder / ".gitignore").write_text("deep/\n")
                expected = ["a.md", "b.md"]
            case "burst":
                monkeypatch.setattr(changed_files, "MOST_FILES", 5)
                for number in range(10):
                    (folder / f"n{number}.md").write_text(f"Letter {number}.")
                expected += [f"n{number}.md" for number in range(10)]
        await until(lambda: has(flow, *expected), within_s=10)
        assert before < lists(database) <= before + 3


async def test_an_edit_while_a_job_is_paused_waits_for_its_end(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", FolderSource(str(folder)), WATCH)
        await until(lambda: is_watched(flow))
        job = await flow.start("kb", hold=["embedding"], full=True)
        await job.wait_until_idle()
        (folder / "a.md").write_text("A letter, changed.")

        async def asked() -> bool:
            return select(database, "SELECT uri FROM requests") == [("a.md",)]

        await until(asked, within_s=5)
        before = jobs(database)
        await flow.resume("kb")

        async def changed() -> bool:
            return await flow.document_text("kb", "a.md") == "A letter, changed."

        await until(changed)
        assert jobs(database) == before + 1


async def test_what_was_pushed_under_the_name_of_a_file_stays(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.add("kb", [{"uri": "a.md", "text": "A pushed letter."}])
        await (await flow.job("kb")).wait()
        await flow.put_kb("kb", FolderSource(str(folder)), WATCH)
        await until(lambda: has(flow, "a.md", "b.md"))
        await until(lambda: is_watched(flow))
        before = jobs(database)
        (folder / "a.md").write_text("A letter, changed.")
        (folder / "b.md").write_text("Another letter, changed.")

        async def changed() -> bool:
            return await flow.document_text("kb", "b.md") == "Another letter, changed."

        await until(changed)
        assert await flow.document_text("kb", "a.md") == "A pushed letter."
        assert jobs(database) == before + 1
