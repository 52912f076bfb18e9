"""A real Chromium without a window, or the reason why there is none."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tests.stopwatch import patience

if TYPE_CHECKING:
    from playwright.async_api import Browser

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first is the same engine without what draws windows: a page takes less than half of the processor's time."""
START_S = 30
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--font-render-hinting=none",
]  # fmt: skip


def absence() -> str | None:
    """Why no browser can be driven here; None when one can."""
    if find_spec("playwright") is None:
        return "the package playwright is not installed"
    return None if _path() else f"none of {', '.join(NAMES)} is installed"


@asynccontextmanager
async def chromium() -> AsyncIterator["Browser"]:
    """A browser with an empty profile of its own, for the length of the block."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=_path(), args=FLAGS, timeout=1000 * patience(START_S))
        try:
            yield browser
        finally:
            await browser.close()


def _path() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)
