"""Accessibility, as axe sees it, in every state and both colours."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents

if TYPE_CHECKING:
    from playwright.async_api import Browser

RUN = """async () => {
    await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => null)));
    const runOnly = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await axe.run(document, { runOnly });
    const told = (nodes) => nodes.map((node) => node.html + node.failureSummary).join(" | ");
    return violations.map(({ id, nodes }) => `${id}: ${told(nodes)}`);
}"""

SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll("dialog[open], [open] .fields, article")]
    .filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core: PHASEFLOW_AXE names the file, else it is looked for in node_modules."""
    named = os.environ.get("PHASEFLOW_AXE", str(Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"))
    if not Path(named).is_file():
        pytest.skip("axe-core is not installed (npm install axe-core, or PHASEFLOW_AXE)")
    return Path(named).read_text(encoding="utf-8")


async def faults(board: Board, axe: str) -> Any:
    await board.page.evaluate(axe)
    return await board.page.evaluate(RUN)


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 380)])
async def test_no_state_has_a_fault(
    browser: "Browser", service: Service, axe: str, colours: Literal["light", "dark"], width: int
) -> None:
    write_documents(service.here / "docs", 12)
    (service.here / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    window = {"color_scheme": colours, "viewport": {"width": width, "height": 900}, "reduced_motion": "reduce"}
    async with Board.opened(browser, service.url, **window) as board:
        page = board.page
        await board.go()
        await page.locator(".welcome").wait_for(state="visible")
        await page.locator(".welcome [data-new]").click()
        await page.get_by_role("button", name="Create").click()
        await board.until(page.locator("#e-name"), "small letters")
        assert await faults(board, axe) == []
        service.put("docs", "docs")
        service.call("POST", "kb/docs/start", {})
        service.until("docs", lambda status: status["status"] == "completed")
        service.put("held", "docs")
        service.call("POST", "kb/held/start", {"hold": ["embedding"]})
        service.until("held", lambda status: status["status"] == "paused")
        for place in ("", "service", "kb/held", "kb/docs/search", "kb/docs/documents?status=failed"):
            await board.go(place)
            await board.until(page.locator(".connection"), "Live")
            if place.endswith("search"):
                await page.get_by_label("Search in docs").fill("reliability")
                await page.keyboard.press("Enter")
                await board.until(page.locator(".hit").first, "characters")
            assert await faults(board, axe) == [], place
        await page.get_by_role("button", name="Delete", exact=True).click()
        assert await faults(board, axe) == []
        await page.get_by_role("button", name="Keep it").click()
        service.call("PUT", "kb/sent", {"source": {"type": "upload"}})
        await board.go("kb/sent/documents")
        await page.locator(".drop input").first.set_input_files(sorted((service.here / "docs").glob("*.md")))
        await board.until(page.locator("#panel-documents .documents > .told"), "12 documents")
        assert await faults(board, axe) == []
        await page.get_by_role("link", name="capacity-003.md").click()
        await board.until(page.locator(".text .told"), "passage")
        assert await faults(board, axe) == []
        await page.get_by_role("button", name="Remove").click()
        assert await faults(board, axe) == []


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 360)])
async def test_no_form_has_a_fault_or_scrolls_sideways(
    browser: "Browser", service: Service, axe: str, colours: Literal["light", "dark"], width: int
) -> None:
    write_documents(service.here / "docs", 1)
    window = {"color_scheme": colours, "viewport": {"width": width, "height": 900}, "reduced_motion": "reduce"}
    async with Board.opened(browser, service.url, **window) as board:
        page = board.page
        await board.go()
        await page.locator(".welcome [data-new]").click()
        await page.get_by_role("button", name="Browse").click()
        await board.until(page.locator(".folder-picker"), "docs")
        await page.get_by_role("button", name="Add a source").click()
        await page.get_by_text("Passages and vectors").click()
        await page.get_by_text("An embedding server").click()
        await page.get_by_role("button", name="Test").click()
        await board.until(page.locator(".try"), "Enter the address")
        assert await faults(board, axe) == []
        assert await page.evaluate(SIDEWAYS) == []
        service.put("docs", "docs")
        service.call("POST", "kb/docs/start", {})
        service.until("docs", lambda status: status["status"] == "completed")
        [one] = service.call("GET", "kb/docs/documents")["items"]
        await board.go(f"kb/docs/documents/{one['id']}")
        await page.get_by_role("button", name="Metadata").click()
        await page.get_by_role("button", name="Add a name").click()
        assert await faults(board, axe) == []
        assert await page.evaluate(SIDEWAYS) == []


async def test_marks_in_quotations_can_be_read_and_links_be_hit(browser: "Browser", service: Service, axe: str) -> None:
    (service.here / "docs").mkdir()
    for name in ("a", "b"):
        (service.here / "docs" / f"{name}.md").write_text(f"# {name}\n\n> A word about **reliability** in {name}.\n")
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    for width in (360, 640):
        window = {"color_scheme": "dark", "viewport": {"width": width, "height": 900}, "reduced_motion": "reduce"}
        async with Board.opened(browser, service.url, **window) as board:
            await board.go("kb/docs/search?q=reliability")
            await board.page.locator("blockquote mark").first.wait_for()
            assert await faults(board, axe) == []
            await board.go("kb/docs/documents")
            await board.until(board.page.locator("#panel-documents .documents > .told"), "2 documents")
            assert await faults(board, axe) == []
