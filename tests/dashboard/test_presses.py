"""Pressed twice, pressed and left, pressed while the answer to an earlier press is on its way."""

from typing import TYPE_CHECKING

from tests.dashboard.board import Board, held, let_go
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_changes import one
from tests.dashboard.test_documents import TOLD, indexed, open_one
from tests.dashboard.test_sending import drop, uris, written

if TYPE_CHECKING:
    from playwright.async_api import Route

TWICE = "(button) => { button.click(); button.click(); }"
TYPED = """(text) => {
    const input = document.querySelector("#panel-documents input[type=search]");
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
}"""


async def test_a_verb_that_is_pressed_twice_is_asked_for_once(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 2)
    service.put("docs", "docs")
    asked: list[str] = []
    board.page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    await board.go("kb/docs")
    for runs, button in enumerate((board.verb("start"), board.verb("full"))):
        await board.expect(button).to_be_visible()
        await button.evaluate(TWICE)
        await board.expect(board.verb("full")).to_be_visible()
        jobs = service.call("GET", "kb/docs/jobs")["items"]
        assert (len(jobs), len(asked)) == (runs + 1, runs + 1)
        await board.until_status("docs", "Completed")
    assert not await board.row("docs").locator(".refusal").is_visible()


async def test_a_question_stays_open_when_the_answer_to_the_one_before_it_comes(board: Board, service: Service) -> None:
    for name in ("a", "b"):
        service.put(name, ".")
    page, asking = board.page, board.page.locator("#asking")
    delete = page.locator(".detail").get_by_role("button", name="Delete")
    await board.go("kb/a")
    async with held(page, "**/kb/a", "DELETE") as first:
        await delete.click()
        await asking.get_by_role("button", name="Delete").click()
        late = await first
        await page.keyboard.press("Escape")
        await board.row("b").locator(".opener").click()
        await board.until(page.locator("h2").first, "b")
        await delete.click()
        await board.until(asking, "Delete b?")
        await let_go(page, late)
        await board.row("a").wait_for(state="detached")
    await board.expect(asking).to_be_visible()
    assert page.url.endswith("#/kb/b")
    await asking.get_by_role("button", name="Delete").click()
    await page.locator(".welcome").wait_for(state="visible")


async def test_a_form_that_was_asked_for_twice_keeps_what_was_typed(board: Board, service: Service) -> None:
    service.put("docs", ".")
    page = board.page
    await board.go("kb/docs")
    async with held(page, "**/kb/docs") as first:
        await page.get_by_role("button", name="Change").click()
        late = await first
        await page.get_by_role("button", name="Change").click()
        await page.locator("#f-every").fill("6h")
        await let_go(page, late)
    assert await page.locator("#f-every").input_value() == "6h"


async def test_a_form_that_comes_late_does_not_open_for_who_looks_at_something_else(
    board: Board, service: Service
) -> None:
    for name in ("docs", "other"):
        service.put(name, ".")
    page = board.page
    await board.go("kb/docs")
    async with held(page, "**/kb/docs") as first:
        await page.get_by_role("button", name="Change").click()
        late = await first
        await board.row("other").locator(".opener").click()
        await board.until(page.locator("h2").first, "other")
        await let_go(page, late)
    assert not await page.locator("#kb-form").is_visible()


async def test_a_form_is_saved_as_it_was_sent_though_another_one_is_open_by_then(
    board: Board, service: Service
) -> None:
    for name in ("docs", "other"):
        (service.here / name).mkdir()
        service.put(name, name)
    page, form = board.page, board.page.locator("#kb-form")
    await board.go("kb/docs")
    await page.get_by_role("button", name="Change").click()
    await form.locator("#f-every").fill("6h")
    async with held(page, "**/kb/docs") as first:
        await form.get_by_role("button", name="Save").click()
        late = await first
        await page.keyboard.press("Escape")
        await board.row("other").locator(".opener").click()
        await board.until(page.locator("h2").first, "other")
        await page.get_by_role("button", name="Change").click()
        await board.until(form, "Change other")
        await form.locator("#f-every").fill("1d")
        async with page.expect_response(lambda answer: answer.request.method == "PUT"):
            await let_go(page, late)
    kb = service.call("GET", "kb/docs")
    assert (kb["source"]["path"], kb["settings"]["sync"]["every"]) == ("docs", "6h")
    assert await form.locator("#f-every").input_value() == "1d"
    await form.get_by_role("button", name="Save").click()
    await form.wait_for(state="hidden")
    assert service.call("GET", "kb/other")["settings"]["sync"]["every"] == "1d"


