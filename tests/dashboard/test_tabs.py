"""Several tabs of one browser, which has six connections to a server for all of them."""

from typing import TYPE_CHECKING

from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_connection import LISTEN

if TYPE_CHECKING:
    from playwright.async_api import Page, Request

HIDDEN = """(isHidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
    const state = isHidden ? "hidden" : "visible";
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
REST_MS = 5000


def _is_stream(request: "Request") -> bool:
    return "/events" in request.url


async def hide(page: "Page") -> None:
    """Turn to another tab, and wait until this one has let go of a stream."""
    async with page.expect_event("requestfailed", _is_stream):
        await page.evaluate(HIDDEN, True)
        await page.clock.fast_forward(REST_MS)


async def live(board: Board) -> None:
    await board.until(board.page.locator("#connection-word"), "Live")


async def test_a_hidden_tab_holds_no_stream_and_misses_nothing(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs")
    await board.page.clock.install()
    await board.go("kb/docs/documents")
    await live(board)
    await board.page.evaluate(LISTEN)
    ended: list[str] = []
    board.page.on("requestfailed", lambda request: ended.append(request.url) if _is_stream(request) else None)
    await hide(board.page)
    await board.expect(board.page.locator(".lost-bar")).to_be_hidden()
    service.call("POST", "kb/docs/start", {})
    job = service.until("docs", lambda status: status["status"] == "completed")
    await board.page.clock.fast_forward(60_000)
    await board.page.wait_for_function("() => document.title.startsWith('✓ docs: completed')")
    assert len(ended) == len(board.streams) == 2
    assert await board.page.evaluate("() => window.seen") == []
    log = [one["seq"] for one in service.call("GET", f"jobs/{job['job_id']}/transitions")["items"]]
    await board.page.evaluate(HIDDEN, False)
    await board.page.wait_for_function("(many) => window.seen.length >= many", arg=len(log))
    assert await board.page.evaluate("() => window.seen") == log
    await live(board)
    assert len(board.streams) == 4
    await board.page.clock.fast_forward(5000)
    await board.until(board.page.locator(".documents .told").last, "3 documents")


async def test_many_tabs_with_their_documents_open_do_not_use_up_the_connections(
    board: Board, service: Service
) -> None:
    service.call("PUT", "kb/docs", {"source": {"type": "upload"}})
    context = board.page.context
    await context.clock.install()
    for _ in range(4):
        tab = Board(await context.new_page(), service.url)
        await tab.go("kb/docs/documents")
        await live(tab)
        await tab.row("docs").wait_for()
        await hide(tab.page)
    await board.go("kb/docs/documents")
    await live(board)
    await board.row("docs").wait_for()


async def test_a_tab_that_is_opened_in_the_background_asks_for_no_stream_before_it_is_seen(
    board: Board, service: Service
) -> None:
    service.call("PUT", "kb/docs", {"source": {"type": "upload"}})
    await board.page.add_init_script(f"({HIDDEN})(true)")
    await board.go("kb/docs/documents")
    await board.row("docs").wait_for()
    assert board.streams == []
    await board.page.evaluate(HIDDEN, False)
    await live(board)
