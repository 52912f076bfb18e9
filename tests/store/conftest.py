"""A real file, open for the length of a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from phaseflow.store import failpoints
from phaseflow.store.database import Database
from phaseflow.store.session import open_session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kb.db"


@pytest.fixture
async def database(path: Path, anyio_backend: str) -> AsyncIterator[Database]:
    async with open_session(path) as opened:
        yield opened
        failpoints.clear()
