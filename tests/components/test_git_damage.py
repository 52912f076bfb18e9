"""A repository that is damaged or not whole: whatever of it, a message in words, and no file in part."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dulwich.objects import ShaFile
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from phaseflow import GitSource
from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources.git import GitLoader
from phaseflow.components.sources.git.repositories import Repositories
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, TransientError
from tests.components.test_git_source import Made, listed, serving
from tests.matrices import first_of_each

FILES = {"a.md": "# A\n\n" + "Text of it. " * 20, "docs/b.md": "# B\n\n" + "Text of it. " * 20}
CORE = b"[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\t"
Damage = Callable[[Path], None]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.chmod(0o600)
    path.write_bytes(data)


def _cut(path: Path) -> None:
    _write(path, path.read_bytes()[:-10])


def _halve(path: Path) -> None:
    _write(path, path.read_bytes()[: path.stat().st_size // 2])


def _turned(path: Path) -> None:
    data = path.read_bytes()
    _write(path, data[:40] + bytes(byte ^ 0xFF for byte in data[40:60]) + data[60:])


HOW: dict[str, Damage] = {
    "missing": Path.unlink,
    "cut": _cut,
    "junk": lambda path: _write(path, b"rubbish" * 20),
    "empty": lambda path: _write(path, b""),
}
PACKS: dict[str, Damage] = {"missing": Path.unlink, "halved": _halve, "junk": HOW["junk"], "empty": HOW["empty"]}
FILES_OF_GIT = {
    "HEAD": b"ref: refs/heads/x\n", "refs/heads/main": b"\xff rubbish\n", "packed-refs": b"\xff rubbish\n",
    "shallow": b"\xff rubbish\n", "objects/info/alternates": b"/nowhere/at/all\n",
    "objects/pack/multi-pack-index": b"", "config": b"\xff rubbish\n", "info/grafts": bytes(64),
}  # fmt: skip


def _object(repository: Path, id_: bytes) -> Path:
    return repository / "objects" / id_[:2].decode() / id_[2:].decode()


class Parts:
    """The ids of a commit, its tree, a folder in it and a file."""

    def __init__(self, made: Made) -> None:
        self.path, self.store, self.backend = made.path, made.repo.object_store, DictBackend({"/docs.git": made.repo})
        self.commit = made.commit({**FILES})
        self.tree = made.repo[self.commit].tree
        tree = made.repo[self.tree]
        self.folder, self.blob = tree[b"docs"][1], tree[b"a.md"][1]
        self.other = made.repo[self.folder][b"b.md"][1]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Made(tmp_path / "repository")
    yield Parts(made)
    made.repo.close()


def _loader(parts: Parts, ref: str | None = None) -> GitLoader:
    return GitLoader(GitSource(f"file://{parts.path}", ref=ref))


async def _list_fault(loader: GitLoader) -> str:
    with pytest.raises(ComponentUnavailable) as raised:
        await listed(loader)
    await loader.aclose()
    return str(raised.value)


def _cells() -> Iterator[tuple[str, str]]:
    yield from ((what, how) for what in ("tree", "folder", "commit") for how in HOW)
    yield from ((what, how) for what in ("pack", "idx") for how in PACKS)


@pytest.mark.parametrize(("what", "how"), first_of_each(_cells(), kind=lambda cell: cell[1]))
async def test_a_repository_whose_files_cannot_be_listed_says_what_is_wrong(parts: Parts, what: str, how: str) -> None:
    if what in {"pack", "idx"}:
        parts.store.pack_loose_objects()
        PACKS[how](next((parts.path / "objects/pack").glob(f"*.{what}")))
    else:
        HOW[how](_object(parts.path, getattr(parts, what)))
    said = await _list_fault(_loader(parts))
    assert said.startswith(f"file://{parts.path} ")
    assert "`git fsck`" in said


@pytest.mark.parametrize("name", FILES_OF_GIT)
async def test_a_file_of_git_that_is_damaged_is_told_in_words(parts: Parts, name: str) -> None:
    _write(parts.path / name, FILES_OF_GIT[name])
    if name == "HEAD":  # round in a circle
        _write(parts.path / "refs/heads/x", FILES_OF_GIT[name])
    said = await _list_fault(_loader(parts))
    assert any(words in said for words in ("`git fsck`", "there is no repository"))


@pytest.mark.parametrize("how", HOW)
async def test_a_file_that_is_missing_or_damaged_fails_alone_and_says_so(parts: Parts, how: str) -> None:
    HOW[how](_object(parts.path, parts.blob))
    loader = _loader(parts)
    entries = await listed(loader)
    with pytest.raises(DocumentError, match=r"^a\.md cannot be read: file://.* (lacks|damaged).*`git fsck`") as raised:
        await loader.load(entries[0], None)
    assert raised.value.code == "unreadable"
    assert isinstance(await loader.load(entries[1], None), Document)
    await loader.aclose()


@pytest.mark.parametrize("instead", ["other", "tree"])
async def test_an_object_that_is_another_one_is_damaged(parts: Parts, instead: str) -> None:
    _write(_object(parts.path, parts.blob), _object(parts.path, getattr(parts, instead)).read_bytes())
    loader = _loader(parts)
    with pytest.raises(DocumentError, match="cut off or overwritten"):
        await loader.load(Entry("a.md"), None)
    await loader.aclose()


async def test_a_folder_that_is_another_one_is_no_shorter_list(parts: Parts) -> None:
    _write(_object(parts.path, parts.tree), _object(parts.path, parts.folder).read_bytes())
    assert "cut off or overwritten" in await _list_fault(_loader(parts))


async def test_a_file_asked_for_by_name_in_a_folder_that_is_missing_is_not_gone(parts: Parts) -> None:
    _object(parts.path, parts.folder).unlink()
    loader = _loader(parts)
    with pytest.raises(DocumentError, match="lacks the object") as raised:
        await loader.load(Entry("docs/b.md"), None)
    assert (raised.value.gone, raised.value.code) == (False, "unreadable")
    await loader.aclose()


async def test_a_damaged_branch_takes_no_other_along_and_is_named(parts: Parts) -> None:
    _write(parts.path / "refs/heads/other", b"\xff rubbish\n")
    loader = _loader(parts, "main")
    assert len(await listed(loader)) == 2
    await loader.aclose()
    assert "its ref refs/heads/other names no commit" in await _list_fault(_loader(parts, "other"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (CORE + b"partialclone = origin\n", "is a partial clone.*without --filter"),
        (CORE + b"future = yes\n", "a format that is not read .extension future"),
    ],
)
async def test_a_kind_of_repository_that_is_not_read_is_named(parts: Parts, config: bytes, words: str) -> None:
    _write(parts.path / "config", config)
    with pytest.raises(ComponentUnavailable, match=words):
        await listed(_loader(parts))


async def test_a_commit_that_is_missing_is_named_by_its_id(parts: Parts) -> None:
    _write(parts.path / "refs/heads/main", b"1" * 40 + b"\n")
    assert f"lacks the object {'1' * 40}" in await _list_fault(_loader(parts))


def _lose(copy: Path, what: bytes | None) -> None:
    """An object of a copy, or all that says what there is."""
    if what is None:
        _write(copy / "config", b"\xff rubbish\n")
        return
    with Repo(str(copy)) as repository:
        kept = {id_: repository.object_store.get_raw(id_) for id_ in repository.object_store if id_ != what}
        shutil.rmtree(copy / "objects" / "pack")
        (copy / "objects" / "pack").mkdir()
        for id_, (kind, data) in kept.items():
            repository.object_store.add_object(ShaFile.from_raw_string(kind, data, id_))


async def _read(loader: GitLoader) -> list[str]:
    found = [await loader.load(entry, None) for entry in await listed(loader)]
    return [each.text for each in found if isinstance(each, Document)]


@pytest.mark.parametrize("lost", ["folder", "blob", None])
async def test_a_copy_of_the_engine_that_is_damaged_is_fetched_anew(
    parts: Parts, tmp_path: Path, lost: str | None
) -> None:
    copies = Repositories(tmp_path / "copies")
    with serving(make_wsgi_chain(parts.backend)) as server:
        source = GitSource(f"http://127.0.0.1:{server.server_port}/docs.git")
        first = GitLoader(source, repositories=copies)
        assert await _read(first) == list(FILES.values())
        await first.aclose()
        (copy,) = (tmp_path / "copies").iterdir()
        _lose(copy, getattr(parts, lost) if lost else None)
        loader = GitLoader(source, repositories=copies)
        with pytest.raises(TransientError, match="was removed, and is fetched anew"):
            await _read(loader)
        assert await _read(loader) == list(FILES.values())
        await loader.aclose()
