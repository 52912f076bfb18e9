"""Where the focus is after what one does with the keyboard, and addresses that name no page."""

from typing import TYPE_CHECKING

import pytest

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board, holds, stop_the_clock
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_documents import indexed, open_one
from tests.dashboard.test_verbs import remote

if TYPE_CHECKING:
    from playwright.async_api import Locator

FOCUSED = """() => {
    let one = document.activeElement;
    while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
    return one.localName + " " + one.textContent.trim();
}"""


async def press(where: "Locator") -> None:
    await where.wait_for()  # what is hidden takes the focus from nobody, and no key
    await where.focus()
    await where.press("Enter")


async def until_focused(board: Board, what: str) -> None:
    await holds(board.page, f"({FOCUSED})() === arg", what)


@pytest.mark.parametrize("place", ["bogus", "kb", "kb/docs/bogus", "kb/docs/run/bogus", "service/bogus"])
async def test_an_address_that_names_no_page_says_so(board: Board, service: Service, place: str) -> None:
    service.put("docs", ".")
    await board.go(place)
    missing = board.page.locator(".missing")
    await board.until(missing, "There is no such page")
    assert await board.page.title() == "No such page · phaseflow"
    assert await board.page.locator("article.detail").count() == 0
    await board.row("docs").wait_for(state="attached")  # before that there is no heading that could have the focus
    await press(missing.get_by_role("button"))
    await until_focused(board, "h2 docs")
    assert await missing.count() == 0


async def test_the_skip_link_moves_the_focus_and_leaves_the_address(board: Board, service: Service) -> None:
    for kb_id in ("a", "b"):
        service.put(kb_id, ".")
    await board.go("kb/b/run")
    await board.until(board.page.locator("h2").first, "b")
    await press(board.page.get_by_role("link", name="Skip to the knowledge base"))
    assert await board.page.evaluate("() => document.activeElement.id") == "stage"
    assert board.page.url.endswith("/#/kb/b/run")
    await board.page.keyboard.press("Tab")
    await until_focused(board, "button Add files")


async def test_the_first_knowledge_base_has_the_focus_once_it_is_made(board: Board, service: Service) -> None:
    (service.here / "docs").mkdir()
    await board.go()
    await press(board.page.locator(".welcome [data-new]"))
    await board.page.locator("#f-name").fill("docs")
    await board.page.locator("#f-path").fill("docs")
    await board.page.locator("#f-name").press("Enter")
    await until_focused(board, "h2 docs")


async def test_the_focus_stays_on_the_page_when_what_had_it_is_gone(board: Board, service: Service) -> None:
    page = board.page
    await indexed(board, service, 2)
    await open_one(board, "reliability-000.md")
    await press(page.get_by_role("button", name="Skip"))
    await board.until(page.locator(".standing-card .state"), "Skipped")
    await until_focused(board, "button Take back in")
    service.put("other", "docs")
    await page.reload()
    for left in ("h2 other", "button Choose files"):
        await press(page.get_by_role("button", name="Delete", exact=True))
        await press(page.locator("#asking").get_by_role("button", name="Delete"))
        await until_focused(board, left)


async def test_who_takes_the_focus_away_keeps_it_away(board: Board, service: Service) -> None:
    service.put("docs", ".")
    await board.go("kb/docs/run")
    change = board.page.get_by_role("button", name="Change")
    await change.focus()
    await change.evaluate("(button) => button.blur()")
    await change.evaluate("(button) => { button.hidden = true; }")
    await board.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert await board.page.evaluate("() => document.activeElement === document.body")


async def test_escape_withdraws_the_question_of_a_cancel(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {"hold": ["embedding"]})
    await board.page.clock.install()
    await board.go("kb/docs")
    await board.verb("cancel").wait_for()
    await stop_the_clock(board.page)  # the question stands for some seconds
    await press(board.verb("cancel"))
    await board.until(board.verb("cancel"), "Cancel it?")
    await board.page.keyboard.press("Escape")
    assert await board.verb("cancel").text_content() == "Cancel"
    assert await board.verb("cancel").get_attribute("aria-label") == "Cancel docs"
    assert service.call("GET", "kb/docs/status")["status"] != "cancelled"
