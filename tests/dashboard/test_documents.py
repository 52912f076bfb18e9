"""The documents of a knowledge base in the dashboard: listed by status, found, shown with their text, removed."""

import json
import re
from typing import TYPE_CHECKING, Any

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board, holds
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_verbs import remote
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from playwright.async_api import Route

ROWS = "#panel-documents tbody tr"
TOLD = "#panel-documents .documents > .told"
NAMES = ["apple.md", "banana.md", "cherry.md"]
CHOSEN = "() => [...(CSS.highlights.get('passage-chosen') ?? [])].map((range) => range.toString()).join('')"
DROP = """([place, name, text]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], name));
    for (const kind of ["dragenter", "dragover", "drop"]) {
        const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
        document.querySelector(place).dispatchEvent(event);
    }
}"""
MARKDOWN = """async (text) => {
    const { rendered } = await import("/static/markdown.js");
    const { nodes, pieces } = rendered(text);
    const place = document.createElement("div");
    place.append(nodes);
    const isExact = pieces.every(({ node, start, end }) => text.slice(start, end) === node.data);
    return { html: place.innerHTML.slice(0, 5000), isExact };
}"""


async def indexed(board: Board, service: Service, count: int) -> None:
    """A knowledge base of a folder, its documents listed."""
    write_documents(service.here / "docs", count, paragraphs=1)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    await board.go("kb/docs/documents")


async def sent(board: Board, service: Service) -> None:
    """A knowledge base of uploads, its documents listed."""
    service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    files = [service.here / name for name in NAMES]
    for file in files:
        file.write_text(f"# {file.stem}\n\nAll about the {file.stem}.\n")
    await board.go("kb/sent/documents")
    await board.page.locator(".drop input").first.set_input_files(files)
    await board.until(chip(board, "indexed"), "3")
    await board.until(board.page.locator(TOLD), "3 documents")


def chip(board: Board, status: str) -> Any:
    return board.page.locator(f'#panel-documents [data-chip="{status}"]')


async def shown(board: Board) -> list[str]:
    return await board.page.locator(f"{ROWS} .uri").all_inner_texts()


async def open_one(board: Board, name: str) -> None:
    await board.page.get_by_role("link", name=name).click()
    await board.until(board.page.locator(".standing-card .state"), "Indexed")


async def test_the_documents_are_listed_page_by_page(board: Board, service: Service) -> None:
    await indexed(board, service, 130)
    await board.until(board.page.locator(TOLD), "1 to 100 of 130 documents")
    first = await shown(board)
    await board.page.get_by_role("button", name="Next").click()
    await board.until(board.page.locator(TOLD), "101 to 130 of 130 documents")
    assert await board.page.locator(ROWS).count() == 30
    every = first + await shown(board)
    assert every == sorted(set(every))
    await board.page.get_by_role("button", name="Previous").click()
    await board.until(board.page.locator(TOLD), "1 to 100")
    assert await shown(board) == first


async def test_a_part_of_the_name_finds_documents_while_it_is_typed(board: Board, service: Service) -> None:
    await indexed(board, service, 12)
    await board.until(board.page.locator(TOLD), "12 documents")
    await board.page.get_by_label("Filter the documents of docs").fill("COST")
    await board.until(board.page.locator(TOLD), "2 found")
    assert await shown(board) == ["cost-control-001.md", "cost-control-007.md"]
    await board.page.keyboard.type("ly")
    await board.until(board.page.locator(TOLD), "No document has “COSTly”")
    assert await shown(board) == []
    await board.page.reload()
    await board.until(board.page.locator(TOLD), "No document has “COSTly”")


