"""Uploaded files on the disk: which names they have, what is taken, and what is never seen."""

import os
import sqlite3
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseflow.components.sources.names import LONGEST_NAME, safe_name
from phaseflow.components.uploads import UploadBatch, UploadLimits, Uploads
from phaseflow.domain.errors import ComponentUnavailable, DocumentNotFound, InvalidRequest, UploadTooLarge
from phaseflow.store.transaction import Transaction

TX = Transaction(sqlite3.connect(":memory:"))
"""One that is never rolled back."""
SMALL = UploadLimits(file_bytes=100, files=3, kb_bytes=150)


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "kb.db", SMALL)


@pytest.fixture
def batch(uploads: Uploads) -> Iterator[UploadBatch]:
    batch = uploads.stage()
    yield batch
    batch.discard()


def _names(uploads: Uploads, kb_id: str = "waf") -> list[str]:
    folder = uploads.root / kb_id
    return sorted(os.listdir(folder)) if folder.exists() else []


def _put(uploads: Uploads, name: str, data: bytes) -> None:
    batch = uploads.stage()
    batch.add(name, data)
    batch.commit("waf", TX)
    batch.discard()


@pytest.mark.parametrize(
    "name",
    [
        "", " ", ".", "..", ".hidden", ".github", "a/b.md", "../a.md", "/etc/passwd", "a\\b.md", "..\\a.md", "a\0b.md",
        "a\nb.md", "a\tb.md", "a\x7f.md", "a\u2028b.md", "dm\u202eexe.md", "\ud800.md", "é" * 128,
    ],
)  # fmt: skip
def test_a_name_that_could_leave_hide_or_mislead_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        safe_name(name)
    assert refused.value.field == "files"


@pytest.mark.parametrize(
    "name", ["a.md", "-rf.md", "a b.md", "100%.md", "überblick.md", "👩‍👩‍👧.md", "a" * LONGEST_NAME, "a..b", "~", "CON"]
)
def test_an_ordinary_name_is_kept_as_it_is(name: str) -> None:
    assert safe_name(name) == name


def test_a_name_in_two_forms_of_unicode_is_one_name() -> None:
    assert safe_name(unicodedata.normalize("NFD", "Überblick.md")) == safe_name("Überblick.md")


@given(st.text(min_size=1, max_size=300))
def test_a_name_that_is_kept_is_a_visible_file_of_the_folder(name: str) -> None:
    try:
        kept = safe_name(name)
    except InvalidRequest:
        return
    assert Path("folder", kept).parent == Path("folder")
    assert not kept.startswith(".")
    assert safe_name(kept) == kept
    assert len(os.fsencode(kept)) <= LONGEST_NAME


def test_nothing_is_seen_before_the_commit(uploads: Uploads, batch: UploadBatch) -> None:
    batch.begin("a.md")
    batch.write(b"half")
    assert _names(uploads) == []


def test_a_commit_gives_each_file_its_name(uploads: Uploads, batch: UploadBatch) -> None:
    batch.add("a.md", b"one")
    batch.add("100%25.md", b"two")
    assert batch.commit("waf", TX) == ["a.md", "100%2525.md"]
    assert (uploads.existing("waf") / "a.md").read_bytes() == b"one"
    assert _names(uploads) == ["100%25.md", "a.md"]


def test_a_file_takes_the_place_of_an_older_one_of_its_name(uploads: Uploads) -> None:
    _put(uploads, "a.md", b"old")
    with (uploads.existing("waf") / "a.md").open("rb") as reader:
        _put(uploads, "a.md", b"new")
        assert reader.read() == b"old"
    assert (uploads.existing("waf") / "a.md").read_bytes() == b"new"


def test_of_two_files_of_one_name_the_later_one_counts(uploads: Uploads, batch: UploadBatch) -> None:
    batch.add("a.md", b"first")
    batch.add("a.md", b"second")
    assert batch.commit("waf", TX) == ["a.md"]
    assert (uploads.existing("waf") / "a.md").read_bytes() == b"second"


def test_a_file_may_have_as_many_bytes_as_allowed_and_no_more(batch: UploadBatch) -> None:
    batch.add("a.md", b"x" * 100)
    with pytest.raises(UploadTooLarge, match="split it"):
        batch.add("b.md", b"x" * 101)


def test_more_files_than_allowed_are_refused(batch: UploadBatch) -> None:
    for number in range(SMALL.files):
        batch.add(f"{number}.md", b"")
    with pytest.raises(InvalidRequest, match="another request"):
        batch.begin("one-more.md")


def test_what_a_knowledge_base_would_have_too_much_of_is_not_moved(uploads: Uploads, batch: UploadBatch) -> None:
    _put(uploads, "a.md", b"x" * 100)
    batch.add("b.md", b"x" * 51)
    with pytest.raises(UploadTooLarge, match="150 bytes"):
        batch.commit("waf", TX)
    assert _names(uploads) == ["a.md"]


def test_a_file_that_is_replaced_does_not_count_twice(uploads: Uploads) -> None:
    _put(uploads, "a.md", b"x" * 100)
    _put(uploads, "a.md", b"y" * 100)
    assert _names(uploads) == ["a.md"]


def test_what_was_given_up_takes_nothing_more(uploads: Uploads, batch: UploadBatch) -> None:
    batch.begin("a.md")
    batch.discard()
    with pytest.raises(InvalidRequest, match="send it again"):
        batch.write(b"late")
    with pytest.raises(InvalidRequest):
        batch.commit("waf", TX)
    assert _names(uploads) == []


def test_what_a_dead_engine_left_is_deleted(uploads: Uploads) -> None:
    _put(uploads, "a.md", b"kept")
    left = uploads.stage()
    left.add("b.md", b"on its way")
    uploads.recover({})
    assert sorted(os.listdir(uploads.root)) == ["waf"]
    left.discard()


def test_a_folder_that_is_put_away_is_out_of_sight_at_once(uploads: Uploads) -> None:
    _put(uploads, "a.md", b"secret")
    uploads.move_to_trash("waf", "waf~1", TX)
    assert not (uploads.root / "waf").exists()
    uploads.empty_trash("waf~1")
    assert list(uploads.root.rglob("a.md")) == []
    uploads.move_to_trash("waf", "waf~1", TX)


@pytest.mark.parametrize("uri", ["b.md", "", ".", "..", "../waf/a.md", "../../kb.db", "a.md/", "%00", "a.md\0"])
def test_only_a_document_can_be_removed(uploads: Uploads, uri: str) -> None:
    _put(uploads, "a.md", b"kept")
    with pytest.raises(DocumentNotFound):
        uploads.remove("waf", uri, TX, "key")
    assert _names(uploads) == ["a.md"]


def test_a_document_is_removed_by_its_uri(uploads: Uploads, batch: UploadBatch) -> None:
    batch.add("100%E9.md", b"")
    (uri,) = batch.commit("waf", TX)
    uploads.remove("waf", uri, TX, "key")
    assert _names(uploads) == []


def test_a_path_that_is_no_file_is_refused(tmp_path: Path, batch: UploadBatch) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    for name in ("pipe.md", "missing.md", ""):
        with pytest.raises(InvalidRequest, match="no file"):
            batch.copy(tmp_path / name)


def test_a_folder_of_uploads_that_is_missing_is_no_empty_folder(uploads: Uploads) -> None:
    with pytest.raises(ComponentUnavailable, match="put the folder of uploads back"):
        uploads.existing("waf")
