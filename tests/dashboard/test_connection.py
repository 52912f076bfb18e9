"""The page and a server that goes away and comes back."""

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board, holds
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_verbs import remote

LISTEN = """async () => {
    const { storeOf } = await import("/static/store.js");
    window.seen = [];
    storeOf().watch({ transition: (transition) => window.seen.push(transition.seq) });
}"""


async def test_a_reload_shows_the_true_state_at_once(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 10)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {"hold": ["embedding"]})
    service.until("docs", lambda status: status["status"] == "paused")
    for _ in range(2):
        await board.go("kb/docs")
        await board.until(board.head, "Paused 50 %".replace(" ", "", 1))
        await board.until(board.phase("loading"), "10 / 10")


async def test_a_pause_is_held_over_a_restart_of_the_server(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 10)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {"hold": ["embedding"]})
    service.until("docs", lambda status: status["status"] == "paused")
    await board.go("kb/docs")
    await board.until_status("docs", "Paused")
    await board.live()
    service.stop()
    await board.until(board.page.locator(".lost-bar"), "What you see is as of")
    service.start()
    await board.until(board.page.locator(".connection"), "Live")
    await board.page.locator(".lost-bar").wait_for(state="hidden")
    await board.until_status("docs", "Paused")
    await board.verb("resume").click()
    await board.until_status("docs", "Completed")


async def test_no_transition_is_missed_or_repeated_when_the_server_is_killed(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 10)
    service.put("docs", "docs", remote(embedding))
    await board.go("kb/docs")
    await board.live()
    await board.page.evaluate(LISTEN)
    await board.verb("start").click()
    await board.until(board.phase("embedding"), "Running")
    service.kill()
    await board.until(board.page.locator(".connection"), "Connection lost")
    embedding.gate.set()
    service.start()
    await board.until_status("docs", "Completed")
    job_id = service.call("GET", "kb/docs/status")["job_id"]
    log = [one["seq"] for one in service.call("GET", f"jobs/{job_id}/transitions")["items"]]
    await holds(board.page, "window.seen.length >= arg", len(log))
    assert await board.page.evaluate("() => window.seen") == log


async def test_one_stream_serves_all_that_the_page_shows(board: Board, service: Service) -> None:
    for name in ("one", "two", "three"):
        service.put(name, ".")
    await board.go("kb/two")
    await board.until(board.page.locator(".connection"), "Live")
    await board.row("three").locator(".opener").click()
    await board.until(board.page.locator("h2").first, "three")
    assert len(board.streams) == 1
