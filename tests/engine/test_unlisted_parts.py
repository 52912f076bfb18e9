"""What a part of a source could not list stays: nobody has looked at it, so nobody knows that it is gone."""

import errno
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from phaseflow import FolderSource, JobStatus, JobStatusResponse, PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.components.sources import FolderLoader
from phaseflow.components.sources.beneath import Folder
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from phaseflow.domain.identifiers import document_id
from phaseflow.domain.vocabulary import DocumentStatus
from tests.components.binary_fixtures import package
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import until
from tests.matrices import first_of_each

PAGES = {f"page{n}.md": f"# Page {n}\n\nText {n}." for n in range(3)}
INSIDE = [f"guide.zip/{name}" for name in PAGES]


@dataclass
class Shelf:
    """A folder with a file and an archive, whose files are documents."""

    folder: Path
    flow: PhaseFlow

    async def run(self) -> JobStatusResponse:
        return await (await self.flow.start("kb", FolderSource(str(self.folder), archives=True))).wait()

    async def found(self) -> list[str]:
        return [each.uri for each in (await self.flow.documents("kb")).items if each.searchable]


@asynccontextmanager
async def shelf(database: Path, embedder: CountingEmbedder | None = None) -> AsyncIterator[Shelf]:
    folder = database.parent / "docs"
    folder.mkdir(exist_ok=True)
    (folder / "a.md").write_text("# A\n\nAnother.")
    async with PhaseFlow(database, embedder=embedder or CountingEmbedder()) as flow:
        if not (folder / "guide.zip").exists():
            (folder / "guide.zip").write_bytes(package(PAGES))
            made = Shelf(folder, flow)
            assert (await made.run()).status is JobStatus.COMPLETED
            assert await made.found() == ["a.md", *INSIDE]
        yield Shelf(folder, flow)


