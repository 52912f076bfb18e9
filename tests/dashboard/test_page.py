"""The page under strain: hostile names, many knowledge bases, narrow screens, the keyboard alone."""

from typing import TYPE_CHECKING

import pytest

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from playwright.async_api import Browser

NASTY = "<img src=x onerror=window.broken=1>"
RIGHT_TO_LEFT = "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627"
LONG = "x" * 300
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CHANGED_ROWS = """() => {
    const changed = (window.changed = new Set());
    const rows = document.querySelector("kb-list").shadowRoot;
    new MutationObserver((records) => {
        for (const { target } of records) {
            const element = target instanceof Element ? target : target.parentElement;
            changed.add(element.closest("[data-kb]")?.dataset.kb ?? "the list");
        }
    }).observe(rows, { subtree: true, childList: true, characterData: true, attributes: true });
}"""


async def test_hostile_names_are_shown_as_text(board: Board, service: Service) -> None:
    docs = service.here / "docs"
    docs.mkdir()
    for at, name in enumerate((NASTY, RIGHT_TO_LEFT, "\N{ROCKET} \N{WAVING BLACK FLAG}", LONG)):
        (docs / f"{name[:100]}{at}.md").write_text(f"# {name}\n\nrockets {name} rockets", encoding="utf-8")
    (docs / f"{NASTY}.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    service.put("a" * 63, "docs")
    await board.page.set_viewport_size({"width": 360, "height": 740})
    await board.go(f"kb/{'a' * 63}")
    await board.verb("start").click()
    await board.until(board.head, "Completed")
    await board.tab("Documents").click()
    await board.until(board.page.locator("#panel-documents"), f"{NASTY}.pdf")
    assert await board.page.evaluate(OVERFLOW) <= 0
    await board.until(board.page.locator("#panel-documents tbody"), NASTY)
    assert await board.page.evaluate(OVERFLOW) <= 0
    assert await board.page.locator("#panel-documents img").count() == 0
    await board.tab("Search").click()
    await board.page.keyboard.type(f"rockets {NASTY} {LONG}")
    await board.page.keyboard.press("Enter")
    await board.until(board.page.locator(".hits"), NASTY)
    assert await board.page.evaluate("() => window.broken") is None
    assert await board.page.evaluate(OVERFLOW) <= 0
    assert await board.page.locator(".hits img").count() == 0


async def test_a_job_among_two_hundred_knowledge_bases_changes_its_own_row_only(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 40)
    for number in range(200):
        service.put(f"kb-{number:03}", "docs")
    watch = Stopwatch()
    await board.go()
    await board.row("kb-199").wait_for(state="attached")
    assert watch.within(3)
    await board.page.evaluate(CHANGED_ROWS)
    await board.row("kb-007").locator('[data-verb="start"]').click()
    await board.until_status("kb-007", "Completed")
    await board.until(board.page.locator('kb-list [data-group="rest"]'), "40 documents")
    assert set(await board.page.evaluate("() => [...window.changed]")) - {"the list"} == {"kb-007"}
    await board.page.get_by_label("Filter by name or status").fill("completed")
    await board.until(board.page.locator("kb-list .tally"), "1 of 200")
    assert await board.row("kb-007").is_visible()
    assert not await board.row("kb-008").is_visible()


async def test_nothing_is_wider_than_the_screen(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 2)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    service.put("held", "docs")
    service.call("POST", "kb/held/start", {"hold": ["embedding"]})
    service.until("held", lambda status: status["status"] == "paused")
    of_docs = ("kb/docs/run", "kb/docs/search", "kb/docs/documents", "kb/docs/failures", "kb/docs/runs")
    for place in (*of_docs, "kb/held/run", ""):
        await board.go(place)
        await board.until(board.page.locator(".connection"), "Live")
        for width in (320, 360, 768, 960, 1920):
            await board.page.set_viewport_size({"width": width, "height": 800})
            assert await board.page.evaluate(OVERFLOW) <= 0, (place, width)


async def test_the_keyboard_alone_creates_runs_and_searches(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 5)
    page, keyboard = board.page, board.page.keyboard
    await board.go()
    await page.locator(".welcome").wait_for(state="visible")
    await page.locator(".welcome [data-new]").focus()
    await keyboard.press("Enter")
    await keyboard.type("docs")
    await keyboard.press("Tab")
    await keyboard.press("Tab")
    await keyboard.type("docs")
    await keyboard.press("Enter")
    await board.until_status("docs", "Completed")
    await page.locator("#tab-run").focus()
    await keyboard.press("Home")
    assert await page.locator("#tab-search").get_attribute("aria-selected") == "true"
    await keyboard.press("Tab")
    await keyboard.type("reliability")
    await keyboard.press("Enter")
    await board.until(page.locator(".hit").first, "reliability")


async def test_a_search_by_words_alone_says_why(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 2)
    with EmbeddingServer() as server:
        server.gate.set()
        service.put("docs", "docs", {"type": "openai", "base_url": server.options[3], "model": "counting"})
        service.call("POST", "kb/docs/start")
        service.until("docs", lambda status: status["status"] == "completed")
        service.stop()
    service.start()
    await board.go("kb/docs/search")
    await board.page.get_by_label("Search in docs").fill("reliability")
    await board.page.keyboard.press("Enter")
    await board.until(board.page.locator(".search .degraded"), "Searched by words alone: http://127.0.0.1")
    await board.until(board.page.locator(".hit").first, "reliability")


async def test_what_is_said_aloud_is_how_jobs_end_and_not_each_batch(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 30)
    service.put("docs", "docs")
    await board.go("kb/docs")
    await board.live()
    await board.page.evaluate(
        "() => { window.said = []; const live = document.getElementById('live');"
        " new MutationObserver(() => window.said.push(live.textContent)).observe(live, { childList: true }); }"
    )
    await board.verb("start").click()
    await board.until(board.page.locator("#live"), "docs: completed")
    assert await board.page.evaluate("() => window.said") == ["docs: completed"]


@pytest.mark.parametrize("width", [360, 1280])
async def test_a_run_fits_into_the_page(browser: "Browser", service: Service, width: int) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    async with Board.opened(browser, service.url, viewport={"width": width, "height": 800}) as board:
        await board.go("kb/docs/run")
        for name in ("loading", "chunking", "embedding", "indexing"):
            await board.until(board.phase(name), "100 %")
            assert await board.phase(name).evaluate("(row) => row.scrollWidth - row.clientWidth") == 0, name


async def test_twenty_two_idle_knowledge_bases_fit_on_one_screen(board: Board, service: Service) -> None:
    for number in range(22):
        service.put(f"kb-{number:02}", ".")
    await board.go()
    await board.expect(board.row("kb-21")).to_be_in_viewport(ratio=1)


async def test_a_paused_run_stands_under_paused(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {"hold": ["loading"]})
    service.until("docs", lambda status: status["status"] == "paused")
    await board.go()
    await board.until(board.page.locator('kb-list [data-group="paused"]'), "docs")
    service.call("POST", "kb/docs/resume")
    await board.until(board.page.locator('kb-list [data-group="rest"]'), "3 documents")


async def test_without_scripts_the_page_says_what_else_there_is(browser: "Browser", service: Service) -> None:
    context = await browser.new_context(java_script_enabled=False)
    try:
        page = await context.new_page()
        await page.goto(service.url)
        assert "needs JavaScript" in await page.locator("body").inner_text()
    finally:
        await context.close()