async def test_statuses_and_their_counts_follow_a_run(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 3)
    (service.here / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    await board.go("kb/docs/documents")
    await board.until(chip(board, "processing"), "3")
    await board.until(board.page.locator(ROWS).nth(1), "embedding")
    streams = [url for url in board.streams if "documents_of=docs" in url]
    embedding.gate.set()
    await board.until(chip(board, "indexed"), "3")
    await board.until(chip(board, "failed"), "1")
    await board.until(board.page.locator(ROWS).nth(1), "Indexed")
    await board.until(board.page.locator("#tab-documents"), "1 failed")
    assert len(streams) == 1
    await chip(board, "failed").click()
    await board.until(board.page.locator(TOLD), "1 document")
    await board.until(board.page.locator(ROWS), "broken.pdf")
    async with board.page.expect_download() as waiting:
        await board.page.get_by_role("button", name="Download as JSON").click()
    download = await waiting.value
    (one,) = json.loads((await download.path()).read_text("utf-8"))
    assert (one["uri"], one["status"], one["phase"]) == ("broken.pdf", "failed", "loading")
    async with board.page.expect_download() as waiting:
        await board.page.get_by_role("button", name="Download as CSV").click()
    lines = (await (await waiting.value).path()).read_text("utf-8").splitlines()
    assert lines[0].startswith("uri,source,title")
    assert lines[1].startswith("broken.pdf,default")
    await board.page.get_by_role("link", name="broken.pdf").click()
    await board.until(board.page.locator(".standing-card .now"), "Failed")
    await board.until(board.page.locator(".standing-card .now"), "damaged")
    await board.expect(board.page.locator('.steps [data-phase="loading"]')).to_have_attribute("data-status", "failed")


async def test_a_hundred_thousand_documents_are_a_page_at_a_time(board: Board, service: Service) -> None:
    await indexed(board, service, 1)
    real = service.call("GET", "kb/docs/documents")["items"][0]

    async def answer(route: "Route") -> None:
        at = int(dict(part.split("=") for part in route.request.url.split("?")[1].split("&")).get("cursor", 0))
        items = [real | {"id": f"doc_{n}", "uri": f"{n:06}.md"} for n in range(at, at + 100)]
        await route.fulfill(json={"items": items, "next_cursor": str(at + 100) if at < 99_900 else None})

    await board.page.route("**/api/ingestion/kb/docs/documents?*", answer)
    await board.page.reload()
    for page in range(1, 6):
        await board.until(board.page.locator(TOLD), f"{page * 100 - 99} to {page * 100}")
        assert await board.page.locator(ROWS).count() == 100
        await board.page.get_by_role("button", name="Next").click()


async def test_a_document_is_shown_with_its_text_and_the_place_that_the_address_names(
    board: Board, service: Service
) -> None:
    docs = service.here / "docs"
    docs.mkdir()
    words = "\n\n".join(f"\N{ROCKET} Paragraph {n} says *something* about {n}." for n in range(40))
    (docs / "guide.md").write_text(f"# A guide\n\n<img src=x onerror=window.broken=1>\n\n{words}\n", encoding="utf-8")
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    (one,) = service.call("GET", "kb/docs/documents")["items"]
    chunks = service.call("GET", f"kb/docs/documents/{one['id']}/chunks")["items"]
    page = board.page
    await board.go("kb/docs/documents")
    await open_one(board, "guide.md")
    text = page.locator(".text .markdown")
    await board.until(text.locator("h4"), "A guide")
    await board.until(text.locator("em").first, "something")
    await board.until(page.locator(".text .told"), f"{len(chunks)} passages")
    assert await text.locator(".cut").count() == len(chunks)
    await text.locator(".cut").nth(2).click()
    await holds(page, f"({CHOSEN})() !== ''")
    chosen = await page.evaluate(CHOSEN)
    assert re.findall(r"about (\d+)\.", chosen) == re.findall(r"about (\d+)\.", chunks[2]["text"])
    assert f"/{chunks[2]['start']}-{chunks[2]['end']}" in page.url
    assert await page.evaluate("() => window.broken") is None
    assert await text.locator("img").count() == 0
    await page.locator(".document .up").click()
    await board.until(page.locator(TOLD), "1 document")


async def test_rendering_sets_text_only_knows_its_places_and_takes_no_longer_than_its_length(board: Board) -> None:
    await board.go()
    text = "# T\n\n[a](javascript:alert(1)) [b](https://e.org/x(y)) <b>x</b>\n\n| a | b |\n|---|---|\n| `1` | 2 |"
    told = await board.page.evaluate(MARKDOWN, text)
    assert "javascript:" not in told["html"]
    for part in ("&lt;b&gt;", 'href="https://e.org/x(y)"', "<code>1</code>"):
        assert part in told["html"]
    assert told["isExact"]
    for part in ("*", "[", "> ", "- ", "|\n", "  ", "`a", "![](", "1. \n", "_a "):
        hostile = part * (200_000 // len(part)) + "x"
        watch = Stopwatch()
        await board.page.evaluate(MARKDOWN, hostile)
        assert watch.within(5), part


async def test_what_is_removed_leaves_the_list(board: Board, service: Service) -> None:
    page = board.page
    await sent(board, service)
    await open_one(board, "banana.md")
    remove = page.get_by_role("button", name="Remove")
    await remove.focus()
    await page.keyboard.press("Enter")
    await board.until(page.locator("#asking"), "Remove banana.md?")
    await board.expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await page.keyboard.press("Escape")
    await board.expect(remove).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await board.until(page.locator(TOLD), "2 documents")
    assert await shown(board) == ["apple.md", "cherry.md"]


async def test_a_document_is_skipped_and_taken_back_in(board: Board, service: Service) -> None:
    page = board.page
    await indexed(board, service, 3)
    await open_one(board, "cost-control-001.md")
    await page.get_by_role("button", name="Skip").click()
    await board.until(page.locator(".standing-card .state"), "Skipped")
    assert service.call("GET", "kb/docs")["counts"]["skipped"] == 1
    await page.get_by_role("button", name="Take back in").click()
    await board.until(page.locator(".standing-card .state"), "Indexed")
    await board.until(page.locator(".text .markdown"), "Cost control")


async def test_all_that_failed_can_be_retried_at_once(board: Board, service: Service) -> None:
    docs = service.here / "docs"
    write_documents(docs, 30)
    for number in range(3):
        (docs / f"{number}.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    for number in range(3):
        (docs / f"{number}.pdf").unlink()
        (docs / f"{number}.pdf").write_text(f"No PDF, but text {number}.")
    await board.go("kb/docs/documents?status=failed")
    await board.until(board.page.locator(TOLD), "3 documents")
    await board.page.get_by_role("button", name="Retry all").click()
    await board.until(board.page.locator(".bulk"), "3 documents will be loaded anew")
    service.until("docs", lambda status: status["status"] == "completed" and status["metrics"]["documents_found"] == 3)


async def test_what_a_retried_document_waits_for_is_said(board: Board, service: Service) -> None:
    (service.here / "docs" / "deep").mkdir(parents=True)
    (service.here / "docs" / "deep" / "bare.md").write_text("Without a title.")
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    service.call("POST", "kb/docs/start", {"hold": ["loading"]})
    service.call("POST", "kb/docs/cancel")
    await board.go("kb/docs/documents")
    row = board.page.locator(ROWS)
    await board.until(row, "deep/bare.md")
    assert await row.locator(".title").inner_text() == ""  # the file's name a second time
    await board.page.get_by_role("button", name="Read all again").click()
    await board.page.locator("#asking").get_by_role("button", name="Read all again").click()
    await board.until(
        board.page.locator(".bulk"), "1 document will be loaded anew; each waits for the next start or push"
    )
    await row.get_by_role("link").click()
    await board.page.get_by_role("button", name="Read again").click()
    await board.until(board.page.locator(".standing-card .told"), "It waits for the next start or push.")


async def test_files_are_dropped_on_any_page_whatever_its_run_does(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    await board.go("kb/docs/documents")
    await board.until(chip(board, "processing"), "3")
    await board.page.evaluate(DROP, ["#panel-documents", "dropped.md", "# Dropped\n\nIn the middle of a run."])
    await board.until(board.page.locator(".drop"), "1 file sent")
    embedding.gate.set()
    await board.until(chip(board, "indexed"), "4")


async def test_files_on_the_empty_page_make_the_first_knowledge_base(board: Board, service: Service) -> None:
    await board.go()
    await board.page.locator(".welcome").wait_for(state="visible")
    await board.page.evaluate(DROP, [".welcome", "first.md", "# First\n\nA quick success."])
    await board.until_status("documents", "Completed")
    await board.until(board.page.locator(".detail h2"), "documents")
