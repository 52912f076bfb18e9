"""What is changed in the documents: one by one, and all that a filter fits."""

import json
from pathlib import Path
from typing import Any

from tests.dashboard.board import Board, before_saving
from tests.dashboard.service import Service
from tests.dashboard.test_documents import TOLD, chip, indexed, open_one, sent, shown


def one(service: Service, kb_id: str, uri: str) -> Any:
    [found] = [each for each in service.call("GET", f"kb/{kb_id}/documents")["items"] if each["uri"] == uri]
    return found


async def test_metadata_are_changed_each_as_what_it_is(board: Board, service: Service) -> None:
    await indexed(board, service, 2)
    uri = "cost-control-001.md"
    before = one(service, "docs", uri)
    service.call(
        "PATCH", f"kb/docs/documents/{before['id']}", {"metadata": {"author": "Ada", "pages": 3, "tags": ["a", "b"]}}
    )
    await open_one(board, uri)
    form, page = board.page.locator("form.metadata"), board.page
    await page.get_by_role("button", name="Metadata").click()
    values = form.locator("textarea")
    assert [await values.nth(at).input_value() for at in range(3)] == ["Ada", "3", "a\nb"]
    await values.nth(0).fill("Grace")
    await values.nth(2).fill("b\n\nc ")
    await form.get_by_role("button", name="Add a name").click()
    await page.keyboard.type("final")
    await form.locator("select").nth(3).select_option("yes or no")
    await values.nth(3).fill("maybe")
    await board.until(form.locator(".hint"), "“maybe” of “final” is not a yes or no.")
    await values.nth(3).fill("yes")
    await form.get_by_role("button", name="Save").click()
    await form.wait_for(state="hidden")
    await board.expect(page.get_by_role("button", name="Metadata")).to_be_focused()
    await board.until(page.locator(".standing-card .facts"), "Grace")
    after = one(service, "docs", uri)
    assert after["metadata"] == {"author": "Grace", "pages": 3, "tags": ["b", "c"], "final": True}
    assert after["indexed_at"] == before["indexed_at"]


async def test_metadata_that_others_have_set_are_in_the_form_and_are_not_overwritten(
    board: Board, service: Service
) -> None:
    await indexed(board, service, 1)
    uri = "reliability-000.md"
    path = f"kb/docs/documents/{one(service, 'docs', uri)['id']}"
    await open_one(board, uri)
    service.call("PATCH", path, {"metadata": {"author": "Ada"}})
    await board.page.get_by_role("button", name="Metadata").click()
    form = board.page.locator("form.metadata")
    await board.expect(form.locator("textarea").first).to_have_value("Ada")
    service.call("PATCH", path, {"metadata": {"author": "Grace", "year": 1952}})
    await form.locator("textarea").first.fill("Edsger")
    await form.get_by_role("button", name="Save").click()
    await board.until(form.locator(".meanwhile"), "was changed meanwhile, so nothing was saved.")
    assert one(service, "docs", uri)["metadata"] == {"author": "Grace", "year": 1952}
    await form.get_by_role("button", name="Show the new values").click()
    await board.expect(form.locator("textarea").first).to_have_value("Grace")
    await form.locator("textarea").first.fill("Edsger")
    await form.get_by_role("button", name="Save").click()
    await form.wait_for(state="hidden")
    assert one(service, "docs", uri)["metadata"] == {"author": "Edsger", "year": 1952}


async def test_metadata_that_others_set_while_the_form_is_being_saved_are_not_overwritten(
    board: Board, service: Service
) -> None:
    await indexed(board, service, 1)
    uri = "reliability-000.md"
    path = f"kb/docs/documents/{one(service, 'docs', uri)['id']}"
    await open_one(board, uri)
    await board.page.get_by_role("button", name="Metadata").click()
    form = board.page.locator("form.metadata")
    await form.locator("input").first.fill("author")
    await form.locator("textarea").first.fill("Edsger")
    await before_saving(board.page, "PATCH", lambda: service.call("PATCH", path, {"metadata": {"author": "Grace"}}))
    await form.get_by_role("button", name="Save").click()
    await board.until(form.locator(".meanwhile"), "was changed meanwhile, so nothing was saved.")
    assert one(service, "docs", uri)["metadata"] == {"author": "Grace"}
    await form.get_by_role("button", name="Show the new values").click()
    await board.expect(form.locator("textarea").first).to_have_value("Grace")


