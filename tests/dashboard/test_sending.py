"""Files and folders that are dropped or chosen, and what becomes of them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dashboard.board import Board, held
from tests.dashboard.service import Service

if TYPE_CHECKING:
    from playwright.async_api import Route


async def drop(board: Board, *paths: Path, at: tuple[int, int] = (640, 400)) -> None:
    """Drop files and folders of this machine somewhere onto the page, as a person does."""
    session = await board.page.context.new_cdp_session(board.page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        await session.send("Input.dispatchDragEvent", {"type": kind, "x": at[0], "y": at[1], "data": data})


def written(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n\nWhat stands in {name}.\n", encoding="utf-8")
    return folder


def uris(service: Service, kb_id: str) -> set[str]:
    return {one["uri"] for one in service.call("GET", f"kb/{kb_id}/documents?limit=1000")["items"]}


async def test_a_folder_on_the_empty_page_becomes_the_first_knowledge_base(board: Board, service: Service) -> None:
    names = ["one.md", "deep/two.md", "deep/er/three.md", ".git/config", ".DS_Store"]
    folder = written(service.here / "handbook", names)
    await board.go()
    await board.page.locator(".welcome").wait_for(state="visible")
    await drop(board, folder)
    await board.until_status("documents", "Completed")
    assert uris(service, "documents") == {"handbook/one.md", "handbook/deep/two.md", "handbook/deep/er/three.md"}


async def test_more_files_than_one_request_takes_go_in_several(board: Board, service: Service) -> None:
    folder = written(service.here / "many", [f"{number:03}.md" for number in range(250)])
    service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    posts: list[str] = []
    board.page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    await board.go("kb/sent")
    await board.until(board.page.locator(".drop"), "Drop files or folders here")
    await drop(board, folder, written(service.here / "beside", ["alone.md"]) / "alone.md")
    await board.until(board.page.locator(".drop"), "251 files sent.")
    assert len(uris(service, "sent")) == 251
    assert "alone.md" in uris(service, "sent")
    assert len(posts) == 3


async def test_files_do_not_bring_back_a_knowledge_base_that_is_gone(board: Board, service: Service) -> None:
    for name in ("sent", "other"):
        service.call("PUT", f"kb/{name}", {"source": {"type": "upload"}})
    await board.go("kb/sent")
    await board.until(board.page.locator(".drop"), "Drop files or folders here")
    service.call("DELETE", "kb/sent")
    await drop(board, written(service.here / "docs", ["one.md"]) / "one.md")
    await board.until(board.page.locator(".missing"), "There is no knowledge base sent")
    assert [one["kb_id"] for one in service.call("GET", "kb")["items"]] == ["other"]


async def test_a_file_that_is_refused_is_named_and_the_others_are_sent(board: Board, service: Service) -> None:
    folder = written(service.here / "docs", [f"{number}.md" for number in range(9)])
    (folder / "bad\u202ename.md").write_text("# Misleading", encoding="utf-8")
    await board.go()
    await board.page.locator(".welcome").wait_for(state="visible")
    await drop(board, folder)
    told = board.page.locator(".drop")
    await board.until(told, "9 of 10 files sent.")
    await board.until(told.locator("summary"), "1 file refused")
    await told.locator("summary").click()
    await board.until(told.locator(".refused li"), "characters that cannot be seen")
    assert len(uris(service, "documents")) == 9


@pytest.mark.parametrize("at", [r"/kb/sent/jobs\?limit=1$", r"/documents$"], ids=["as it is checked", "as it is sent"])
async def test_sending_stops_when_its_user_says_so(board: Board, service: Service, at: str) -> None:
    folder = written(service.here / "many", [f"{number:03}.md" for number in range(150)])
    service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    posted: list[str] = []
    board.page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    await board.go("kb/sent")
    await board.until(board.page.locator(".drop"), "Drop files or folders here")
    async with held(board.page, re.compile(at)) as route:
        await drop(board, folder)
        passing = await route
        await board.until(board.page.locator(".drop"), "Sending 0 of 150 files…")
        stop = board.page.locator(".drop").get_by_role("button", name="Stop")
        await stop.click()
        await board.until(board.page.locator(".drop"), "Stopped: 0 of 150 files sent.")
        if passing.request.method == "GET":
            await passing.continue_()
        await stop.wait_for(state="hidden")
    assert (len(posted), uris(service, "sent")) == (int(passing.request.method == "POST"), set())


async def test_what_is_dropped_while_others_are_sent_is_sent_after_them(board: Board, service: Service) -> None:
    first, second = written(service.here / "first", ["a.md"]), written(service.here / "second", ["b.md"])
    service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    await board.go("kb/sent")
    await board.until(board.page.locator(".drop"), "Drop files or folders here")
    async with held(board.page, "**/documents") as route:
        await drop(board, first)
        passing = await route
        await board.until(board.page.locator(".drop"), "Sending 1 file…")
        await drop(board, second)
        await board.until(board.page.locator(".drop"), "Sending 0 of 2 files…")
        await passing.continue_()
    await board.until(board.page.locator(".drop"), "2 files sent.")
    assert uris(service, "sent") == {"first/a.md", "second/b.md"}


async def test_a_server_that_is_busy_is_asked_again(board: Board, service: Service) -> None:
    async def busy(route: "Route") -> None:
        await route.fulfill(status=429, content_type="application/problem+json", body='{"detail": "later"}')

    service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    await board.go("kb/sent")
    await board.until(board.page.locator(".drop"), "Drop files or folders here")
    await board.page.route("**/documents", busy, times=1)
    await drop(board, written(service.here / "docs", ["a.md"]))
    await board.until(board.page.locator(".drop"), "1 file sent.")
    assert uris(service, "sent") == {"docs/a.md"}


@pytest.mark.parametrize("width", [360, 1280])
async def test_an_empty_folder_is_told_so(board: Board, service: Service, width: int) -> None:
    await board.page.set_viewport_size({"width": width, "height": 860})
    (service.here / "nothing").mkdir()
    service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    await board.go("kb/sent")
    await board.until(board.page.locator(".drop"), "Drop files or folders here")
    await drop(board, service.here / "nothing", at=(width // 2, 840))
    await board.until(board.page.locator(".drop"), "There is no file in it")
