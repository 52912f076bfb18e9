"""The browser and the server that the tests of the dashboard share."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board
from tests.dashboard.browser import absence, chromium
from tests.dashboard.service import Service

if TYPE_CHECKING:
    from playwright.async_api import Browser

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder: a browser takes as long as all other tests together."""
    folder = f"{HERE}{os.sep}"
    for item in items:
        if str(item.path).startswith(folder):  # each of all tests is looked at, in each process of a run
            item.add_marker("browser")


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """Wider than elsewhere: one browser serves all tests here, and lives in one event loop."""
    return "asyncio"


@pytest.fixture(scope="package")
async def browser(anyio_backend: str) -> "AsyncIterator[Browser]":
    reason = absence()
    if reason:
        pytest.skip(reason)
    async with chromium() as started:
        yield started


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path) as running:
        yield running


@pytest.fixture
async def board(browser: "Browser", service: Service) -> AsyncIterator[Board]:
    """The page of the service. Whatever the page complains about fails the test."""
    async with Board.opened(browser, service.url) as opened:
        yield opened
    assert opened.complaints == []


@pytest.fixture
def embedding() -> Iterator[EmbeddingServer]:
    """Answers only while its gate is open."""
    with EmbeddingServer() as server:
        yield server
