"""Whether a file that is open is still the one that SQLite has."""

from pathlib import Path

import pytest

from phaseflow.store.open_file import SQLITE_MAGIC, open_file

PAGE = 4096


def head(pages: int) -> bytes:
    """The first bytes of a file of so many pages."""
    counter = (7).to_bytes(4)
    start = SQLITE_MAGIC + PAGE.to_bytes(2) + bytes(6) + counter + pages.to_bytes(4)
    return start.ljust(92, b"\0") + counter


@pytest.mark.parametrize(
    ("wal_pages", "fault"),
    [(10, None), (0, "was cut off or overwritten while in use; stop the engine and restore a copy of it")],
)
def test_pages_that_a_full_disk_has_left_in_the_wal_are_not_missing(
    tmp_path: Path, wal_pages: int, fault: str | None
) -> None:
    path = tmp_path / "kb.db"
    path.write_bytes(head(10).ljust(2 * PAGE, b"\0"))
    if wal_pages:
        path.with_name("kb.db-wal").write_bytes(bytes(32 + wal_pages * (24 + PAGE)))
    with open_file(path) as file:
        assert file.fault() == fault


def test_a_file_that_is_whole_has_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    path.write_bytes(head(2).ljust(2 * PAGE, b"\0"))
    with open_file(path) as file:
        assert file.fault() is None
