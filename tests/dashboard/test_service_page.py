"""The page of the whole service."""

import pytest

from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_page import OVERFLOW


@pytest.mark.parametrize("width", [360, 1280])
async def test_it_says_what_runs_what_failed_and_what_was_embedded(board: Board, service: Service, width: int) -> None:
    write_documents(service.here / "docs", 12)
    (service.here / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    for kb_id in ("docs", "held"):
        service.put(kb_id, "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    service.call("POST", "kb/held/start", {"hold": ["embedding"]})
    service.until("held", lambda status: status["status"] == "paused")
    await board.page.set_viewport_size({"width": width, "height": 800})
    await board.go("service")
    page = board.page.locator(".service")
    await board.until(page.locator("section", has_text="What runs"), "Paused")
    failed = page.locator("section", has_text="What failed")
    await board.until(failed, "1 document")
    chunks = service.call("GET", "kb/docs")["chunks"]
    await board.until(page.locator(".tiles div", has_text="Vectors computed"), str(chunks))
    characters = await page.locator(".tiles div", has_text="Characters embedded").locator("dd").inner_text()
    assert int(characters.replace(",", "")) > chunks
    assert await board.page.evaluate(OVERFLOW) <= 0
    await failed.get_by_role("link", name="1 document").first.click()
    await board.until(board.page.locator("#panel-documents tbody"), "broken.pdf")
    assert await page.count() == 0
