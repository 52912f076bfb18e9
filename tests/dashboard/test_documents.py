"""The documents of a knowledge base in the dashboard: listed, found, removed."""

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_verbs import remote

ROWS = "#panel-documents tbody tr"
TOLD = "#panel-documents .told"
NAMES = ["apple.md", "banana.md", "cherry.md"]


async def indexed(board: Board, service: Service, count: int) -> None:
    """A knowledge base of a folder, its documents listed."""
    write_documents(service.here / "docs", count, paragraphs=1)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    await board.go("kb/docs/documents")


async def sent(board: Board, service: Service, embedder: dict[str, str] | None = None) -> None:
    """A knowledge base of uploads, its documents listed."""
    settings = {"embedder": embedder or {"type": "static"}}
    service.call("PUT", "kb/sent", {"source": {"type": "upload"}, "settings": settings})
    files = [service.here / name for name in NAMES]
    for file in files:
        file.write_text(f"# {file.stem}\n\nAll about the {file.stem}.\n")
    await board.go("kb/sent/documents")
    await board.page.locator(".drop input").set_input_files(files)


async def shown(board: Board) -> list[str]:
    return await board.page.locator(f"{ROWS} .uri").all_inner_texts()


async def ask(board: Board, name: str) -> None:
    await board.page.get_by_role("button", name=f"Remove {name}").click()
    await board.until(board.page.locator("#asking"), f"Remove {name}?")


async def test_the_documents_are_listed_page_by_page(board: Board, service: Service) -> None:
    await indexed(board, service, 130)
    await board.until(board.page.locator(TOLD), "The first 100 of 130 documents")
    assert await board.page.locator("#panel-documents thead th:visible").count() == 3
    await board.page.get_by_role("button", name="Show more").click()
    await board.until(board.page.locator(TOLD), "130 documents")
    assert len(set(await shown(board))) == 130
    assert await shown(board) == sorted(await shown(board))
    await board.expect(board.page.get_by_label("Filter the documents of docs")).to_be_focused()


async def test_a_part_of_the_name_finds_documents_while_it_is_typed(board: Board, service: Service) -> None:
    await indexed(board, service, 12)
    await board.until(board.page.locator(TOLD), "12 documents")
    await board.page.get_by_label("Filter the documents of docs").fill("COST")
    await board.until(board.page.locator(TOLD), "2 found")
    assert await shown(board) == ["cost-control-001.md", "cost-control-007.md"]
    await board.page.keyboard.type("ly")
    await board.until(board.page.locator(TOLD), "No document has “COSTly”")
    assert await shown(board) == []


async def test_what_is_removed_with_the_keyboard_leaves_the_list_when_the_run_is_over(
    board: Board, service: Service
) -> None:
    page = board.page
    await sent(board, service)
    await board.until(page.locator(TOLD), "3 documents")
    await page.get_by_role("button", name="Remove banana.md").focus()
    await page.keyboard.press("Enter")
    await board.expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await page.keyboard.press("Escape")
    await board.expect(page.get_by_role("button", name="Remove banana.md")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await board.until(page.locator(TOLD), "2 documents")
    assert await shown(board) == ["apple.md", "cherry.md"]
    await board.expect(page.get_by_role("button", name="Remove cherry.md")).to_be_focused()


async def test_while_a_run_is_not_over_nothing_else_can_be_removed(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    page = board.page
    await sent(board, service, remote(embedding))
    embedding.gate.set()
    await board.until(page.locator(TOLD), "3 documents")
    (service.here / "new.md").write_text("# New\n\nNever seen before.\n")
    embedding.gate.clear()
    await page.locator(".drop input").set_input_files(service.here / "new.md")
    await board.until(page.locator(TOLD), "when this run is over")
    button = page.get_by_role("button", name="Remove apple.md")
    await board.expect(button).to_have_attribute("aria-disabled", "true")
    await button.click(force=True)
    assert await page.locator("#asking").is_hidden()
    embedding.gate.set()
    await board.until(page.locator(TOLD), "4 documents")
    await board.expect(button).not_to_have_attribute("aria-disabled", "true")


async def test_a_refusal_is_said_in_the_dialog(board: Board, service: Service) -> None:
    await sent(board, service)
    await board.until(board.page.locator(TOLD), "3 documents")
    await ask(board, "apple.md")
    (kept,) = service.here.rglob("*.uploads/sent/apple.md")
    kept.unlink()
    asking = board.page.locator("#asking")
    await asking.get_by_role("button", name="Remove").click()
    await board.until(asking.locator(".field-error"), "No document 'apple.md' was uploaded")
    await asking.get_by_role("button", name="Keep it").click()
    await board.expect(asking).to_be_hidden()
