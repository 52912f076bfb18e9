"""ZIP archives in a folder: closed unless asked for, and then one level deep."""

import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources import FolderLoader
from phaseflow.components.sources.archive import MAX_MEMBERS
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.settings import FolderSource
from tests.components.binary_fixtures import SAMPLES, package

Opened = Callable[..., FolderLoader]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    made: list[FolderLoader] = []

    def make(*, archives: bool = True, max_bytes: int = 1_000_000) -> FolderLoader:
        made.append(FolderLoader(FolderSource(str(tmp_path), archives=archives), max_bytes=max_bytes))
        return made[-1]

    yield make
    for loader in made:
        await loader.aclose()


async def names(loader: FolderLoader) -> list[str]:
    return [entry.uri async for page in loader.list() for entry in page]


async def text(loader: FolderLoader, uri: str) -> str:
    document = await loader.load(Entry(uri), None)
    assert isinstance(document, Document)
    return document.text


async def refusal(loader: FolderLoader, uri: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        await loader.load(Entry(uri), None)
    return caught.value


async def test_an_archive_stays_closed_unless_asked_for(tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "a.zip").write_bytes(package({"b.md": "# B"}))
    loader = opened(archives=False)
    assert await names(loader) == ["a.zip"]
    refused = await refusal(loader, "a.zip")
    assert refused.code == "unsupported_format"
    assert "--archives" in str(refused)
    assert "archives: true" in str(refused)
    assert (await refusal(loader, "a.zip/b.md")).code == "not_found"


async def test_the_files_inside_are_documents_of_their_own(tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "a.zip").write_bytes(package({"in/b.md": "# B", "c.docx": SAMPLES["a.docx"]}))
    (tmp_path / "z.md").write_text("z")
    loader = opened()
    assert await names(loader) == ["a.zip/c.docx", "a.zip/in/b.md", "z.md"]
    assert await text(loader, "a.zip/in/b.md") == "# B"
    assert (await text(loader, "a.zip/c.docx")).startswith("# Top")


async def test_a_file_inside_that_did_not_change_is_not_read_again(tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "a.zip").write_bytes(package({"b.md": "# B"}))
    loader = opened()
    first = await loader.load(Entry("a.zip/b.md"), None)
    again = await loader.load(Entry("a.zip/b.md"), Known(first.content_hash, None))
    assert isinstance(again, Unchanged)


async def test_an_archive_inside_an_archive_stays_closed(tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "a.zip").write_bytes(package({"b.zip": package({"c.md": "c"})}))
    loader = opened()
    assert await names(loader) == ["a.zip/b.zip"]
    inner = await refusal(loader, "a.zip/b.zip")
    assert inner.code == "unsupported_format"
    assert "unpack it" in str(inner)
    assert "--archives" not in str(inner)
    assert (await refusal(loader, "a.zip/b.zip/c.md")).code == "not_found"


async def test_names_that_lead_out_hide_or_are_rubbish_are_skipped(tmp_path: Path, opened: Opened) -> None:
    members = {"../out.md": "x", "/root.md": "x", "a/.hidden": "x", "__MACOSX/._b.md": "x", "d\\e.md": "x"}
    (tmp_path / "a.zip").write_bytes(package(members))
    assert await names(opened()) == ["a.zip/d/e.md"]


async def test_a_file_without_a_name_is_skipped(tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "a.zip").write_bytes(package({"Q": "x", "b.md": "b"}).replace(b"Q", b"\0"))
    assert await names(opened()) == ["a.zip/b.md"]


@pytest.mark.parametrize("content", [b"no archive", b"PK\x03\x04", b""])
async def test_an_archive_that_cannot_be_opened_is_a_failed_document(
    tmp_path: Path, opened: Opened, content: bytes
) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    loader = opened()
    assert await names(loader) == ["a.zip"]
    assert (await refusal(loader, "a.zip")).code == "malformed"


async def test_an_archive_of_too_many_files_is_refused(tmp_path: Path, opened: Opened) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(MAX_MEMBERS + 1):
            archive.writestr(f"{number}.md", "")
    loader = opened()
    assert await names(loader) == ["a.zip"]
    assert (await refusal(loader, "a.zip")).code == "too_large"


async def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "a.zip").write_bytes(package({"b.txt": "x" * 100_000}))
    assert (await refusal(opened(max_bytes=50_000), "a.zip/b.txt")).code == "too_large"


async def test_a_damaged_file_inside_fails_alone(tmp_path: Path, opened: Opened) -> None:
    data = bytearray(package({"b.txt": "beta " * 100, "c.txt": "c"}))
    data[40] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    loader = opened()
    assert (await refusal(loader, "a.zip/b.txt")).code == "malformed"
    assert await text(loader, "a.zip/c.txt") == "c"


async def test_a_folder_that_is_called_like_an_archive_is_a_folder(tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "a.zip").mkdir()
    (tmp_path / "a.zip" / "b.md").write_text("b")
    (tmp_path / "a.zip" / "c.zip").write_bytes(package({"d.md": "d"}))
    loader = opened()
    assert await names(loader) == ["a.zip/b.md", "a.zip/c.zip/d.md"]
    assert await text(loader, "a.zip/b.md") == "b"
    assert await text(loader, "a.zip/c.zip/d.md") == "d"