def half_written(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def full(path: Path) -> None:
    path.write_bytes(package({f"{n}.md": "" for n in range(10_001)}))


@pytest.mark.parametrize("damage", first_of_each([(half_written,), (emptied,), (full,)]))
async def test_the_files_of_an_archive_that_cannot_be_opened_stay(
    database: Path, damage: Callable[[Path], None]
) -> None:
    async with shelf(database) as shelved:
        archive = shelved.folder / "guide.zip"
        whole = archive.read_bytes()
        damage(archive)
        kept = await shelved.run()
        assert await shelved.found() == ["a.md", *INSIDE]
        assert (kept.metrics.documents_deleted, kept.metrics.documents_failed) == (0, 1)
        why = "until guide.zip can be read, or is skipped: phaseflow skip kb guide.zip"
        assert f"; 3 documents of the source 'default' were not found and stay {why}" in kept.message
        archive.write_bytes(whole)
        healed = await shelved.run()
        assert (healed.metrics.documents_unchanged, healed.metrics.documents_deleted) == (4, 0)
        assert "not found" not in healed.message
        assert [each.uri for each in (await shelved.flow.documents("kb")).items] == ["a.md", *INSIDE]


async def test_what_is_gone_from_the_archive_or_with_it_still_goes(database: Path) -> None:
    async with shelf(database) as shelved:
        archive = shelved.folder / "guide.zip"
        archive.write_bytes(package({"page0.md": PAGES["page0.md"]}))
        assert (await shelved.run()).metrics.documents_deleted == 2
        archive.unlink()
        assert (await shelved.run()).metrics.documents_deleted == 1
        assert await shelved.found() == ["a.md"]


async def test_the_files_of_a_damaged_archive_go_once_it_is_left_out(database: Path) -> None:
    async with shelf(database) as shelved:
        half_written(shelved.folder / "guide.zip")
        (shelved.folder / "guide.zip.md").write_text("# Beside\n\nIts name begins like those inside.")
        await shelved.run()
        (shelved.folder / "guide.zip.md").unlink()
        assert (await shelved.run()).metrics.documents_deleted == 1
        await shelved.flow.skip_document("kb", document_id("kb", "guide.zip"))
        final = await shelved.run()
        assert (final.metrics.documents_deleted, "not found" in final.message) == (3, False)
        assert await shelved.found() == ["a.md"]


async def test_the_files_of_an_archive_that_is_not_opened_any_more_go(database: Path) -> None:
    async with shelf(database) as shelved:
        closed = await (await shelved.flow.start("kb", FolderSource(str(shelved.folder)))).wait()
        assert closed.metrics.documents_deleted == 3


async def test_a_file_of_an_archive_keeps_its_failure_and_what_was_asked_of_it(database: Path) -> None:
    async with shelf(database) as shelved:
        archive = shelved.folder / "guide.zip"
        archive.write_bytes(package({**PAGES, "bad.pdf": "%PDF-1.7 and no more"}))
        assert (await shelved.run()).metrics.documents_failed == 1
        await shelved.flow.skip_document("kb", document_id("kb", INSIDE[0]))
        await shelved.flow.set_metadata("kb", document_id("kb", INSIDE[0]), {"team": "north"})
        half_written(archive)
        await shelved.run()
        found = {each.uri: each for each in (await shelved.flow.documents("kb")).items}
        assert found["guide.zip/bad.pdf"].status is DocumentStatus.FAILED
        assert found[INSIDE[0]].status is DocumentStatus.SKIPPED
        assert found[INSIDE[0]].metadata == {"team": "north"}


async def test_the_files_of_a_damaged_archive_are_carried_over_to_a_new_index(database: Path) -> None:
    async with shelf(database) as shelved:
        half_written(shelved.folder / "guide.zip")
    other = CountingEmbedder()
    other.fingerprint = "other"
    async with shelf(database, other) as shelved:
        final = await shelved.run()
        assert (final.status, final.metrics.documents_deleted) == (JobStatus.COMPLETED, 0)
        assert await shelved.found() == ["a.md", *INSIDE]
        assert "3 documents of the source 'default' were not found and stay" in final.message


async def test_a_file_of_an_archive_that_cannot_be_opened_when_it_is_read_stays(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens, asked = Folder.open_file, Counter[str]()

    def open_file(folder: Folder, path: str) -> int:
        asked[path] += 1
        if path == "guide.zip" and asked[path] > 1:  # it could be opened when it was listed
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opens(folder, path)

    async with shelf(database) as shelved:
        monkeypatch.setattr(Folder, "open_file", open_file)
        final = await shelved.run()
        assert (final.metrics.documents_deleted, final.metrics.documents_failed) == (0, 3)
        assert await shelved.found() == ["a.md", *INSIDE]


class Boxes:
    """A loader of a program: three boxes of ``size`` documents. ``closed`` ones cannot be listed; ``gone`` ones neither
    be listed nor found; ``empty`` ones have nothing."""

    def __init__(self, size: int = 2) -> None:
        self.size = size
        self.closed: set[str] = set()
        self.gone: set[str] = set()
        self.empty: set[str] = set()

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        for box in "abc":
            if box in self.closed | self.gone:
                yield [Entry(box, hides_others=True)]
            elif box not in self.empty:
                yield [Entry(f"{box}/{n}") for n in range(self.size)]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        if entry.uri in self.closed:
            raise DocumentError("the box is closed")
        if entry.uri in self.gone:
            raise DocumentError("there is no such box", code="not_found", gone=True)
        return Document(entry, f"Document {entry.uri}.", entry.uri, "text/plain", entry.uri.encode())


async def test_a_loader_of_a_program_says_what_it_could_not_list(database: Path) -> None:
    boxes = Boxes()
    async with PhaseFlow(database, loader=boxes, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb")).wait()
        boxes.closed, boxes.gone = {"a"}, {"b"}
        final = await (await flow.start("kb")).wait()
        assert final.metrics.documents_deleted == 2
        assert "2 documents of the source 'default' were not found and stay until a can be read" in final.message
        searchable = [each.uri for each in (await flow.documents("kb")).items if each.searchable]
        assert searchable == ["a/0", "a/1", "c/0", "c/1"]


async def test_what_could_not_be_listed_once_more_stays(database: Path) -> None:
    boxes = Boxes(size=11)
    async with PhaseFlow(database, loader=boxes, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb")).wait()
        boxes.empty = {"a", "b"}
        job = await flow.start("kb")
        await until(flow, lambda status: status.status is JobStatus.PAUSED)
        boxes.empty, boxes.closed = {"b"}, {"a"}
        await flow.resume("kb")
        final = await job.wait()
        assert (final.metrics.documents_deleted, final.metrics.documents_failed) == (11, 0)
        assert "11 documents of the source 'default' were not found and stay until a can be read" in final.message
        assert {each.uri[0] for each in (await flow.documents("kb")).items} == {"a", "c"}


async def test_a_folder_that_was_replaced_after_it_was_listed_takes_nothing_out(tmp_path: Path, database: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("a.md", "b.md"):
        (tmp_path / "docs" / name).write_text(name)
    loader = FolderLoader(FolderSource(str(tmp_path / "docs")))
    entries = [entry async for page in loader.list() for entry in page]
    (tmp_path / "docs").rename(tmp_path / "away")
    (tmp_path / "docs").mkdir()
    with pytest.raises(ComponentUnavailable, match="was removed or replaced after it was listed"):
        await loader.load(entries[0], None)
    await loader.aclose()


async def test_what_an_archive_holds_is_no_other_source_s_while_it_cannot_be_opened(database: Path) -> None:
    folder, other = database.with_name("docs"), database.with_name("other")
    (folder / "wiki").mkdir(parents=True)
    (other / "x.zip").mkdir(parents=True)
    archive = folder / "wiki" / "x.zip"
    archive.write_bytes(package({"page.md": "# Ours\n\nOurs."}))
    (other / "x.zip" / "page.md").write_text("# Theirs\n\nTheirs.")
    sources = {"default": FolderSource(str(folder), archives=True), "wiki": FolderSource(str(other))}
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", sources["default"])).wait()
        await (await flow.start("kb", sources=sources)).wait()
        for damage, text in ((half_written, "Ours."), (Path.unlink, "Theirs.")):
            damage(archive)
            final = await (await flow.start("kb")).wait()
            assert ("is left out" in final.message) is (text == "Ours.")
            assert (await flow.document_text("kb", "wiki/x.zip/page.md")).endswith(text)
