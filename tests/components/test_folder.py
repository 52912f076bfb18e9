"""The folder source, on real files."""

import hashlib
import os
import resource
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from phaseflow.components.protocols import Document, Entry, Known, Loader, Unchanged
from phaseflow.components.sources import FolderLoader
from phaseflow.components.sources import folder as folder_module
from phaseflow.components.sources.tree import Found, Tree
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, TransientError
from phaseflow.domain.settings import FolderSource
from tests.stopwatch import fail_soon

LATER_NS = 10_000_000_000
unless_root = pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")


def write(root: Path, *names: str, text: str = "text") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def loader(path: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> FolderLoader:
    return FolderLoader(FolderSource(str(path), include, exclude))


async def entries(source: FolderLoader) -> list[Entry]:
    return [entry async for page in source.list() for entry in page]


async def uris(path: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
    return [entry.uri for entry in await entries(loader(path, include, exclude))]


async def failure(source: FolderLoader, uri: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        await source.load(Entry(uri), None)
    return caught.value


def test_the_folder_source_is_a_loader(tmp_path: Path) -> None:
    assert isinstance(loader(tmp_path), Loader)


async def test_files_are_listed_in_the_order_of_names_at_every_level(tmp_path: Path) -> None:
    write(tmp_path, "b.md", "a/z.md", "a/y/x.md", "c.txt")
    assert await uris(tmp_path) == ["a/y/x.md", "a/z.md", "b.md", "c.txt"]


async def test_an_entry_carries_size_and_stamp(tmp_path: Path) -> None:
    write(tmp_path, "a.md", text="12345")
    os.utime(tmp_path / "a.md", ns=(1, 1_000_000_007))
    (entry,) = await entries(loader(tmp_path))
    assert (entry.size, entry.stamp) == (5, "5:1000000007")


@pytest.mark.parametrize("age_ns", [0, 1_999_999_999, -LATER_NS])
async def test_a_file_that_could_change_behind_its_stamp_has_none(tmp_path: Path, age_ns: int) -> None:
    write(tmp_path, "a.md")
    now = (tmp_path / "a.md").stat().st_mtime_ns + age_ns
    source = FolderLoader(FolderSource(str(tmp_path)), clock=lambda: now)
    (entry,) = await entries(source)
    document = await source.load(entry, None)
    assert entry.stamp is None
    assert document.stamp is None


async def test_a_page_holds_at_most_a_thousand_entries(tmp_path: Path) -> None:
    write(tmp_path, *(f"{number:04}.txt" for number in range(2001)), text="")
    with fail_soon(20):
        sizes = [len(page) async for page in loader(tmp_path).list()]
    assert sizes == [1000, 1000, 1]


async def test_an_empty_folder_has_no_documents(tmp_path: Path) -> None:
    assert await uris(tmp_path) == []


async def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, ".env", ".git/config", "a/.hidden.md", "a/seen.md")
    assert await uris(tmp_path) == ["a/seen.md"]


async def test_the_guides_in_a_github_folder_are_no_hidden_files(tmp_path: Path) -> None:
    write(tmp_path, ".github/CONTRIBUTING.md", ".github/.hidden", "a/.github")
    assert await uris(tmp_path) == [".github/CONTRIBUTING.md"]


class TestGlobs:
    async def test_an_include_means_only_these_at_any_depth(self, tmp_path: Path) -> None:
        write(tmp_path, "a.md", "b.txt", "c/d/e.md")
        assert await uris(tmp_path, include=("*.md",)) == ["a.md", "c/d/e.md"]
        assert await uris(tmp_path, include=("**/*.md",)) == ["a.md", "c/d/e.md"]

    async def test_a_leading_slash_ties_a_glob_to_the_root(self, tmp_path: Path) -> None:
        write(tmp_path, "a.md", "c/a.md")
        assert await uris(tmp_path, include=("/*.md",)) == ["a.md"]

    async def test_two_stars_reach_through_folders(self, tmp_path: Path) -> None:
        write(tmp_path, "docs/a/b.md", "docs/c.md", "other/docs/d.md")
        assert await uris(tmp_path, include=("docs/**",)) == ["docs/a/b.md", "docs/c.md"]

    async def test_exclude_wins_over_include(self, tmp_path: Path) -> None:
        write(tmp_path, "a.md", "drafts/b.md")
        assert await uris(tmp_path, ("*.md",), ("drafts/",)) == ["a.md"]

    async def test_an_excluded_folder_is_not_even_opened(self, tmp_path: Path) -> None:
        write(tmp_path, "a.md", "x/x/b.md")
        (tmp_path / "x/x").chmod(0)
        assert await uris(tmp_path, exclude=("x/",)) == ["a.md"]
        (tmp_path / "x/x").chmod(0o755)

    async def test_a_glob_that_is_none_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ComponentUnavailable, match=r"include: '!' is not a glob"):
            await uris(tmp_path, include=("!",))


class TestGitignore:
    async def test_what_it_names_is_skipped_below_it(self, tmp_path: Path) -> None:
        write(tmp_path, "a.log", "a.md", "build/b.md", "c/d.log")
        write(tmp_path, ".gitignore", text="# comment\n*.log\nbuild/\n")
        assert await uris(tmp_path) == ["a.md"]

    async def test_the_deeper_file_decides(self, tmp_path: Path) -> None:
        write(tmp_path, "a/keep.log", "a/b.log", "c.log")
        write(tmp_path, ".gitignore", text="*.log")
        write(tmp_path, "a/.gitignore", text="!keep.log")
        assert await uris(tmp_path) == ["a/keep.log"]

    async def test_its_rules_are_relative_to_its_folder(self, tmp_path: Path) -> None:
        write(tmp_path, "a/x.md", "x.md")
        write(tmp_path, "a/.gitignore", text="/x.md")
        assert await uris(tmp_path) == ["x.md"]

    async def test_nothing_below_an_ignored_folder_comes_back(self, tmp_path: Path) -> None:
        write(tmp_path, "a/x.md")
        write(tmp_path, ".gitignore", text="a/\n!a/x.md")
        assert await uris(tmp_path) == []

    async def test_a_line_that_is_no_pattern_is_passed_over(self, tmp_path: Path) -> None:
        write(tmp_path, "a.log", "b.md")
        write(tmp_path, ".gitignore", text="!\n*.log\n")
        assert await uris(tmp_path) == ["b.md"]

    async def test_a_file_that_is_too_long_to_be_read_whole_is_named_and_nothing_is_listed(
        self, tmp_path: Path
    ) -> None:
        write(tmp_path, "a/secret.md")
        write(tmp_path, "a/.gitignore", text="# filler\n" * (1 << 17) + "secret.md\n")
        with pytest.raises(ComponentUnavailable, match=r"a/\.gitignore has more than the 1,048,576 bytes"):
            await uris(tmp_path)


class TestLinks:
    async def test_a_link_inside_the_folder_is_followed(self, tmp_path: Path) -> None:
        write(tmp_path, "a/x.md")
        (tmp_path / "file.md").symlink_to("a/x.md")
        (tmp_path / "linked").symlink_to("a")
        assert await uris(tmp_path) == ["a/x.md", "file.md", "linked/x.md"]

    async def test_a_link_out_of_the_folder_is_not_followed(self, tmp_path: Path) -> None:
        write(tmp_path, "out/x.md", "root/y.md")
        (tmp_path / "root/file.md").symlink_to(tmp_path / "out/x.md")
        (tmp_path / "root/linked").symlink_to(tmp_path / "out")
        assert await uris(tmp_path / "root") == ["y.md"]

    async def test_links_that_loop_or_lead_nowhere_are_skipped(self, tmp_path: Path) -> None:
        write(tmp_path, "a/x.md")
        (tmp_path / "a/up").symlink_to(tmp_path)
        (tmp_path / "a/self").symlink_to("self")
        (tmp_path / "gone").symlink_to("nothing")
        assert await uris(tmp_path) == ["a/x.md"]

    async def test_folders_that_link_to_each_other_do_not_multiply(self, tmp_path: Path) -> None:
        names = [f"d{number}" for number in range(12)]
        write(tmp_path, *(f"{name}/x.md" for name in names))
        for name in names:
            for other in names:
                (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
        with fail_soon(10):
            assert len(await uris(tmp_path)) == 12 * 12

    async def test_the_folder_itself_may_be_a_link(self, tmp_path: Path) -> None:
        write(tmp_path, "real/x.md")
        (tmp_path / "link").symlink_to("real")
        source = loader(tmp_path / "link")
        (entry,) = await entries(source)
        assert isinstance(await source.load(entry, None), Document)


@pytest.fixture
def special(tmp_path: Path) -> Iterator[Path]:
    write(tmp_path, "a.md")
    os.mkfifo(tmp_path / "fifo.md")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    yield tmp_path
    listener.close()


async def test_fifos_and_sockets_are_skipped(special: Path) -> None:
    assert await uris(special) == ["a.md"]


async def test_a_file_that_became_a_fifo_does_not_hang_the_reader(special: Path) -> None:
    with fail_soon(5):
        assert (await failure(loader(special), "fifo.md")).code == "unreadable"


async def test_a_folder_that_does_not_exist_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ComponentUnavailable, match=r"there is no folder .*check the path"):
        await uris(tmp_path / "nowhere")


async def test_a_path_that_is_neither_folder_nor_file_is_refused(special: Path) -> None:
    with pytest.raises(ComponentUnavailable, match="neither a folder nor a file"):
        await uris(special / "fifo.md")


@unless_root
async def test_a_folder_below_that_cannot_be_read_ends_the_list(tmp_path: Path) -> None:
    write(tmp_path, "a/x.md")
    (tmp_path / "a").chmod(0)
    with pytest.raises(ComponentUnavailable, match="fix its permissions"):
        await uris(tmp_path)
    (tmp_path / "a").chmod(0o755)


async def test_an_error_of_the_disk_below_ends_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a/x.md", "b.md")
    real = os.scandir

    def broken(folder: int) -> object:
        if os.path.samestat(os.fstat(folder), (tmp_path / "a").stat()):
            raise OSError(5, "Input/output error")
        return real(folder)

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(ComponentUnavailable, match="Input/output error"):
        await uris(tmp_path)


async def test_one_file_is_a_source_too(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.md", text="# A")
    source = loader(tmp_path / "a.md")
    (entry,) = await entries(source)
    document = await source.load(entry, None)
    assert (entry.uri, document.entry.uri) == ("a.md", "a.md")
    assert (await failure(source, "b.md")).code == "not_found"


async def test_a_document_has_text_title_hash_and_stamp(tmp_path: Path) -> None:
    write(tmp_path, "a/b.md", text="# Title\n\ntext")
    os.utime(tmp_path / "a/b.md", ns=(1, 1_000_000_007))
    source = loader(tmp_path)
    (entry,) = await entries(source)
    document = await source.load(entry, None)
    digest = hashlib.blake2b(b"# Title\n\ntext", digest_size=16).digest()
    expected = Document(entry, "# Title\n\ntext", "Title", "text/markdown", digest, "13:1000000007", size=13)
    assert document == expected


async def test_the_same_bytes_are_unchanged_and_not_extracted(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    digest = hashlib.blake2b(b"%PDF-1.7", digest_size=16).digest()
    result = await loader(tmp_path).load(Entry("a.pdf"), Known(digest, None))
    assert isinstance(result, Unchanged)


async def test_other_bytes_are_read_again(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", text="new")
    result = await loader(tmp_path).load(Entry("a.txt"), Known(b"old", "3:1"))
    assert isinstance(result, Document)


async def test_an_empty_file_is_a_document_without_text(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", text="")
    document = await loader(tmp_path).load(Entry("a.txt"), None)
    assert isinstance(document, Document)
    assert document.text == ""


@pytest.mark.parametrize(
    "name", [b"caf\xe9.md", b"%E9.md", b"two\nlines.md", b"-rf.md", b" blank .md", "😀.md".encode()]
)
async def test_a_file_of_any_name_is_listed_and_found_again(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).write_text("# x")
    (entry,) = await entries(loader(tmp_path))
    assert isinstance(await loader(tmp_path).load(entry, None), Document)


async def test_a_vanished_file_is_gone_and_does_not_count(tmp_path: Path) -> None:
    error = await failure(loader(tmp_path), "a.md")
    assert (error.code, error.gone, error.counts) == ("not_found", True, False)


async def test_a_vanished_folder_does_not_make_its_files_gone(tmp_path: Path) -> None:
    with pytest.raises(ComponentUnavailable):
        await loader(tmp_path / "unmounted").load(Entry("a.md"), None)


@unless_root
async def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    (tmp_path / "a.md").chmod(0)
    assert (await failure(loader(tmp_path), "a.md")).code == "unreadable"


async def test_a_process_with_too_many_files_open_tries_again(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    source = loader(tmp_path)
    await source.load(Entry("a.md"), None)  # its thread and what it imports are there
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(TransientError, match="raise the limit on open files"):
            await source.load(Entry("a.md"), None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(await source.load(Entry("a.md"), None), Document)


async def test_a_folder_in_the_place_of_a_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.md").mkdir()
    assert (await failure(loader(tmp_path), "a.md")).code == "unreadable"


async def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    write(tmp_path, "a.md", text="123456")
    source = FolderLoader(FolderSource(str(tmp_path)), max_bytes=5)
    assert (await failure(source, "a.md")).code == "too_large"


@pytest.mark.parametrize("uri", ["../out.md", "/etc/hostname", "a/../../out.md", "link.md", "folder/out.md"])
async def test_no_uri_leads_out_of_the_folder(tmp_path: Path, uri: str) -> None:
    write(tmp_path, "out.md", "root/a/x.md")
    (tmp_path / "root/link.md").symlink_to(tmp_path / "out.md")
    (tmp_path / "root/folder").symlink_to(tmp_path)
    assert (await failure(loader(tmp_path / "root"), uri)).code == "outside_folder"


@pytest.mark.parametrize("uri", ["", "a\0b"])
async def test_a_uri_that_names_no_file_is_not_found(tmp_path: Path, uri: str) -> None:
    assert (await failure(loader(tmp_path), uri)).code == "not_found"


class Meddler:
    """Stands in for ``os.fstat`` and appends to the file at each of the first calls."""

    def __init__(self, path: Path, times: int) -> None:
        self.path, self.left = path, times

    def __call__(self, descriptor: int) -> os.stat_result:
        info = os.stat(descriptor)
        if self.left:
            self.left -= 1
            with self.path.open("a") as file:
                file.write("more")
        return info


async def test_a_file_that_changes_once_while_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.md")
    monkeypatch.setattr(os, "fstat", Meddler(tmp_path / "a.md", 1))
    document = await loader(tmp_path).load(Entry("a.md"), None)
    assert isinstance(document, Document)
    assert document.text == "textmore"


async def test_a_file_that_keeps_changing_is_left_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.md")
    monkeypatch.setattr(os, "fstat", Meddler(tmp_path / "a.md", 9))
    assert (await failure(loader(tmp_path), "a.md")).code == "changed_while_reading"


async def test_a_cancelled_read_lets_go_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.md")
    release = threading.Event()

    def hang(*_: object) -> None:
        assert release.wait(100)

    monkeypatch.setattr(folder_module, "extract", hang)
    with fail_soon(5), anyio.move_on_after(0.05):
        await loader(tmp_path).load(Entry("a.md"), None)
    release.set()


async def test_every_file_of_the_well_architected_corpus_is_read(corpora: Path) -> None:
    source = loader(corpora / "waf", include=("*.md",))
    found = await entries(source)
    documents = [await source.load(entry, None) for entry in found]
    assert len(documents) == 202
    assert all(isinstance(each, Document) and each.text.strip() and each.title for each in documents)
    assert not any(isinstance(each, Document) and each.text.startswith("---") for each in documents)


@pytest.mark.parametrize("fate", ["removed", "moved away", "replaced"])
async def test_a_folder_that_goes_while_it_is_listed_is_no_empty_folder(tmp_path: Path, fate: str) -> None:
    root = tmp_path / "docs"
    write(root, *(f"{number:04}.md" for number in range(1001)))
    pages = loader(root).list()
    assert len(await anext(pages)) == 1000
    if fate == "removed":
        shutil.rmtree(root)
    else:
        root.rename(tmp_path / "away")
    if fate == "replaced":
        write(root, "another.md")
    with pytest.raises(ComponentUnavailable, match="removed or replaced while it was listed"):
        [page async for page in pages]


async def test_a_folder_that_is_removed_right_before_it_is_listed_is_no_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "docs"
    write(root, "a.md")
    enter = Tree.walk

    def removed(tree: Tree) -> Iterator[Found]:
        shutil.rmtree(root)
        return enter(tree)

    monkeypatch.setattr(Tree, "walk", removed)
    with pytest.raises(ComponentUnavailable, match="while it was listed"):
        await entries(loader(root))
