"""Whatever the engine makes is for its owner's eyes only, whatever the umask is."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phaseflow import FolderSource, PhaseFlow
from tests.engine.components import CountingEmbedder
from tests.matrices import first_of_each

LONG = b"Kept in a file. " * 5000

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


@pytest.fixture(params=first_of_each([0, 0o077, 0o777]), ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the database is; nothing else is made there."""
    home = tmp_path / "home"
    home.mkdir(0o755)
    return home


def _modes(home: Path) -> dict[str, int]:
    below = sorted(home.rglob("*"))
    return {path.relative_to(home).as_posix(): stat.S_IMODE(path.lstat().st_mode) for path in below}


def _wanted(home: Path) -> dict[str, int]:
    return {path.relative_to(home).as_posix(): 0o700 if path.is_dir() else 0o600 for path in home.rglob("*")}


async def test_every_file_and_folder_is_closed_to_others(home: Path, folder: Path, umask: None) -> None:
    async with PhaseFlow(home / "kb.db", embedder=CountingEmbedder()) as flow:
        await (await flow.start("folder", FolderSource(str(folder)))).wait()
        await (await flow.add_documents("sent", [("a.md", LONG)])).wait()
        async with flow.receiving("sent") as staging:
            staging.begin("half.md")
            staging.write(LONG)
            during = _modes(home)
            assert during == _wanted(home)
        await flow._engine.hub.database.write(lambda tx: flow._engine.uploads.move_to_trash("sent", "sent~1", tx))
        trashed = _modes(home)
        assert trashed == _wanted(home)
    assert _modes(home) == _wanted(home)
    names = {name for name in during if not name.startswith("kb.db.uploads/")}
    assert names == {"kb.db", "kb.db-wal", "kb.db-shm", "kb.db.lock", "kb.db.uploads"}
    assert {"kb.db.uploads/.staging", "kb.db.uploads/sent"} < during.keys()
    assert len([name for name in during if name.startswith("kb.db.uploads/sent/.")]) == 1
    assert "kb.db.uploads/.trash" in trashed


async def test_what_was_made_open_is_closed_when_it_is_opened(home: Path) -> None:
    async with PhaseFlow(home / "kb.db", embedder=CountingEmbedder()) as flow:
        await (await flow.add_documents("sent", [("a.md", LONG)])).wait()
    for path in home.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o664)
    async with PhaseFlow(home / "kb.db"):
        assert _modes(home) == _wanted(home)


async def test_the_owner_is_given_no_right_that_he_did_not_have(home: Path) -> None:
    uploads = home / "kb.db.uploads"
    async with PhaseFlow(home / "kb.db", embedder=CountingEmbedder()) as flow:
        await (await flow.add_documents("sent", [("a.md", LONG)])).wait()
    (file,) = (uploads / "sent").iterdir()
    file.chmod(0o444)
    uploads.chmod(0o755)
    async with PhaseFlow(home / "kb.db"):
        assert _modes(home)[file.relative_to(home).as_posix()] == 0o400
