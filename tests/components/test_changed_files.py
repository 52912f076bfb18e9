"""What events of the file system mean: which documents to read, and when only a list of the folder can tell."""

from pathlib import Path

import pytest

from phaseflow import FolderSource
from phaseflow.components.sources.changed_files import ANYTHING, MOST_FILES, ChangedFiles


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.md", "deep/b.md", "deep/left.txt", "build/c.md", ".github/guide.md", "100%25.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("A letter.")
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "deep" / ".gitignore").write_text("*.txt\n")
    (tmp_path / "link.md").symlink_to(tmp_path / "a.md")
    (tmp_path / "linked").symlink_to(tmp_path / "deep")
    return tmp_path


def changes(root: Path, *paths: str, **options: object) -> ChangedFiles:
    return ChangedFiles.at(FolderSource(str(root), **options), root, paths)  # type: ignore[arg-type]  # wrong on purpose


def test_files_are_read_and_those_that_are_no_documents_are_not(root: Path) -> None:
    found = changes(root, "a.md", "deep/b.md", "deep/left.txt", "build/c.md", ".github/guide.md", "100%25.md", "no.md")
    assert found.uris == {"a.md", "deep/b.md", ".github/guide.md", "100%2525.md"}
    assert found.gone == {"deep/left.txt", "build/c.md", "no.md"}  # if they were documents, they are none now


@pytest.mark.parametrize("path", ["deep", ".gitignore", "deep/.gitignore", "link.md", "linked/b.md", "deep/b.md/x"])
def test_what_may_change_other_documents_is_anything(root: Path, path: str) -> None:
    (root / "deep" / "b.md").unlink() if path.endswith("x") else None
    found = changes(root, "a.md", path)
    assert found == (ChangedFiles(frozenset({"a.md"}), frozenset({path})) if path.endswith("x") else ANYTHING)


def test_archives_whose_files_are_documents_and_bursts_are_anything(root: Path) -> None:
    (root / "a.zip").write_bytes(b"PK")
    assert changes(root, "a.zip").uris == {"a.zip"}
    assert changes(root, "a.zip", archives=True) == ANYTHING
    assert changes(root, *(f"{number}.md" for number in range(MOST_FILES + 1))) == ANYTHING
    assert changes(root / "not there", "a.md") == ANYTHING


def test_the_last_look_counts() -> None:
    there, gone = ChangedFiles(frozenset({"a"})), ChangedFiles(gone=frozenset({"a"}))
    assert ChangedFiles.merged([there, gone]) == gone
    assert ChangedFiles.merged([gone, there]) == there
    assert ChangedFiles.merged([there, ANYTHING]) == ANYTHING
    many = ChangedFiles(frozenset(map(str, range(MOST_FILES))))
    assert ChangedFiles.merged([many, there]) == ANYTHING
