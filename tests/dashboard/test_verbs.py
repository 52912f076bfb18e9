"""Every verb by clicking, on a real job."""

import anyio

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board, holds
from tests.dashboard.service import Service, write_documents
from tests.store.probes import select

FOCUSED = "document.querySelector('phase-status').shadowRoot.activeElement.dataset.verb"


def remote(server: EmbeddingServer) -> dict[str, str]:
    """Settings that make a knowledge base use the embedding server."""
    return {"type": "openai", "base_url": server.options[3], "model": "counting"}


async def test_start_runs_a_job_that_the_page_follows_to_its_end(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 30)
    service.put("docs", "docs")
    await board.go("kb/docs")
    await board.until(board.head, "Never run")
    await board.verb("start").click()
    await board.until(board.head, "Completed")
    await board.until(board.head, "100 %")
    for name in ("loading", "chunking", "embedding", "indexing"):
        await board.until(board.phase(name), "Completed")
    await board.until(board.phase("loading"), "30 / 30documents")
    await board.until_status("docs", "Completed")
    await board.until(board.row("docs"), "30 documents")


async def test_pause_says_that_it_waits_for_the_batch_in_hand_and_resume_goes_on(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 10)
    service.put("docs", "docs", remote(embedding))
    await board.go("kb/docs")
    await board.verb("start").click()
    await board.until(board.phase("embedding"), "Running")
    async with board.page.expect_response("**/pause"):  # the page says so before the service knows
        await board.verb("pause").click()
    await board.until(board.head, "Pausing…")
    await board.until_status("docs", "Pausing…")
    assert await board.verb("pause").get_attribute("aria-disabled") == "true"
    embedding.gate.set()
    await board.until_status("docs", "Paused")
    await board.verb("resume").click()
    await board.until_status("docs", "Completed")


async def test_every_verb_that_applies_has_a_button_while_a_pause_waits_for_its_batch(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    assert await anyio.to_thread.run_sync(embedding.asked.wait, 60)
    service.call("POST", "kb/docs/pause")
    allowed = service.until("docs", lambda status: status["requested"] == "pause")["allowed_actions"]
    assert sorted(allowed) == ["cancel", "pause", "resume"]
    await board.go("kb/docs")
    await board.until(board.head, "Pausing…")
    for place in (board.head, board.row("docs")):
        for verb in allowed:
            button = place.locator(f'[data-verb="{verb}"]')
            await board.expect(button).to_be_visible()
            assert await button.get_attribute("aria-disabled") == ("true" if verb == "pause" else None)
    await board.verb("resume").click()
    service.until("docs", lambda status: status["status"] == "running" and status["requested"] is None)
    await board.until(board.head, "Running")
    paused = board.phase("embedding")
    await paused.locator('[data-verb="pause"]').click()
    await board.until(paused.locator(".word"), "Pausing…")
    await paused.locator('[data-verb="resume"]').click()
    await board.until(paused.locator(".word"), "Running")
    embedding.gate.set()
    await board.until_status("docs", "Completed")


async def test_a_phase_is_held_and_let_go_by_itself(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 10)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {"hold": ["embedding"]})
    service.until("docs", lambda status: status["status"] == "paused")
    await board.go("kb/docs")
    await board.until(board.phase("embedding"), "On hold")
    await board.until(board.phase("chunking"), "Completed")
    await board.phase("embedding").locator('[data-verb="resume"]').click()
    await board.until_status("docs", "Completed")


async def test_a_phase_that_runs_is_paused_by_its_own_button(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 60, paragraphs=20)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["phase_details"][2]["status"] == "running")
    await board.go("kb/docs")
    async with board.page.expect_response("**/pause"):
        await board.phase("embedding").locator('[data-verb="pause"]').click()
    await board.until(board.phase("embedding").locator(".word"), "Pausing…")
    embedding.gate.set()
    await board.until(board.phase("embedding").locator(".word"), "Paused")


