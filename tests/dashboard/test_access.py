"""A server with a token asks for it once."""

from pathlib import Path
from typing import TYPE_CHECKING

from tests.dashboard.board import Board, held
from tests.dashboard.service import Service

if TYPE_CHECKING:
    from playwright.async_api import Browser

TOKEN = "correct horse"


async def test_the_page_asks_for_the_token_once_and_forgets_it_at_logout(browser: "Browser", tmp_path: Path) -> None:
    with Service(tmp_path, token=TOKEN) as service:
        service.put("docs", ".")
        async with Board.opened(browser, service.url) as board:
            page = board.page
            await board.go()
            await page.get_by_label("Token").fill("wrong")
            await page.get_by_role("button", name="Log in").click()
            await board.until(page.locator("#token-error"), "not the token")
            await page.get_by_label("Token").fill(TOKEN)
            await page.keyboard.press("Enter")
            await board.until_status("docs", "Never run")
            await board.until(page.locator(".connection"), "Live")
            (cookie,) = await page.context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            assert TOKEN not in cookie["value"]
            await board.go()
            await board.until_status("docs", "Never run")
            await page.get_by_role("button", name="Log out").click()
            await page.get_by_label("Token").wait_for()
            assert await board.row("docs").count() == 0
            assert await page.context.cookies() == []
            assert board.complaints == []


async def test_a_session_that_ends_under_a_form_asks_for_the_token_above_it_and_loses_nothing(
    browser: "Browser", tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    with Service(tmp_path, token=TOKEN) as service:
        service.put("other", ".")
        async with Board.opened(browser, service.url) as board:
            page = board.page
            await board.go()
            await page.get_by_label("Token").fill(TOKEN)
            await page.keyboard.press("Enter")
            await board.until(page.locator(".connection"), "Live")
            await page.get_by_role("button", name="New knowledge base").first.click()
            await page.get_by_label("Name", exact=True).fill("mine")
            await page.locator("#f-path").fill("docs")
            # The last that the page asks by itself; it is not seen yet.
            await board.expect(page.locator("#panel-runs .told")).to_have_text("It has never run.")
            async with held(page, "**/revisions"), page.expect_response("**/kb/mine"):  # no other finds out first
                await page.context.clear_cookies()
                await page.get_by_role("button", name="Create").click()
                await board.expect(page.get_by_text("This server asks for its token")).to_be_visible()
            await page.keyboard.press("Escape")
            await page.keyboard.press("Escape")
            await board.expect(page.get_by_label("Token")).to_be_focused()
            await page.keyboard.type(TOKEN)
            await page.keyboard.press("Enter")
            await board.expect(page.locator("#lock")).not_to_be_visible()
            await board.until(page.locator("#kb-form"), "The session has ended: log in, then try again")
            await page.get_by_role("button", name="Create").click()
            await board.until_status("mine", "Completed")
            assert [each for each in board.complaints if "401" not in each] == []
