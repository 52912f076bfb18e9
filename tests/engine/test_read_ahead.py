"""The first search of a knowledge base reads a good part of the file, and lets the system read ahead."""

import os
from pathlib import Path

import pytest

from phaseflow import PhaseFlow, Reader
from phaseflow.components import index
from phaseflow.store import read_ahead
from phaseflow.store.open_file import descriptor
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import finished

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system takes no such advice")


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Where reading ahead began, and of which file (its inode)."""
    found = list[tuple[int, int]]()
    advise = os.posix_fadvise

    def noted(fd: int, at: int, length: int, advice: int) -> None:
        found.append((at, os.fstat(fd).st_ino))
        advise(fd, at, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    return found


async def test_the_first_search_of_what_is_a_good_part_of_the_file_has_it_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advised: list[tuple[int, int]]
) -> None:
    database = tmp_path / "kb.db"
    monkeypatch.setattr(index, "LEAST", 4)
    monkeypatch.setattr(read_ahead, "LEAST", 4)
    for kb, documents in (("large", 20), ("small", 5)):
        (tmp_path / kb).mkdir()
        for number in range(documents):
            (tmp_path / kb / f"{number}.md").write_text(f"{kb} page {number}\n", "utf-8")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        for kb in ("large", "small"):
            await finished(await flow.start(kb, tmp_path / kb))
        assert (await flow.search("small", "page 3"))[0].uri == "3.md"
        assert advised == []  # a fifth of all passages
        for _ in range(2):
            assert (await flow.search("large", "page 3"))[0].uri == "3.md"
        assert {of for _, of in advised} == {database.stat().st_ino}
        before = len(advised)
        async with Reader(database) as reader:
            await reader.search("large", "page 7")
        assert len(advised) > before
        assert descriptor(database) == descriptor(database)  # one for the file
    assert descriptor(database) is None  # closed with the engine


async def test_a_file_that_memory_cannot_hold_is_not_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advised: list[tuple[int, int]]
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(index, "LEAST", 1)
    monkeypatch.setattr(read_ahead, "LEAST", 1)
    monkeypatch.setattr(read_ahead, "_CONTROL_GROUP", limit)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("a page\n", "utf-8")
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))
        limit.write_text(f"{(tmp_path / 'kb.db').stat().st_size}\n", "ascii")
        assert (await flow.search("kb", "page"))[0].uri == "a.md"
        assert advised == []
        limit.write_text("max\n", "ascii")
        async with Reader(tmp_path / "kb.db") as reader:
            assert (await reader.search("kb", "page"))[0].uri == "a.md"
        assert advised
