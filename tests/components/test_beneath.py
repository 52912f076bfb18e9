"""Nothing outside a folder is read, whoever swaps what is in it for links meanwhile."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from phaseflow import PhaseFlow
from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources import FolderLoader, beneath
from phaseflow.domain.errors import ComponentUnavailable, DocumentError
from phaseflow.domain.settings import FolderSource
from phaseflow.http import AllowedRoots
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon

RACE_S = 1.0
SECRET = "secret"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder to be read, beside one of the same shape that must not be."""
    for number in range(20):
        write(tmp_path / f"docs/sub/deep/{number}.md", "open")
        write(tmp_path / f"outside/deep/{number}.md", SECRET)
        write(tmp_path / f"outside/deep/only-outside-{number}.md", SECRET)
    return tmp_path / "docs"


@contextmanager
def swapped(place: Path, outside: Path) -> Iterator[Callable[[], int]]:
    """Swap a folder for a link to another one and back, as fast as possible; count the times."""
    aside, ended, count = place.with_name(".aside"), threading.Event(), 0

    def swap() -> None:
        nonlocal count
        while not ended.is_set():
            place.rename(aside)
            place.symlink_to(outside)
            place.unlink()
            aside.rename(place)
            count += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield lambda: count
    finally:
        ended.set()
        thread.join()


async def read_all(loader: FolderLoader, entries: list[Entry]) -> list[str]:
    texts = []
    for entry in entries:
        try:
            found = await loader.load(entry, None)
        except (DocumentError, ComponentUnavailable):
            continue
        assert isinstance(found, Document)
        texts.append(found.text)
    return texts


async def listed(loader: FolderLoader) -> list[Entry]:
    try:
        return [entry async for page in loader.list() for entry in page]
    except ComponentUnavailable:
        return []


@pytest.mark.parametrize("swap", first_of_each(["sub", "sub/deep"]))
async def test_a_folder_swapped_for_a_link_leads_nowhere(docs: Path, swap: str) -> None:
    target = docs.parent / "outside" / swap.removeprefix("sub").lstrip("/")
    loader = FolderLoader(FolderSource(str(docs)))
    entries = await listed(loader)
    assert len(entries) == 20
    seen, texts, until = set[str](), list[str](), time.monotonic() + RACE_S
    with swapped(docs / swap, target) as swaps:
        while time.monotonic() < until or swaps() < 100:
            seen.update(entry.uri for entry in await listed(loader))
            texts += await read_all(loader, entries)
    assert SECRET not in texts
    assert await read_all(loader, entries) == ["open"] * 20
    assert seen <= {entry.uri for entry in entries}