async def test_the_limits_of_metadata_are_told_before_they_are_sent(board: Board, service: Service) -> None:
    await indexed(board, service, 1)
    await open_one(board, "reliability-000.md")
    await board.page.get_by_role("button", name="Metadata").click()
    form = board.page.locator("form.metadata")
    await board.until(form.locator(".hint"), "of 64 names")
    await form.locator("input").first.fill("title")
    await form.locator("textarea").first.fill("Mine")
    await board.until(form.locator(".hint"), "“title” is a field of every document")
    await form.locator("input").first.fill("notes")
    await form.locator("textarea").first.fill("ä" * 9000)
    await board.until(form.locator(".hint"), "at most 16,384 are kept")
    await form.get_by_role("button", name="Save").click()
    assert one(service, "docs", "reliability-000.md")["metadata"] == {}
    await board.page.keyboard.press("Escape")
    await form.wait_for(state="hidden")


async def test_those_that_a_filter_fits_are_skipped_and_taken_back_in(board: Board, service: Service) -> None:
    page = board.page
    await indexed(board, service, 12)
    await page.get_by_label("Filter the documents of docs").fill("capacity")
    await board.until(page.locator(TOLD), "2 found")
    await page.get_by_role("button", name="Skip all").click()
    await board.until(page.locator("#asking"), "with “capacity” in their name")
    await page.locator("#asking").get_by_role("button", name="Skip them").click()
    await board.until(page.locator(".bulk"), "2 documents skipped")
    assert service.call("GET", "kb/docs")["counts"]["skipped"] == 2
    await page.get_by_label("Filter the documents of docs").fill("")
    await chip(board, "skipped").click()
    await board.until(page.locator(TOLD), "2 documents")
    await page.get_by_role("button", name="Take all back in").click()
    await page.locator("#asking").get_by_role("button", name="Take all back in").click()
    await board.until(page.locator(".bulk"), "2 documents will be loaded anew")
    await board.until(chip(board, "indexed"), "12")
    assert "2 documents will be loaded anew" in await page.locator(".bulk").inner_text()  # though the list is empty now


async def test_what_was_sent_is_removed_together(board: Board, service: Service) -> None:
    await sent(board, service)
    await board.page.get_by_label("Filter the documents of sent").fill("an")
    await board.until(board.page.locator(TOLD), "1 found")
    await board.page.get_by_role("button", name="Remove all").click()
    await board.page.locator("#asking").get_by_role("button", name="Remove them").click()
    await board.until(board.page.locator(".bulk"), "1 document removed")
    await board.page.get_by_label("Filter the documents of sent").fill("")
    await board.until(board.page.locator(TOLD), "2 documents")
    assert await shown(board) == ["apple.md", "cherry.md"]


async def test_the_filtered_list_is_downloaded(board: Board, service: Service, tmp_path: Path) -> None:
    await indexed(board, service, 12)
    await board.page.get_by_label("Filter the documents of docs").fill("capacity")
    await board.until(board.page.locator(TOLD), "2 found")
    async with board.page.expect_download() as downloading:
        await board.page.get_by_role("button", name="Download as JSON").click()
    download = await downloading.value
    assert download.suggested_filename == "docs-documents.json"
    await download.save_as(tmp_path / "list.json")
    found = json.loads((tmp_path / "list.json").read_text(encoding="utf-8"))
    assert [each["uri"] for each in found] == ["capacity-003.md", "capacity-009.md"]


async def test_a_long_change_is_stopped(board: Board, service: Service) -> None:
    page = board.page
    await indexed(board, service, 60)
    held = 0

    async def slow(route: Any) -> None:
        nonlocal held
        held += 1
        if held <= 4:
            await route.continue_()

    await page.route("**/skip", slow)
    await page.get_by_role("button", name="Skip all").click()
    await page.locator("#asking").get_by_role("button", name="Skip them").click()
    await board.until(page.locator(".bulk"), "4 of 60")
    await page.get_by_role("button", name="Stop").click()
    # Those that are held are let go with the route, so this comes first.
    assert service.call("GET", "kb/docs")["counts"]["skipped"] == 4
    await page.unroute("**/skip")