async def test_cancel_ends_a_job_whose_embedder_hangs(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 10)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["phase_details"][2]["status"] == "running")
    await board.go("kb/docs")
    await board.cancel(board.row("docs"))
    await board.until_status("docs", "Cancelled")
    await board.until(board.phase("embedding"), "Cancelled by user")
    await board.until(board.row("docs").locator(".controls"), "Start")


async def test_retry_goes_on_with_a_failed_job(board: Board, service: Service) -> None:
    docs = service.here / "docs"
    docs.mkdir()
    for number in range(12):
        (docs / f"{number}.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    service.put("docs", "docs")
    await board.go("kb/docs")
    await board.verb("start").click()
    await board.until_status("docs", "Failed")
    await board.until(board.phase("loading"), "Failed")
    for path in docs.iterdir():
        path.unlink()
    write_documents(docs, 5)
    await board.verb("retry").click()
    await board.until_status("docs", "Completed")


async def test_a_refusal_is_said_in_words_and_can_be_sent_away(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    (service.here / "docs").rename(service.here / "elsewhere")
    (service.here / "docs").symlink_to("/etc")
    await board.go("kb/docs")
    await board.verb("start").click()
    refusal = board.row("docs").locator(".refusal")
    await board.until(refusal, "allow")
    await refusal.get_by_role("button", name="Dismiss").click()
    await refusal.wait_for(state="hidden")
    await board.until_status("docs", "Never run")


async def test_the_focus_goes_on_to_the_next_verb(board: Board, service: Service, embedding: EmbeddingServer) -> None:
    write_documents(service.here / "docs", 10)
    service.put("docs", "docs", remote(embedding))
    await board.go("kb/docs")
    await board.verb("start").focus()
    await board.page.keyboard.press("Enter")
    await board.until_status("docs", "Running")
    await holds(board.page, f"{FOCUSED} === 'pause'")
    embedding.gate.set()


async def test_every_document_can_be_read_again(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs")
    await board.go("kb/docs")
    again = board.head.get_by_role("button", name="Read all again")
    await board.expect(board.verb("start")).to_be_visible()
    await board.expect(again).to_be_hidden()
    await board.verb("start").click()
    await board.until_status("docs", "Completed")
    first = service.call("GET", "kb/docs/status")
    assert first["metrics"]["documents_unchanged"] == 0
    await again.click()
    second = service.until("docs", lambda status: status["job_id"] != first["job_id"] and status["completed_at"])
    assert second["status"] == "completed"
    assert select(service.here / "phaseflow.db", "SELECT full_run FROM ingestion_jobs ORDER BY seq") == [(0,), (1,)]
    await board.expect(again).to_be_visible()


async def test_a_cancel_asks_in_its_place_and_nothing_moves(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs", remote(embedding))
    await board.go("kb/docs")
    await board.verb("start").click()
    await board.until(board.phase("embedding"), "Running")
    button = board.verb("cancel")
    width = "(button) => [button.offsetWidth, button.offsetLeft]"
    before = await button.evaluate(width)
    await button.evaluate("(button) => { for (let press = 0; press < 3; press++) button.click(); }")  # as quick taps do
    await board.until(button, "Cancel it?")
    assert await button.evaluate(width) == before
    await board.verb("pause").focus()
    await board.expect(button).to_have_text("Cancel")
    assert service.call("GET", "kb/docs/status")["status"] == "running"


async def test_a_run_that_ends_while_nobody_looks_is_told_in_the_title(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs")
    await board.go("kb/docs")
    await board.until(board.page.locator(".connection"), "Live")
    await board.page.evaluate(
        "() => Object.defineProperty(document, 'hidden', { get: () => !window.looks, configurable: true })"
    )
    service.call("POST", "kb/docs/start", {})
    await holds(board.page, "document.title === '✓ docs: completed · docs · phaseflow'")
    await board.page.evaluate("() => { window.looks = true; document.dispatchEvent(new Event('visibilitychange')); }")
    assert await board.page.title() == "docs · phaseflow"
