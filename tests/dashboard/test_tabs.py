"""Several tabs of one browser, which has six connections to a server for all of them."""

from typing import TYPE_CHECKING

from tests.dashboard.board import Board, holds
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


def _tells_of_documents(request: "Request") -> bool:
    """A stream that does not may have been asked for before, which this one takes the place of."""
    return "/events" in request.url and "documents_of=" in request.url


async def open_documents(board: Board) -> None:
    async with board.page.expect_request(_tells_of_documents):
        await board.go("kb/docs/documents")
    await board.live()
    await board.row("docs").wait_for()


async def hide(page: "Page") -> None:
    """Turn to another tab, and wait until this one has let go of its stream."""
    async with page.expect_event("requestfailed", _tells_of_documents):
        await page.evaluate(HIDDEN, True)
        await page.clock.fast_forward(REST_MS)


async def test_a_hidden_tab_holds_no_stream_and_misses_nothing(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs")
    await board.page.clock.install()
    await open_documents(board)
    await board.page.evaluate(LISTEN)
    ended: list[str] = []
    board.page.on("requestfailed", lambda request: ended.append(request.url) if _tells_of_documents(request) else None)
    await hide(board.page)
    await board.expect(board.page.locator(".lost-bar")).to_be_hidden()
    service.call("POST", "kb/docs/start", {})
    job = service.until("docs", lambda status: status["status"] == "completed")
    await board.page.clock.fast_forward(60_000)
    await holds(board.page, "document.title.startsWith('✓ docs: completed')")
    opened = len(board.streams)
    assert len(ended) == 1
    assert await board.page.evaluate("() => window.seen") == []
    log = [one["seq"] for one in service.call("GET", f"jobs/{job['job_id']}/transitions")["items"]]
    await board.page.evaluate(HIDDEN, False)
    await holds(board.page, "window.seen.length >= arg", len(log))
    assert await board.page.evaluate("() => window.seen") == log
    await board.live()
    assert len(board.streams) == opened + 1
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
        await open_documents(tab)
        await hide(tab.page)
    await open_documents(board)


async def test_a_tab_that_is_opened_in_the_background_asks_for_no_stream_before_it_is_seen(
    board: Board, service: Service
) -> None:
    service.call("PUT", "kb/docs", {"source": {"type": "upload"}})
    await board.page.add_init_script(f"({HIDDEN})(true)")
    await board.go("kb/docs/documents")
    await board.row("docs").wait_for()
    assert board.streams == []
    await board.page.evaluate(HIDDEN, False)
    await board.live()


async def test_five_windows_side_by_side_show_their_documents_live_and_leave_a_connection_for_what_they_ask(
    board: Board, service: Service
) -> None:
    service.call("PUT", "kb/docs", {"source": {"type": "upload"}})
    windows = [Board(await board.page.context.new_page(), service.url) for _ in range(4)]
    for window in (*windows, board):  # a page of Chromium without a head is seen, whatever lies over it
        await open_documents(window)
        await window.page.evaluate(LISTEN)
    service.call("POST", "kb/docs/documents", {"documents": [{"uri": "new.md", "text": "# New"}]})
    job = service.until("docs", lambda status: status["status"] == "completed")
    log = [one["seq"] for one in service.call("GET", f"jobs/{job['job_id']}/transitions")["items"]]
    for window in (*windows, board):
        await window.until(window.page.locator(".documents tbody"), "Indexed")
        await holds(window.page, "window.seen.length >= arg", len(log))
        assert await window.page.evaluate("() => window.seen") == log
        assert "documents_of=docs" in window.streams[-1]


async def test_a_window_that_turns_from_one_knowledge_base_to_another_hears_of_its_documents_and_misses_nothing(
    board: Board, service: Service
) -> None:
    for name in ("one", "two"):
        service.call("PUT", f"kb/{name}", {"source": {"type": "upload"}})
    await board.go("kb/one/documents")
    await board.live()
    await board.page.evaluate(LISTEN)
    log: list[int] = []
    for name in ("one", "two", "one"):
        await board.page.evaluate("(place) => { location.hash = place; }", f"#/kb/{name}/documents")
        service.call("POST", f"kb/{name}/documents", {"documents": [{"uri": f"{len(log)}.md", "text": "# New"}]})
        job = service.until(name, lambda status: status["status"] == "completed")
        log += [one["seq"] for one in service.call("GET", f"jobs/{job['job_id']}/transitions")["items"]]
        await board.until(board.page.locator(".documents tbody").last, "Indexed")
    await holds(board.page, "window.seen.length >= arg", len(log))
    assert await board.page.evaluate("() => window.seen") == log


async def test_the_stream_stands_when_the_knowledge_base_whose_documents_are_shown_is_deleted_elsewhere(
    board: Board, service: Service
) -> None:
    for name in ("docs", "other"):
        service.call("PUT", f"kb/{name}", {"source": {"type": "upload"}})
    await board.page.clock.install()
    await open_documents(board)
    service.call("DELETE", "kb/docs")
    await board.page.clock.fast_forward(8000)
    await board.until(board.page.locator(".missing"), "There is no knowledge base docs")
    await board.live()
    service.call("POST", "kb/other/documents", {"documents": [{"uri": "new.md", "text": "# New"}]})
    await board.until_status("other", "Completed")
