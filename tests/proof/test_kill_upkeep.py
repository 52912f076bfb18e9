"""A process is killed while metadata changes, while a deleted knowledge base is vacuumed away, or while the files of an
older version are taken over: the next one finds the old or the new, whole, and goes on.

The file is copied at each point as a kill would leave it.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from phaseflow import PhaseFlow
from phaseflow.store import failpoints
from tests.engine.components import CountingEmbedder, write_folder
from tests.proof import outcome
from tests.proof.test_crash import left_behind
from tests.store.probes import select


class Kills:
    """Copies of a database at a named point, each that of a kill there."""

    def __init__(self, database: Path, point: str) -> None:
        self.copies: list[Path] = []
        self._database = database
        failpoints.install(point, self._kill)

    def _kill(self) -> None:
        copy = self._database.with_name(f"life{len(self.copies)}.db")
        shutil.move(left_behind(self._database), copy)
        files = self._database.with_name(f"{self._database.name}.uploads")
        if files.exists():
            shutil.copytree(files, copy.with_name(f"{copy.name}.uploads"))
        self.copies.append(copy)


@pytest.fixture(autouse=True)
def no_point_is_left() -> Iterator[None]:
    yield
    failpoints.clear()


@pytest.mark.parametrize(("point", "said"), [("store.before_commit", {"a": 1}), ("store.after_commit", {"a": 2})])
async def test_metadata_is_the_old_or_the_new_everywhere(database: Path, point: str, said: dict[str, int]) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.add("kb", [{"uri": "a", "text": "A letter.", "metadata": {"a": 1}}])
        await (await flow.job("kb")).wait()
        kills = Kills(database, point)
        await flow.set_metadata("kb", "a", {"a": 2})
        failpoints.clear()
    copy = kills.copies[0 if point == "store.before_commit" else -1]  # the engine writes beside it
    assert outcome.violations(copy) == []
    async with PhaseFlow(copy, embedder=CountingEmbedder()) as flow:
        assert (await flow.document("kb", "a")).metadata == said
        (hit,) = await flow.search("kb", "letter", filter={"type": "eq", "key": "a", "value": said["a"]})
        assert hit.metadata == said


async def test_a_vacuum_goes_on_after_a_kill_in_any_step(database: Path, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "docs", 30, words=60)
    async with PhaseFlow(database, embedder=CountingEmbedder(), keep_vectors=0) as flow:
        for name in ("gone", "kept"):
            await (await flow.start(name, str(source))).wait()
        kills = Kills(database, "janitor.removed_some")
        await flow.delete_kb("gone")
        await flow.vacuum()
        failpoints.clear()
    assert kills.copies
    for copy in kills.copies[:: max(1, len(kills.copies) // 4)]:
        async with PhaseFlow(copy, embedder=CountingEmbedder(), keep_vectors=0) as flow:
            await flow.vacuum()
            assert len((await flow.documents("kept")).items) == 30
            assert [kb.kb_id for kb in (await flow.kbs()).items] == ["kept"]
        assert outcome.violations(copy) == []
        assert outcome.leftovers(copy) == 0
        assert outcome.index_is_whole(copy)


async def test_files_of_an_older_version_are_taken_over_once(database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.add("kb", [{"uri": "small.md", "text": "A small letter."}])
        await (await flow.job("kb")).wait()
    folder = database.with_name(f"{database.name}.uploads") / "kb"
    folder.mkdir(parents=True)
    for name, size in (("one.md", 100), ("two.md", 10_000), ("three.md", 3)):
        (folder / name).write_text("A letter. " * size)
    kills = Kills(database, "uploads.adopted")
    async with PhaseFlow(database, embedder=CountingEmbedder()):
        failpoints.clear()
    assert len(kills.copies) == 3
    for copy in (database, *kills.copies):
        async with PhaseFlow(copy, embedder=CountingEmbedder()) as flow:
            await (await flow.start("kb")).wait()
            found = await flow.documents("kb")
            assert {one.uri for one in found.items if one.searchable} == {"small.md", "one.md", "two.md", "three.md"}
            assert await flow.document_text("kb", "two.md") == "A letter. " * 10_000
        kept = copy.with_name(f"{copy.name}.uploads") / "kb"
        named = {row[0] for row in select(copy, "SELECT file FROM pushed WHERE file IS NOT NULL")}
        assert {each.name for each in kept.iterdir()} == named
