"""A directory to type commands in, and an embedding server that counts what it is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Shell
from tests.cli.embedding_server import EmbeddingServer
from tests.contract.watching import write_notes


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """With six documents of two lines in ``docs``."""
    write_notes(tmp_path / "docs", 6, lines=2)
    return Shell(tmp_path)


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server
