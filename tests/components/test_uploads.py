"""Uploaded files on the disk: which names they have, what is taken, and what is never seen."""

import os
import sqlite3
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseflow.components.upload_batch import LONGEST_NAME, UploadBatch, _safe_name
from phaseflow.components.uploads import UploadLimits, Uploads
from phaseflow.domain.errors import InvalidRequest, UploadTooLarge
from phaseflow.store.pushed import INLINE_BYTES, Push
from phaseflow.store.transaction import Transaction
from tests.matrices import together

TX = Transaction(sqlite3.connect(":memory:"))
"""One that is never rolled back."""
SMALL = UploadLimits(file_bytes=3 * INLINE_BYTES, files=3, kb_bytes=4 * INLINE_BYTES)
LARGE = b"x" * (INLINE_BYTES + 1)


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "kb.db", SMALL)


@pytest.fixture
def batch(uploads: Uploads) -> Iterator[UploadBatch]:
    batch = UploadBatch(uploads)
    yield batch
    batch.discard()


def _files(uploads: Uploads) -> list[Path]:
    return sorted(path for path in uploads.root.rglob("*") if path.is_file())


def _placed(uploads: Uploads, name: str, data: bytes) -> Push:
    batch = UploadBatch(uploads)
    batch.add(name, data)
    batch.place("waf", TX)
    batch.discard()
    return batch.pushes[0]


@together(
    "name",
    [
        "", " ", ".", "..", ".hidden", ".github", "../a.md", "a/../b.md", "a/./b.md", "a//b.md", "a/", "a/.git/b",
        "/etc/passwd", "a\\b.md", "..\\a.md", "a\0b.md",
        "a\nb.md", "a\tb.md", "a\x7f.md", "a\u2028b.md", "dm\u202eexe.md", "\ud800.md", "é" * 128,
        "é" * 100 + "/a" * 1000,
    ],
)  # fmt: skip
def test_a_name_that_could_leave_hide_or_mislead_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        _safe_name(name)
    assert refused.value.field == "files"


@together(
    "name",
    [
        "a.md",
        "-rf.md",
        "a b.md",
        "100%.md",
        "überblick.md",
        "👩‍👩‍👧.md",
        "a" * LONGEST_NAME,
        "a..b",
        "~",
        "CON",
        "a/b c/d.md",
    ],
)
def test_an_ordinary_name_is_kept_as_it_is(name: str) -> None:
    assert _safe_name(name) == name


def test_a_name_in_two_forms_of_unicode_is_one_name() -> None:
    assert _safe_name(unicodedata.normalize("NFD", "Überblick.md")) == _safe_name("Überblick.md")


@given(st.text(min_size=1, max_size=300))
def test_a_name_that_is_kept_is_a_visible_file_of_the_folder(name: str) -> None:
    try:
        kept = _safe_name(name)
    except InvalidRequest:
        return
    assert Path("folder", kept).is_relative_to("folder")
    assert str(Path(kept)) == kept
    assert not any(part.startswith(".") or len(os.fsencode(part)) > LONGEST_NAME for part in kept.split("/"))
    assert _safe_name(kept) == kept


def test_a_small_document_never_touches_the_disk(uploads: Uploads, batch: UploadBatch) -> None:
    batch.add("a.md", b"one")
    batch.add("100%25.md", b"x" * INLINE_BYTES)
    batch.place("waf", TX)
    assert batch.pushes == [
        Push("a.md", 3, blake2b(b"one", digest_size=16).hexdigest(), b"one"),
        Push(
            "100%2525.md", INLINE_BYTES, blake2b(b"x" * INLINE_BYTES, digest_size=16).hexdigest(), b"x" * INLINE_BYTES
        ),
    ]
    assert not uploads.root.exists()


