"""Answers that come in another order than they were asked for: none is drawn over what is newer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board, held, holds, let_go, stop_the_clock
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_access import TOKEN
from tests.dashboard.test_documents import CHOSEN, ROWS, TOLD, chip, indexed, open_one
from tests.dashboard.test_verbs import remote

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

ALL = "**/api/ingestion/kb?limit=*"
REFRESH = """async () => {
    const { storeOf } = await import("/static/store.js");
    await storeOf().refresh();
}"""
REREAD = """async (kbId) => {
    const { storeOf } = await import("/static/store.js");
    void storeOf().reread(kbId);
}"""
START = """async (kbId) => {
    const { storeOf } = await import("/static/store.js");
    return storeOf().verbs.act("start", kbId);
}"""
SIZES = """async () => {
    const { storeOf } = await import("/static/store.js");
    window.sizes = [];
    storeOf().watch({ list: () => window.sizes.push(storeOf().kbs.size) });
}"""
TELL = """async (name) => {
    const { storeOf } = await import("/static/store.js");
    storeOf().tell(name, null);
}"""


async def test_a_list_of_knowledge_bases_that_comes_late_takes_none_away(board: Board, service: Service) -> None:
    service.put("docs", ".")
    async with held(board.page, ALL) as first:
        await board.go()
        late = await first
        older = await late.fetch()
        service.put("made", ".")
        await board.page.evaluate(REFRESH)
        await board.row("made").wait_for()
        await let_go(board.page, late, older)
    assert await board.row("made").count() == 1


async def test_an_answer_of_one_knowledge_base_that_comes_late_is_not_shown(board: Board, service: Service) -> None:
    for name in ("old", "new"):
        (service.here / name).mkdir()
    service.put("docs", "old")
    await board.go("kb/docs")
    source = board.page.locator(".detail-head .source .uri")
    await board.until(source, "old")
    async with held(board.page, "**/kb/docs") as first:
        await board.page.evaluate(REREAD, "docs")
        late = await first
        older = await late.fetch()
        service.put("docs", "new")
        await board.page.evaluate(REREAD, "docs")
        await board.until(source, "new")
        await let_go(board.page, late, older)
    assert await source.inner_text() == "new"


async def test_what_is_on_its_way_at_the_logout_is_not_shown(browser: "Browser", tmp_path: Path) -> None:
    with Service(tmp_path, token=TOKEN) as service:
        service.put("docs", ".")
        async with Board.opened(browser, service.url) as board:
            await board.go()
            await board.page.get_by_label("Token").fill(TOKEN)
            await board.page.keyboard.press("Enter")
            await board.row("docs").wait_for()
            async with held(board.page, ALL) as first:
                await board.page.evaluate(f"() => void ({REFRESH})()")
                late = await first
                answer = await late.fetch()
                await board.page.get_by_role("button", name="Log out").click()
                await board.page.get_by_label("Token").wait_for()
                await board.page.evaluate(SIZES)
                await let_go(board.page, late, answer)
            assert not any(await board.page.evaluate("window.sizes"))


async def test_a_refusal_of_before_the_login_does_not_lock_the_page_again(browser: "Browser", tmp_path: Path) -> None:
    with Service(tmp_path, token=TOKEN) as service:
        service.put("docs", ".")
        async with Board.opened(browser, service.url) as board, held(board.page, "**/revisions") as first:
            await board.go()
            late = await first
            refusal = await late.fetch()
            await board.page.get_by_label("Token").fill(TOKEN)  # the stream was refused, too
            await board.page.keyboard.press("Enter")
            await board.until(board.page.locator(".connection"), "Live")
            await let_go(board.page, late, refusal)
            assert not await board.page.locator("#lock").is_visible()
            await board.until_status("docs", "Never run")


async def test_a_wrong_token_is_no_matter_once_the_right_one_was_taken(browser: "Browser", tmp_path: Path) -> None:
    with Service(tmp_path, token=TOKEN) as service:
        async with Board.opened(browser, service.url) as board:
            page, token = board.page, board.page.get_by_label("Token")
            await board.go()
            async with held(page, "**/login") as first:
                await token.fill("wrong")
                await page.keyboard.press("Enter")
                late = await first
                await token.fill(TOKEN)
                await page.keyboard.press("Enter")
                await board.until(page.locator(".connection"), "Live")
                await let_go(page, late)
            await page.get_by_role("button", name="Log out").click()
            await token.wait_for()
            assert not await page.locator("#token-error").is_visible()


async def test_a_look_that_began_before_a_deletion_is_followed_by_another(board: Board, service: Service) -> None:
    service.put("docs", ".")
    await board.page.clock.install()
    await board.go("kb/docs")
    await board.live()
    await stop_the_clock(board.page)  # so that no timer looks again
    async with held(board.page, "**/revisions") as first:
        await board.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        late = await first
        older = await late.fetch()
        service.call("DELETE", "kb/docs")
        assert await board.page.evaluate(START, "docs") is False
        await late.fulfill(response=older)
        await board.until(board.page.locator(".missing"), "There is no knowledge base docs")


async def test_a_list_of_documents_that_comes_late_does_not_undo_what_the_stream_told(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    await board.go("kb/docs/documents")
    await board.until(board.page.locator(ROWS), "embedding")
    async with held(board.page, "**/kb/docs/documents?limit=100") as first:
        await board.page.evaluate(TELL, "reset")
        late = await first
        older = await late.fetch()
        embedding.gate.set()
        await board.until(board.page.locator(ROWS), "Indexed")
        await let_go(board.page, late, older)
        assert "Indexed" in await board.page.locator(ROWS).inner_text()


async def test_a_document_that_comes_late_is_not_drawn_over_what_the_stream_told(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    await board.go("kb/docs/documents")
    await board.until(board.page.locator(ROWS), "embedding")
    await board.page.locator(ROWS).get_by_role("link").click()
    state = board.page.locator(".standing-card .state")
    await board.until(state, "Processing")
    async with held(board.page, "**/kb/docs/documents/doc_*") as first:
        await board.page.evaluate(TELL, "reset")
        late = await first
        older = await late.fetch()
        embedding.gate.set()
        await board.until(state, "Indexed")
        await let_go(board.page, late, older)
    assert await state.inner_text() == "Indexed"


async def test_a_document_that_comes_once_another_is_shown_takes_nothing_from_that(
    board: Board, service: Service
) -> None:
    await indexed(board, service, 2)
    page = board.page
    items = service.call("GET", "kb/docs/documents")["items"]
    [passage, *_] = service.call("GET", f"kb/docs/documents/{items[1]['id']}/chunks")["items"]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    async with held(page, f"**/documents/{items[0]['id']}") as first:
        await page.get_by_role("link", name=items[0]["uri"]).click()
        late = await first
        place = f"#/kb/docs/documents/{items[1]['id']}/{passage['start']}-{passage['end']}"
        await page.evaluate("(place) => { location.hash = place; }", place)
        await holds(page, f"({CHOSEN})() !== ''")
        await let_go(page, late)
    assert not [url for url in asked if url.endswith(f"{items[0]['id']}/text")]


async def test_a_place_that_is_chosen_while_the_text_is_on_its_way_is_shown(board: Board, service: Service) -> None:
    docs = service.here / "docs"
    docs.mkdir()
    (docs / "long.txt").write_text("\n\n".join(f"Paragraph {n} is one of many." for n in range(8000)))
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed", 60)
    [one] = service.call("GET", "kb/docs/documents")["items"]
    async with held(board.page, "**/text") as first:
        await board.go(f"kb/docs/documents/{one['id']}")
        late = await first
        await board.page.evaluate(
            "(place) => { location.hash = place; }", f"#/kb/docs/documents/{one['id']}/230000-230100"
        )
        await late.continue_()
        await holds(board.page, f"({CHOSEN})() !== ''")


async def test_an_older_page_of_runs_is_not_put_over_a_newer_one(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    async with held(board.page, "**/kb/docs/jobs?limit=20") as first:
        await board.go("kb/docs/runs")
        late = await first
        older = await late.fetch()
        service.call("POST", "kb/docs/start", {})
        await board.until(board.page.locator("#panel-runs .past-run"), "Completed")
        await let_go(board.page, late, older)
    assert await board.page.locator("#panel-runs .past-run").count() == 1


async def test_an_answer_that_breaks_off_is_no_fault_of_the_page(board: Board, service: Service) -> None:
    service.put("docs", ".")
    await board.go("kb/docs")
    await board.row("docs").wait_for()

    async def cut(route: "Route") -> None:
        await route.fulfill(content_type="application/json", body='{"items": [')

    await board.page.route("**/revisions", cut)
    await board.page.evaluate(REFRESH)


async def test_what_could_not_be_read_is_read_when_the_service_is_back(board: Board, service: Service) -> None:
    service.put("docs", ".")  # of documents that are there the stream would tell
    await board.go("kb/docs/documents")
    await board.until(board.page.locator(TOLD), "There is no document yet.")
    service.stop()
    await board.until(board.page.locator(".connection"), "Connection lost")
    await chip(board, "failed").click()
    await board.until(board.page.locator(TOLD), "The server does not answer")
    service.start()
    await board.until(board.page.locator(TOLD), "No document is failed.")


async def test_a_run_whose_log_cannot_be_read_has_no_timeline_until_it_can(board: Board, service: Service) -> None:
    async def fail(route: "Route") -> None:
        await route.fulfill(status=429, content_type="application/json", body="{}")

    await indexed(board, service, 1)
    page = board.page
    for kind in ("**/transitions?*", "**/jobs?limit=20*"):
        await page.route(kind, fail)
    await board.go("kb/docs/runs")
    await board.until(page.locator("#panel-runs .told"), "The server answered 429.")
    await board.tab("Run").first.click()
    figure = page.locator("#panel-run .figure")
    await board.expect(page.locator("#panel-run .tiles")).to_be_visible()
    await board.expect(figure).to_be_hidden()
    await page.unroute("**/transitions?*")
    await page.unroute("**/jobs?limit=20*")
    await page.evaluate(TELL, "back")
    await board.expect(figure.locator(".span")).to_have_count(4)
    await board.tab("Past runs").click()
    await board.expect(page.locator("#panel-runs .past-run")).to_have_count(1)


async def test_the_page_of_the_service_asks_nothing_once_it_is_left(board: Board, service: Service) -> None:
    service.put("docs", ".")
    await board.page.clock.install()
    asked: list[Any] = []
    board.page.on("request", lambda request: asked.append(request) if request.url.endswith("/metrics") else None)
    async with held(board.page, "**/metrics") as first:
        await board.go("service")
        late = await first
        await board.page.evaluate("() => { location.hash = '#/kb/docs'; }")
        await board.verb("start").wait_for()
        await board.page.clock.fast_forward(6000)
        await let_go(board.page, late)
    await board.page.clock.fast_forward(1000)
    await board.page.clock.fast_forward(6000)
    await board.page.evaluate("fetch('/healthz')")
    assert asked == [late.request]


async def test_a_document_that_is_removed_late_leads_nobody_away(board: Board, service: Service) -> None:
    service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    for uri in ("a.md", "b.md"):
        service.call("POST", "kb/sent/documents", {"documents": [{"uri": uri, "text": f"# {uri}"}]})
    service.until("sent", lambda status: status["status"] == "completed")
    page = board.page
    await board.go("kb/sent/documents")
    await open_one(board, "a.md")
    async with held(page, "**/documents?uri=a.md", "DELETE") as first:
        await page.get_by_role("button", name="Remove").click()
        await page.locator("#asking").get_by_role("button", name="Remove").click()
        late = await first
        await page.keyboard.press("Escape")
        await board.tab("Search").click()
        await let_go(page, late)
    assert page.url.endswith("#/kb/sent/search")
