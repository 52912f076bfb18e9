"""What the SOURCE arguments mean."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from phaseflow.cli.ingest_wanted import _named
from phaseflow.cli.sources import as_glob, source_of
from phaseflow.components.sources.patterns import Globs
from phaseflow.domain.remote_sources import FsspecSource, GitSource
from phaseflow.domain.settings import FolderSource, WebSource
from phaseflow.store.session import open_session
from tests.matrices import together


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("guides/a.md", "guides/b.md", "notes/c.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text")
    (tmp_path / "guides" / ".a.md").write_text("text")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_becomes_an_absolute_path(here: Path) -> None:
    assert source_of(["guides"], ["**/*.md"], ["b*"], None) == FolderSource(
        path=str(here / "guides"), include=("**/*.md",), exclude=("b*",)
    )


def test_files_are_their_folder_with_just_these_names(here: Path) -> None:
    assert source_of(["guides/a.md", "notes/c.md"], [], [], None) == FolderSource(
        path=str(here), include=("/guides/a.md", "/notes/c.md")
    )


async def test_a_named_file_that_no_source_would_read_is_refused(here: Path) -> None:
    (here / "guides" / ".gitignore").write_text("b.md\n")
    async with open_session(here / "kb.db"):
        pass
    for named, left_out in ((["guides/a.md", "guides/b.md"], "guides/b.md"), (["notes/c.md", "kb.db"], "kb.db")):
        with pytest.raises(click.UsageError, match=f"{left_out}' would not be read"):
            source_of(named, [], [], None)


def test_a_file_name_is_never_taken_for_a_pattern(here: Path) -> None:
    (here / "a[1]*.md").write_text("text")
    source = source_of(["a[1]*.md"], [], [], None)
    assert source == FolderSource(path=str(here), include=(r"/a\[1\]\*.md",))


def test_bytes_that_are_no_utf8_are_written_as_in_a_uri(here: Path) -> None:
    file, folder = os.fsdecode(b"gr\xf6e.md"), os.fsdecode(b"d\xf6r")
    (here / "notes" / file).write_text("text")
    (here / folder).mkdir()
    (here / folder / "b.md").write_text("text")
    assert source_of([f"notes/{file}"]) == FolderSource(path=str(here / "notes"), include=("/gr%F6e.md",))
    assert source_of(["notes"], [file], [f"{folder}/*"]) == FolderSource(
        path=str(here / "notes"), include=("gr%F6e.md",), exclude=("d%F6r/*",)
    )
    for named in (folder, f"{folder}/b.md"):
        with pytest.raises(click.UsageError, match=r"no UTF-8.*--include.*'d%F6r/\*\*'"):
            source_of([named])


_NAMES = st.text(st.sampled_from("ab*?[]!#\\\\ ^-é~%25E9\udce9"), min_size=1).filter(lambda name: name.strip())


@given(_NAMES, _NAMES)
def test_the_glob_of_a_name_matches_this_name_alone(name: str, other: str) -> None:
    globs = Globs([as_glob(name)], [])
    assert globs.take_file(name)
    assert globs.take_file(other) == (other == name)
    assert not globs.take_file(f"folder/{name}")


def test_addresses_are_a_web_source(here: Path) -> None:
    source = source_of(["https://docs.example.org", "HTTP://example.com/x"], max_pages=20, max_depth=0)
    assert isinstance(source, WebSource)
    assert [url.host for url in source.urls] == ["docs.example.org", "example.com"]
    assert (source.max_pages, source.max_depth) == (20, 0)


def test_a_depth_limits_web_addresses_only(here: Path) -> None:
    with pytest.raises(click.UsageError, match="--max-depth limits web addresses"):
        source_of(["guides"], max_depth=1)


def test_archives_are_opened_in_folders_only(here: Path) -> None:
    assert source_of(["guides"], archives=True).archives  # type: ignore[union-attr]  # a folder
    with pytest.raises(click.UsageError, match="--archives opens files of a folder"):
        source_of(["https://docs.example.org"], archives=True)


@pytest.mark.parametrize("address", ["https://user:secret@example.org/", "https://user:secret@example.org:99999/"])
def test_a_password_in_an_address_is_refused_and_not_shown(here: Path, address: str) -> None:
    with pytest.raises(click.UsageError, match=r"example\.org.* cannot be") as refused:
        source_of(["https://example.com", address])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "include", "max_pages", "told"),
    [
        (["nowhere"], [], None, "does not exist"),
        (["guides", "notes"], [], None, r"same --kb \(ingest \S+guides and then ingest \S+notes\)"),
        (["guides", "notes/c.md"], [], None, r"same --kb \(ingest \S+guides and then ingest \S+c\.md\)"),
        (["https://example.org", "guides"], [], None, "with the same --kb"),
        (["https://example.org"], ["*.md"], None, "files of a folder"),
        (["guides"], [], 5, "--max-pages"),
        (["guides/a.md"], ["*.md"], None, "leave it out"),
        (["guides/.a.md"], [], None, "hidden files are skipped"),
        (["https://"], [], None, "cannot be used"),
        (["https://me@example.org"], [], None, "without a user name"),
    ],
)
def test_what_cannot_be_one_source_is_refused_with_what_to_write_instead(
    here: Path, arguments: list[str], include: list[str], max_pages: int | None, told: str
) -> None:
    with pytest.raises(click.UsageError, match=told):
        source_of(arguments, include, [], max_pages)


SAID: dict[str, Any] = {
    "path": "/docs", "url": "https://example.org/a", "urls": ["https://example.org/a"], "include": ["*.md"],
    "exclude": ["b"], "archives": True, "max_pages": 7, "max_depth": 2, "connection": "ours", "ref": "v1",
}  # fmt: skip
OTHERS: dict[str, Any] = {
    "path": "/other", "url": "https://example.org/b", "urls": ["https://example.org/b"], "include": ["*.txt"],
    "exclude": ["c"], "archives": False, "max_pages": 8, "max_depth": 3, "connection": "theirs", "ref": "v2",
}  # fmt: skip
FIELDS = [
    (kind, field.name)
    for kind in (FolderSource, WebSource, FsspecSource, GitSource)
    for field in dataclasses.fields(kind)
    if field.name != "type"
]


@together(("kind", "field"), FIELDS)
def test_a_refusal_names_whatever_sets_two_sources_apart(kind: Any, field: str) -> None:
    names = [each.name for each in dataclasses.fields(kind) if each.name != "type"]
    given = {name: SAID[name] for name in names}
    one, other = (TypeAdapter(kind).validate_python(each) for each in (given, given | {field: OTHERS[field]}))
    needed = {name: value for name, value in given.items() if name in {"path", "url", "urls"}}
    bare, more = (TypeAdapter(kind).validate_python(needed | each) for each in ({}, {field: OTHERS[field] or True}))
    assert _named(one) != _named(other)
    assert _named(bare) != _named(more)
