"""Creating, changing, deleting and searching knowledge bases."""

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_verbs import remote

DROP = """([name, text]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], name));
    const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
    document.querySelector(".drop").dispatchEvent(drop);
}"""


async def test_a_new_knowledge_base_begins_with_a_form_and_ends_with_hits(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 20)
    page = board.page
    await board.go()
    await page.locator(".welcome").wait_for(state="visible")
    await page.locator(".welcome [data-new]").click()
    await page.locator("#f-name").fill("guides")
    await page.get_by_label("Folder", exact=True).fill("docs")
    await page.get_by_label("Include").fill("**/*.md")
    await page.get_by_role("button", name="Create").click()
    await board.until_status("guides", "Completed")
    await board.tab("Search").click()
    await page.keyboard.type("how do I design for failure?")
    await page.keyboard.press("Enter")
    await board.until(page.locator(".hit").first, "characters")
    marks = {text.lower() for text in await page.locator(".hit mark").all_inner_texts()}
    assert {"design", "failure"} <= marks
    assert "for" not in marks


async def test_files_that_are_chosen_or_dropped_become_searchable(board: Board, service: Service) -> None:
    write_documents(service.here, 2)
    first, second = sorted(service.here.glob("*.md"))
    page = board.page
    await board.go()
    await page.locator(".welcome [data-new]").click()
    await page.locator("#f-name").fill("sent")
    await page.get_by_text("Files you send").click()
    await page.get_by_role("button", name="Create").click()
    await board.until(page.locator(".drop"), "Drop files or folders here")
    await page.locator(".drop input").first.set_input_files(first)
    await board.until(board.row("sent"), "1 document")
    await page.evaluate(DROP, [second.name, second.read_text(encoding="utf-8")])
    await board.until(board.row("sent"), "2 documents")


async def test_what_is_wrong_in_the_form_is_said_at_the_field(board: Board, service: Service) -> None:
    page = board.page
    await board.go()
    await page.locator(".welcome [data-new]").click()
    await page.locator("#f-name").fill("Bad Name")
    await page.get_by_role("button", name="Create").click()
    await board.until(page.locator("#e-name"), "small letters")
    await board.until(page.locator("#e-path"), "folder")
    await page.locator("#f-name").fill("good-name")
    await page.locator("#e-name").wait_for(state="hidden")
    await page.get_by_label("Folder", exact=True).fill("/etc")
    await page.get_by_role("button", name="Create").click()
    await board.until(page.locator("#e-path"), "allow")
    assert await page.get_by_label("Folder", exact=True).get_attribute("aria-invalid") == "true"
    await page.get_by_label("Folder", exact=True).fill(".")
    await page.get_by_text("Passages and vectors").click()
    await page.get_by_label("Passage length").fill("50")
    await page.get_by_role("button", name="Create").click()
    await board.until(page.locator("#e-chunk-overlap"), "smaller")
    assert service.call("GET", "kb")["items"] == []


async def test_a_change_is_kept(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    page = board.page
    await board.go("kb/docs")
    await page.get_by_role("button", name="Change").click()
    await page.get_by_label("Leave out").fill("drafts/**\nold/**")
    await page.get_by_role("button", name="Save").click()
    await page.locator("#kb-form").wait_for(state="hidden")
    assert service.call("GET", "kb/docs")["source"]["exclude"] == ["drafts/**", "old/**"]


async def test_the_depth_of_a_crawl_is_set_and_taken_back(board: Board, service: Service) -> None:
    service.call("PUT", "kb/site", {"source": {"type": "web", "urls": ["http://1.1.1.1/"]}})
    page = board.page
    await board.go("kb/site")
    for depth in ("0", ""):
        await page.get_by_role("button", name="Change").click()
        await page.get_by_label("Links deep at most").fill(depth)
        await page.get_by_role("button", name="Save").click()
        await page.locator("#kb-form").wait_for(state="hidden")
        assert service.call("GET", "kb/site")["source"].get("max_depth") == (int(depth) if depth else None)


async def test_archives_are_opened_and_closed_again(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    page = board.page
    await board.go("kb/docs")
    for wanted in (True, False):
        await page.get_by_role("button", name="Change").click()
        await page.get_by_label("Read the files inside ZIP archives").set_checked(wanted)
        await page.get_by_role("button", name="Save").click()
        await page.locator("#kb-form").wait_for(state="hidden")
        assert service.call("GET", "kb/docs")["source"].get("archives", False) is wanted


async def test_delete_asks_first_and_says_why_it_cannot(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    page = board.page
    await board.go("kb/docs")
    asking = page.locator("#asking")
    await page.get_by_role("button", name="Delete", exact=True).click()
    await board.until(asking, "Delete docs?")
    await asking.get_by_role("button", name="Delete").click()
    await board.until(asking.locator(".field-error"), "Cannot delete")
    await asking.get_by_role("button", name="Keep it").click()
    await board.cancel()
    await board.until_status("docs", "Cancelled")
    await page.get_by_role("button", name="Delete", exact=True).click()
    await asking.get_by_role("button", name="Delete").click()
    await page.locator(".welcome").wait_for(state="visible")
    assert service.call("GET", "kb")["items"] == []


async def test_a_document_that_fails_is_listed_with_its_error_and_a_past_run_keeps_its_timeline(
    board: Board, service: Service
) -> None:
    write_documents(service.here / "docs", 12)
    (service.here / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    service.put("docs", "docs")
    await board.go("kb/docs")
    await board.verb("start").click()
    await board.until_status("docs", "Completed")
    await board.until(board.tab("Documents"), "1 failed")
    await board.go("kb/docs/failures")
    failed = board.page.locator("#panel-documents tbody tr")
    await board.until(failed, "broken.pdf")
    await board.until(failed, "damaged")
    await board.tab("Past runs").click()
    await board.page.locator("#panel-runs summary").click()
    await board.until(board.page.locator("#panel-runs phase-status .head"), "Completed")
    await board.expect(board.page.locator("#panel-runs .drawing .span")).to_have_count(4)
