"""What the list of documents says of itself while it loads, and of what no document fits."""

from typing import TYPE_CHECKING

import anyio

from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_documents import TOLD, chip, indexed

if TYPE_CHECKING:
    from playwright.async_api import Route

LISTED = "**/api/ingestion/kb/docs/documents?*limit=100*"


async def test_a_list_that_loads_says_so_and_nothing_of_what_is_not_known(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 3, paragraphs=1)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    gates = [anyio.Event(), anyio.Event()]

    async def hold(route: "Route") -> None:
        await gates["status=failed" in route.request.url].wait()
        await route.continue_()

    told = board.page.locator(TOLD)
    await board.page.route(LISTED, hold)
    async with board.page.expect_request(LISTED):
        await board.go("kb/docs/documents")
    await board.until(chip(board, "all"), "3")
    await board.expect(told).to_have_text("Loading…")
    gates[0].set()
    await board.expect(told).to_have_text("3 documents")
    async with board.page.expect_request("**/kb/docs/documents?*status=failed*"):
        await chip(board, "failed").click()
    await board.expect(told).to_have_text("Loading…")
    gates[1].set()
    await board.expect(told).to_have_text("No document is failed.")


async def test_what_no_document_fits_is_named_in_full(board: Board, service: Service) -> None:
    await indexed(board, service, 3)
    told = board.page.locator(TOLD)
    for address, words in {
        "status=failed&q=cost": "No document that is failed has “cost” in its name.",
        "status=failed&source=default": "No document of the source default is failed.",
        "source=push": "No document was sent here.",
        "source=push&q=cost": "No document sent here has “cost” in its name.",
        "source=nosuch&q=cost": "There is no source nosuch.",
        "source=default&q=nosuch": "No document of the source default has “nosuch” in its name.",
    }.items():
        await board.go(f"kb/docs/documents?{address}")
        await board.expect(told).to_have_text(words)