def test_a_large_document_is_seen_by_nobody_before_it_is_placed(uploads: Uploads, batch: UploadBatch) -> None:
    batch.begin("a.md")
    batch.write(LARGE[:10])
    batch.write(LARGE[10:])
    batch.end()
    assert uploads.kbs() == []
    batch.place("waf", TX)
    (push,) = batch.pushes
    assert (push.content, push.size, push.digest) == (None, len(LARGE), blake2b(LARGE, digest_size=16).hexdigest())
    assert uploads.path("waf", push.file or "").read_bytes() == LARGE
    assert list(uploads.names("waf")) == [push.file]


def test_a_name_is_never_used_again(uploads: Uploads) -> None:
    old, new = _placed(uploads, "a.md", LARGE), _placed(uploads, "a.md", LARGE + b"y")
    assert old.file != new.file
    assert uploads.path("waf", old.file or "").read_bytes() == LARGE
    uploads.remove("waf", [old.file or ""])
    assert _files(uploads) == [uploads.path("waf", new.file or "")]


def test_of_two_documents_of_one_uri_the_later_one_counts(batch: UploadBatch) -> None:
    batch.add("a.md", b"first")
    batch.add("b.md", b"")
    batch.add("a.md", b"second")
    assert [(push.uri, push.content) for push in batch.pushes] == [("a.md", b"second"), ("b.md", b"")]


def test_metadata_is_given_to_each_document_that_has_none_of_its_own(batch: UploadBatch) -> None:
    batch.add("a.md", b"")
    batch.add_text("notes/b", "text", "Title", "text/html", "{}")
    batch.metadata = '{"a": 1}'
    assert [(push.title, push.media_type, push.metadata) for push in batch.pushes] == [
        (None, None, '{"a": 1}'), ("Title", "text/html", "{}"),
    ]  # fmt: skip


def test_a_document_may_have_as_many_bytes_as_allowed_and_no_more(batch: UploadBatch) -> None:
    batch.add("a.md", b"x" * SMALL.file_bytes)
    with pytest.raises(UploadTooLarge, match="split it"):
        batch.add("b.md", b"x" * (SMALL.file_bytes + 1))


def test_no_more_is_received_than_a_knowledge_base_may_have(batch: UploadBatch) -> None:
    batch.add("a.md", b"x" * SMALL.file_bytes)
    with pytest.raises(UploadTooLarge, match="bytes that one may have"):
        batch.add("b.md", b"x" * (INLINE_BYTES + 1))


def test_more_documents_than_allowed_are_refused(batch: UploadBatch) -> None:
    for number in range(SMALL.files):
        batch.add(f"{number}.md", b"")
    with pytest.raises(InvalidRequest, match="another request"):
        batch.begin("one-more.md")


def test_what_was_given_up_takes_nothing_more(uploads: Uploads, batch: UploadBatch) -> None:
    batch.begin("a.md")
    batch.write(LARGE)
    batch.discard()
    with pytest.raises(InvalidRequest, match="send it again"):
        batch.write(b"late")
    with pytest.raises(InvalidRequest):
        batch.place("waf", TX)
    assert _files(uploads) == []


def test_what_a_dead_engine_left_is_deleted(uploads: Uploads) -> None:
    kept = _placed(uploads, "a.md", LARGE)
    left = UploadBatch(uploads)
    left.add("b.md", LARGE)
    uploads.recover({"waf~1": "waf"})
    assert _files(uploads) == [uploads.path("waf", kept.file or "")]
    left.discard()


def test_a_folder_that_is_put_away_is_out_of_sight_at_once(uploads: Uploads) -> None:
    _placed(uploads, "a.md", LARGE)
    uploads.move_to_trash("waf", "waf~1", TX)
    assert uploads.kbs() == []
    uploads.empty_trash("waf~1")
    assert _files(uploads) == []
    uploads.move_to_trash("waf", "waf~1", TX)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path, batch: UploadBatch) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    for name in ("pipe.md", "missing.md", ""):
        with pytest.raises(InvalidRequest, match="is not a file"):
            batch.copy(tmp_path / name)
