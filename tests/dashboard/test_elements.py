"""The elements in a page that is not ours."""

from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents

HOST = """<!doctype html><html lang="en"><title>Host</title>
<phase-status kb="docs"></phase-status><phase-status kb="docs" readonly></phase-status><kb-list></kb-list>
<script type="module" src="/static/phase-status.js"></script><script type="module" src="/static/kb-list.js"></script>"""
LISTEN = """() => {
    window.heard = [];
    for (const name of ["phaseflow-status", "kb-select"]) {
        document.addEventListener(name, (event) => window.heard.push([name, event.detail.kb_id]));
    }
}"""


async def test_the_elements_work_alone_share_a_stream_and_tell_what_happens(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 5)
    service.put("docs", "docs")
    page = board.page
    await page.route("**/host", lambda route: route.fulfill(body=HOST, content_type="text/html"))
    await page.goto(f"{service.url}/host")
    await page.evaluate(LISTEN)
    live, readonly = page.locator("phase-status").nth(0), page.locator("phase-status").nth(1)
    await live.locator('.head [data-verb="start"]').click()
    await board.until(live.locator(".head"), "Completed")
    await board.until(readonly.locator(".head"), "Completed")
    assert await readonly.locator(".verb:visible").count() == 0
    await page.locator("kb-list .opener").click()
    heard = await page.evaluate("() => window.heard")
    assert ["phaseflow-status", "docs"] in heard
    assert heard.count(["kb-select", "docs"]) == 1
    assert len(board.streams) == 1
