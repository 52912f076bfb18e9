"""A directory to type commands in, and a server to embed with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Shell
from tests.cli.embedding_server import EmbeddingServer


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def library(shell: Shell) -> Shell:
    """A shell with three documents in ``docs`` and one that cannot be read as text."""
    return _with_documents(shell)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The same with its documents in the knowledge base ``waf``, for all tests of a module that only read."""
    shell = _with_documents(Shell(tmp_path_factory.mktemp("ingested")))
    assert shell("ingest", "docs", "--kb", "waf").returncode == 0
    return shell


def _with_documents(shell: Shell) -> Shell:
    shell.write("docs/regions.md", "# Regions\n\nPlan for a region outage with a second region that stands ready.\n")
    shell.write("docs/costs.md", "# Costs\n\nMeasure what each service costs and set a budget.\n")
    shell.write("docs/deep/security.md", "# Security\n\nGive every identity the least privilege it needs.\n")
    (shell.here / "docs" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    return shell


@pytest.fixture
def embedding_server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server
