"""What the page says of what is not there, has failed, was cancelled, or lay still."""

from typing import Any

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_verbs import remote

HOUR = 3600
COLOURS = """(node) => {
    const probe = document.createElement("i");
    probe.style.color = "var(--still)";
    node.append(probe);
    const still = getComputedStyle(probe).color;
    probe.remove();
    return [getComputedStyle(node).color, still];
}"""
DRAWN = """async ([log, job]) => {
    const { timeline } = await import("/static/timeline.js");
    const { runSeconds, duration } = await import("/static/words.js");
    const node = timeline(log, job, "test");
    document.body.append(node);
    const bars = [...node.querySelectorAll(".span.running")].map((bar) => parseFloat(bar.style.width.split(", ")[1]));
    return {
        bars, breaks: node.querySelectorAll(".break").length,
        ticks: [...node.querySelectorAll(".tick")].map((each) => each.textContent),
        words: node.querySelector(".breaks")?.textContent ?? null, took: duration(runSeconds(job)),
    };
}"""
FORMS = """async () => {
    const { counted, unit } = await import("/static/words.js");
    const phase = { name: "loading", items_processed: 1, items_failed: 0, items_total: null };
    const numbers = [counted(0, "document"), counted(1, "document"), counted(1200, "chunk")];
    return [...numbers, unit(phase), unit({ ...phase, items_total: 2 })];
}"""


async def test_a_link_to_a_knowledge_base_that_is_not_there_says_so(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 2)
    service.put("docs", "docs")
    await board.go("kb/gone")
    missing = board.page.locator(".missing")
    await board.until(missing, "There is no knowledge base gone")
    assert await board.page.locator("article.detail").count() == 0
    service.put("gone", "docs")
    service.call("POST", "kb/gone/start", {})
    await board.until(board.page.locator("article.detail h2"), "gone")
    assert await missing.count() == 0
    await board.page.evaluate("() => { location.hash = '#/kb/also-gone'; }")
    await board.until(missing, "There is no knowledge base also-gone")
    await missing.get_by_role("button").click()
    await board.page.locator("article.detail").wait_for()
    shown = await board.page.locator("article.detail h2").text_content()
    assert await board.page.title() == f"{shown} · phaseflow"


async def test_a_dead_link_says_so_on_a_small_screen_and_without_any_knowledge_base(board: Board) -> None:
    await board.page.set_viewport_size({"width": 360, "height": 740})
    await board.go("kb/gone")
    await board.expect(board.page.locator(".missing")).to_be_visible()
    await board.page.locator(".missing").get_by_role("button").click()
    await board.expect(board.page.locator(".welcome")).to_be_visible()


async def test_what_a_cancel_ended_is_grey_and_called_cancelled(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs", remote(embedding))
    await board.go("kb/docs")
    await board.verb("start").click()
    await board.until(board.phase("embedding"), "Running")
    await board.cancel()
    await board.until(board.head, "Cancelled")
    await board.until(board.phase("embedding").locator(".word"), "Cancelled")
    await board.until_status("docs", "Cancelled")
    page = board.page
    assert await page.locator('#panel-run [data-status="failed"], kb-list [data-status="failed"]').count() == 0
    assert await page.locator("#panel-run .drawing .failed").count() == 0
    colour, still = await board.phase("embedding").locator(".word").evaluate(COLOURS)
    assert colour == still
    colour, still = await board.head.locator(".state").evaluate(COLOURS)
    assert colour == still


async def test_documents_that_failed_are_seen_in_the_list_the_head_and_the_phases(
    board: Board, service: Service
) -> None:
    write_documents(service.here / "docs", 2)
    (service.here / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    service.put("docs", "docs")
    await board.go("kb/docs")
    await board.verb("start").click()
    await board.until(board.head, "Completed")
    await board.until(board.head.locator(".failed"), "1 document failed")
    await board.until(board.phase("loading"), "3 / 3")
    await board.until(board.phase("loading").locator(".failed"), "1 failed")
    await board.until(board.row("docs").locator(".failed"), "1 failed")


def _at(seconds: float) -> str:
    whole = int(seconds)
    return f"2025-12-{3 + whole // 86400:02}T{whole // HOUR % 24:02}:{whole // 60 % 60:02}:{seconds % 60:06.3f}Z"


def _log(*moves: tuple[float, str, str]) -> list[dict[str, Any]]:
    return [{"seq": at, "at": _at(t), "phase": name, "to": to, "error": None} for at, (t, name, to) in enumerate(moves)]


def _phase(name: str, start_s: float, end_s: float, idle_s: float = 0) -> dict[str, Any]:
    return {
        "name": name, "status": "completed", "started_at": _at(start_s), "completed_at": _at(end_s),
        "active_seconds": end_s - start_s - idle_s,
    }  # fmt: skip


async def test_a_retry_hours_later_took_the_time_it_worked_and_its_timeline_shows_a_break(board: Board) -> None:
    end = 3 * HOUR + 20
    log = _log(
        (0, "loading", "running"), (10, "loading", "completed"), (2, "embedding", "running"),
        (10, "embedding", "failed"), (3 * HOUR, "embedding", "running"), (end, "embedding", "completed"),
    )  # fmt: skip
    phases = [_phase("loading", 0, 10), _phase("embedding", 2, end, 3 * HOUR - 10)]
    job = {"job_id": "job", "status": "completed", "completed_at": _at(end), "phase_details": phases}
    await board.go()
    drawn = await board.page.evaluate(DRAWN, [sorted(log, key=lambda one: one["at"]), job])
    assert drawn["took"] == "30 s"
    assert drawn["breaks"] == 2
    assert drawn["ticks"][-1] == "30 s"
    assert drawn["words"] == "A break of 2 h 59 min, in which nothing ran, is drawn short."
    assert sorted(round(width) for width in drawn["bars"]) == [25, 31, 62]


async def test_a_run_without_a_break_is_drawn_at_its_length(board: Board) -> None:
    log = _log((0, "loading", "running"), (10, "loading", "completed"), (2, "embedding", "running"))
    log += _log((20, "embedding", "completed"))
    phases = [_phase("loading", 0, 10), _phase("embedding", 2, 20)]
    job = {"job_id": "job", "status": "completed", "completed_at": _at(20), "phase_details": phases}
    await board.go()
    drawn = await board.page.evaluate(DRAWN, [sorted(log, key=lambda one: one["at"]), job])
    assert (drawn["took"], drawn["breaks"], drawn["words"]) == ("20 s", 0, None)
    assert sorted(round(width) for width in drawn["bars"]) == [50, 90]


async def test_nouns_agree_with_their_numbers(board: Board) -> None:
    await board.go()
    told = await board.page.evaluate(FORMS)
    assert told == ["0 documents", "1 document", "1,200 chunks", "document", "documents"]


async def test_a_name_that_turns_the_direction_of_writing_shows_what_does_so(board: Board, service: Service) -> None:
    folder = service.here / "docs"
    folder.mkdir()
    (folder / "bidi\u202egnp.md").write_text("# Right \u202eleft\n\nA word.", encoding="utf-8")
    (folder / "שלום-\u200cא.md").write_text("A word.", encoding="utf-8")
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    await board.go("kb/docs/documents")
    names = board.page.locator(".documents bdi")
    await board.page.get_by_text("bidi\\u202egnp.md").first.wait_for()
    shown = await names.all_text_contents()
    assert "Right \\u202eleft" in shown
    assert "שלום-\u200cא.md" in shown