@pytest.mark.parametrize("swap", ["sub", "sub/deep"])
async def test_a_source_swapped_for_a_link_once_it_is_resolved_is_not_read(
    docs: Path, swap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root_of = beneath._root_of

    def swapping(real: str, roots: Sequence[str] | None) -> str | None:
        (docs / swap).rename(docs / ".aside")
        (docs / swap).symlink_to(docs.parent / "outside" / swap.removeprefix("sub").lstrip("/"))
        return root_of(real, roots)

    monkeypatch.setattr(beneath, "_root_of", swapping)
    loader = FolderLoader(FolderSource(str(docs / "sub/deep")), roots=[str(docs)])
    with pytest.raises(ComponentUnavailable, match="cannot read"):
        assert [page async for page in loader.list()]


@pytest.mark.thorough
async def test_a_source_swapped_for_a_link_does_not_leave_its_root(docs: Path) -> None:
    loader = FolderLoader(FolderSource(str(docs / "sub")), roots=[str(docs)])
    entries = await listed(loader)
    seen, texts, until = set[str](), list[str](), time.monotonic() + RACE_S
    with swapped(docs / "sub", docs.parent / "outside") as swaps:
        while time.monotonic() < until or swaps() < 100:
            seen.update(entry.uri for entry in await listed(loader))
            texts += await read_all(loader, entries)
    assert SECRET not in texts
    assert await read_all(loader, entries) == ["open"] * 20
    assert seen <= {entry.uri for entry in entries}


async def test_a_source_that_leads_out_of_its_roots_says_so_without_saying_where(docs: Path) -> None:
    (docs / "way-out").symlink_to(docs.parent / "outside")
    for path in (docs / "way-out", docs.parent / "outside", docs / "way-out/deep/1.md"):
        stored = f"{docs}/./{os.path.relpath(path, docs)}"
        loader = FolderLoader(FolderSource(stored), roots=[str(docs)])
        with pytest.raises(ComponentUnavailable, match="leads out of the folders that may be read") as caught:
            await loader.load(Entry("1.md"), None)
        assert str(docs.parent) not in str(caught.value)


async def test_links_that_stay_inside_are_read_below_a_root(docs: Path) -> None:
    (docs / "relative").symlink_to("sub/deep")
    (docs / "sub/absolute.md").symlink_to(docs / "sub/deep/1.md")
    (docs / "sub/chain.md").symlink_to("../relative/2.md")
    for source in (docs, docs / "relative/1.md"):
        loader = FolderLoader(FolderSource(str(source)), roots=[str(docs.parent), "/nowhere"])
        entries = await listed(loader)
        assert len(await read_all(loader, entries)) == len(entries) > 0


async def test_a_check_passed_by_a_folder_does_not_hold_for_the_link_in_its_place(docs: Path) -> None:
    class Late(AllowedRoots):
        """Lets the folder be swapped right after the check of the run."""

        checks = 0

        def __call__(self, source: object) -> None:
            super().__call__(source)  # type: ignore[arg-type]  # wrong on purpose
            self.checks += 1
            if self.checks == 2:
                (docs / "sub").rename(docs / "aside")
                (docs / "sub").symlink_to(docs.parent / "outside")

    check = Late([docs])
    async with PhaseFlow(docs.parent / "kb.db", check_source=check) as flow:
        with fail_soon(20):
            status = await (await flow.start("kb", docs / "sub")).wait()
        assert check.checks == 2
        assert status.status == "failed"
        assert (await flow.documents("kb")).items == []


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list open descriptors")
async def test_descriptors_do_not_grow_with_the_depth_and_are_given_back(tmp_path: Path) -> None:
    write(tmp_path / "/".join(["d"] * 300) / "a.md", "text")
    before = descriptors()
    loader = FolderLoader(FolderSource(str(tmp_path)))
    pages = loader.list()
    (entry,) = await anext(pages)
    assert descriptors() - before <= 4
    await pages.aclose()  # type: ignore[attr-defined]  # put there by the test
    del pages
    assert isinstance(await loader.load(entry, None), Document)
    assert descriptors() <= before


@pytest.mark.parametrize(("error", "is_listed"), [(FileNotFoundError, True), (PermissionError, False)])
async def test_a_link_that_goes_between_two_looks_is_one_that_is_not_there(
    docs: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError], is_listed: bool
) -> None:
    (docs / "link").symlink_to("sub/deep")
    looked: list[str] = []
    realpath = os.path.realpath

    def gone(path: str, **options: Any) -> str:
        if not path.endswith("/link"):
            return realpath(path, **options)
        looked.append(path)
        raise error(errno.ENOENT if error is FileNotFoundError else errno.EACCES, "gone", path)

    loader = FolderLoader(FolderSource(str(docs)))
    before = {entry.uri for entry in await listed(loader)}
    assert any(uri.startswith("link/") for uri in before)
    monkeypatch.setattr("phaseflow.components.sources.beneath.os.path.realpath", gone)
    found = {entry.uri for entry in await listed(loader)}
    assert looked
    assert found == ({uri for uri in before if not uri.startswith("link/")} if is_listed else set())