async def test_metadata_of_a_form_that_was_opened_anew_are_not_overwritten_by_what_was_sent_before(
    board: Board, service: Service
) -> None:
    await indexed(board, service, 1)
    uri = "reliability-000.md"
    path = f"kb/docs/documents/{one(service, 'docs', uri)['id']}"
    await open_one(board, uri)
    page, form = board.page, board.page.locator("form.metadata")
    await page.get_by_role("button", name="Metadata").click()
    await form.locator("[name=name]").fill("author")
    await form.locator("[name=value]").fill("Edsger")
    async with held(page, f"**/{path}") as first:
        await form.get_by_role("button", name="Save").click()
        late = await first
        await page.keyboard.press("Escape")
        service.call("PATCH", path, {"metadata": {"author": "Grace"}})
        await page.get_by_role("button", name="Metadata").click()
        await board.expect(form.locator("[name=value]")).to_have_value("Grace")
        await let_go(page, late)
    assert await form.is_visible()
    assert one(service, "docs", uri)["metadata"] == {"author": "Grace"}
    await form.locator("[name=value]").fill("Ada")
    await form.get_by_role("button", name="Save").click()
    await form.wait_for(state="hidden")
    assert one(service, "docs", uri)["metadata"] == {"author": "Ada"}


async def test_the_next_page_that_is_asked_for_twice_is_one_page_on(board: Board, service: Service) -> None:
    await indexed(board, service, 130)
    await board.until(board.page.locator(TOLD), "1 to 100 of 130 documents")
    await board.page.get_by_role("button", name="Next").evaluate(TWICE)
    await board.until(board.page.locator(TOLD), "101 to 130 of 130 documents")


async def test_more_runs_that_are_asked_for_twice_are_shown_once(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    [job] = service.call("GET", "kb/docs/jobs")["items"]

    async def some(route: "Route") -> None:
        await route.fulfill(json={"items": [job], "next_cursor": None if "cursor" in route.request.url else "1"})

    page = board.page
    await page.route("**/kb/docs/jobs?limit=20*", some)
    await board.go("kb/docs/runs")
    more = page.get_by_role("button", name="Show more")
    await more.evaluate(TWICE)
    await more.wait_for(state="hidden")
    await board.expect(page.locator("#panel-runs .past-run")).to_have_count(2)


async def test_what_was_typed_last_changes_no_address_once_the_list_is_left(board: Board, service: Service) -> None:
    await board.page.clock.install()
    await indexed(board, service, 2)
    await board.until(board.page.locator(TOLD), "2 documents")
    await board.page.evaluate(f"(text) => {{ ({TYPED})(text); document.querySelector('#tab-run').click(); }}", "cost")
    await board.page.clock.fast_forward(1000)
    assert board.page.url.endswith("#/kb/docs/run")


async def test_what_is_being_typed_stays_when_the_list_of_knowledge_bases_changes(
    board: Board, service: Service
) -> None:
    await indexed(board, service, 8)
    await board.until(board.page.locator(TOLD), "8 documents")
    await board.page.evaluate(TYPED, "co")
    await board.until(board.page.locator(TOLD), "2 found")
    await board.page.evaluate(
        f"""async () => {{
            const {{ storeOf }} = await import("/static/store.js");
            ({TYPED})("cost-control-001");
            storeOf().tell("list", null);
        }}"""
    )
    await board.until(board.page.locator(TOLD), "1 found")


async def test_what_was_asked_about_is_done_though_the_list_is_narrowed_otherwise_by_then(
    board: Board, service: Service
) -> None:
    page = board.page
    await indexed(board, service, 12)
    await page.get_by_label("Filter the documents of docs").fill("capacity")
    await board.until(page.locator(TOLD), "2 found")
    await page.get_by_role("button", name="Skip all").click()
    await board.until(page.locator("#asking"), "with “capacity” in their name")
    await page.evaluate("() => { location.hash = '#/kb/docs/documents'; }")
    await board.until(page.locator(TOLD), "12 documents")
    await page.locator("#asking").get_by_role("button", name="Skip them").click()
    await board.until(page.locator(".bulk"), "2 documents skipped")
    assert service.call("GET", "kb/docs")["counts"]["skipped"] == 2


async def test_a_download_that_is_stopped_downloads_nothing(board: Board, service: Service) -> None:
    await indexed(board, service, 2)
    page = board.page
    async with held(page, "**/kb/docs/documents?limit=1000") as first:
        await page.get_by_role("button", name="Download as JSON").click()
        late = await first
        await page.get_by_role("button", name="Stop").click()
        await let_go(page, late)
        await board.until(page.locator(".bulk"), "Stopped: nothing was downloaded")


async def test_an_upload_that_was_stopped_ends_without_the_one_after_it(board: Board, service: Service) -> None:
    page, told = board.page, board.page.locator(".drop")
    service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    folders = [written(service.here / name, [f"{name}.md"]) for name in ("a", "b", "c")]
    await board.go("kb/sent")
    await board.until(told, "Drop files or folders here")
    async with held(page, "**/kb/sent/jobs?limit=1") as checked, held(page, "**/documents", "POST") as posted:
        await drop(board, folders[0])
        late = await checked
        await told.get_by_role("button", name="Stop").click()
        await board.until(told, "Stopped: 0 of 1 file sent.")
        await drop(board, folders[1])
        second = await posted
        await let_go(page, late)
        await board.until(told, "Sending 1 file…")
        await drop(board, folders[2])
        await board.until(told, "Sending 0 of 2 files…")
        await second.continue_()
        await board.until(told, "2 files sent.")
    assert uris(service, "sent") == {"b/b.md", "c/c.md"}
