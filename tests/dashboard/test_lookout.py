"""What the feed of jobs does not tell: what is made, changed, counted anew or deleted without a job."""

from typing import TYPE_CHECKING

import pytest

from tests.dashboard.board import Board, before_saving, stop_the_clock
from tests.dashboard.service import Service, write_documents

if TYPE_CHECKING:
    from playwright.async_api import Request

SEEN = "document.dispatchEvent(new Event('visibilitychange'))"
"""Somebody looks at the page again."""


async def completed(board: Board, service: Service, place: str) -> None:
    write_documents(service.here / "docs", 5)
    service.put("docs", "docs")
    service.put("other", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    await board.go(place)
    await board.until(board.page.locator(".detail-head .counts"), "5 documents")
    await board.live()


def skip_one(service: Service) -> None:
    service.call("POST", f"kb/docs/documents/{service.call('GET', 'kb/docs/documents')['items'][0]['id']}/skip")


async def test_counts_that_change_without_a_job_are_shown(board: Board, service: Service) -> None:
    await completed(board, service, "kb/docs/run")
    skip_one(service)
    await board.page.evaluate(SEEN)
    await board.until(board.page.locator(".detail-head .counts"), "4 documents")
    await board.until(board.row("docs"), "4 documents")


async def test_it_looks_every_few_seconds_with_one_question(board: Board, service: Service) -> None:
    await board.page.clock.install()
    await completed(board, service, "kb/docs/run")
    await stop_the_clock(board.page)
    await board.page.evaluate("fetch('/healthz')")  # behind what was asked until then
    asked: list[str] = []

    def note(request: "Request") -> None:
        asked.append(request.url.removeprefix(f"{service.url}/"))

    board.page.on("request", note)
    async with board.page.expect_response("**/api/ingestion/revisions"):
        await board.page.clock.fast_forward(10_000)
    assert asked == ["api/ingestion/revisions"]
    skip_one(service)
    await board.page.clock.fast_forward(10_000)
    await board.until(board.page.locator(".detail-head .counts"), "4 documents")
    assert [one for one in asked if "revisions" not in one] == ["api/ingestion/kb/docs"]


async def test_what_is_made_changed_and_deleted_elsewhere_is_shown(board: Board, service: Service) -> None:
    await completed(board, service, "kb/docs/run")
    service.call("PUT", "kb/made", {"source": {"type": "upload"}})
    write_documents(service.here / "docs" / "deeper", 1)
    service.call("PUT", "kb/docs", {"source": {"type": "folder", "path": "docs/deeper"}})
    service.call("DELETE", "kb/other")
    await board.page.evaluate(SEEN)
    await board.row("made").wait_for()
    await board.row("other").wait_for(state="detached")
    await board.until(board.page.locator(".detail-head .source"), "docs/deeper")


@pytest.mark.parametrize("place", ["", "kb/docs/run", "kb/docs/documents", "kb/docs/search?q=capacity"])
async def test_a_page_whose_knowledge_base_is_gone_says_so(board: Board, service: Service, place: str) -> None:
    await completed(board, service, place)
    service.call("DELETE", "kb/docs")
    await board.page.evaluate(SEEN)
    await board.until(board.page.locator(".missing"), "There is no knowledge base docs")
    assert await board.page.locator("article.detail").count() == 0
    await board.row("docs").wait_for(state="detached")


async def test_an_answer_that_there_is_none_is_believed_at_once(board: Board, service: Service) -> None:
    await completed(board, service, "kb/docs/run")
    await before_saving(board.page, "POST", lambda: service.call("DELETE", "kb/docs"))
    await board.verb("start").click()
    await board.until(board.page.locator(".missing"), "There is no knowledge base docs")
