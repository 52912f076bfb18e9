"""Files for their owner only: what is made is, and what is there already is left as it is when it is only opened."""

import os
import stat
import sys
from pathlib import Path

import pytest

from phaseflow.store.private_files import open_private

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
