"""Files for their owner only: what is made is, and what is there already is left as it is when it is only opened."""

import os
import stat
import sys
from pathlib import Path

import pytest

from phaseflow.store.open_file import connected, descriptor, open_file
from phaseflow.store.private_files import make_database_file, open_private, tighten_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


def mode_after(path: Path, flags: int) -> int:
    os.close(open_private(path, flags))
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_opened_keeps_its_mode_and_what_may_be_made_is_tightened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o644)
    assert mode_after(path, os.O_RDONLY) == 0o644
    assert mode_after(path, os.O_RDWR | os.O_CREAT) == 0o600
    assert mode_after(tmp_path / "new", os.O_RDWR | os.O_CREAT) == 0o600


def test_what_is_closed_to_others_keeps_the_rights_of_its_owner_and_no_link_is_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    outside.touch()
    outside.chmod(0o644)
    for name, mode in (("a", 0o777), ("b", 0o444), ("c", 0o500), ("d", 0o066)):
        path = folder / name / "file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(mode)
    (folder / "link").symlink_to(outside)
    folder.chmod(0o755)
    tighten_folder(folder)
    modes = {name: stat.S_IMODE((folder / name / "file").stat().st_mode) for name in "abcd"}
    assert modes == {"a": 0o700, "b": 0o400, "c": 0o500, "d": 0}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(outside.stat().st_mode) & 0o044
    (folder / "a" / "file").chmod(0o640)
    tighten_folder(folder)  # which is closed: nobody gets at what is in it
    assert stat.S_IMODE((folder / "a" / "file").stat().st_mode) == 0o640
    tighten_folder(tmp_path / "missing")


def test_a_database_is_closed_to_others_with_all_that_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    names = ["kb.db-wal", "kb.db-shm", "kb.db-journal", "kb.db.lock", "kb.db.copy"]
    for name in names:
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o664)
    path.write_bytes(b"kept")
    path.chmod(0o664)
    make_database_file(path)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("kb.db", *names)]
    assert modes == [0o600] * 5 + [0o664]
    assert path.read_bytes() == b"kept"


def test_no_child_inherits_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    fd = open_private(path, os.O_RDWR | os.O_CREAT)
    assert not os.get_inheritable(fd)
    os.close(fd)
    with connected(path), open_file(path) as file:
        found = descriptor(path)
        assert found is not None
        assert not os.get_inheritable(found)
        assert not os.get_inheritable(file._fd)
