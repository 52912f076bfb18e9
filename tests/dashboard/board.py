"""The dashboard as one sees it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from tests.stopwatch import patience

if TYPE_CHECKING:
    from playwright.async_api import APIResponse, Browser, ConsoleMessage, Locator, Page, Request, Route

PATIENCE_S = 10
NO_ANSWER = (
    "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE",
    "ERR_CONNECTION_CLOSED", "ERR_CONTENT_LENGTH_MISMATCH", "ERR_SOCKET_NOT_CONNECTED",
)  # fmt: skip
"""What a browser says of a server that is down: no fault of the page."""


def be_patient(page: "Page") -> None:
    """Have it wait as long as a busy machine may need."""
    page.set_default_timeout(1000 * patience(PATIENCE_S))


async def before_saving(page: "Page", method: str, act: Callable[[], Any]) -> None:
    """Let somebody else act while the first request of this method is on its way to the server."""

    waiting = [act]

    async def held(route: "Route") -> None:
        if waiting and route.request.method == method:
            waiting.pop()()
        await route.continue_()

    await page.route("**/api/ingestion/kb/**", held)


async def holds(page: "Page", condition: str, arg: object = None) -> None:
    """Wait until an expression of the page, or of ``arg`` too, is true.

    As a function: text is evaluated anew each time that it is looked at, which the page's security policy forbids the
    second time. So such a wait passes where it need not wait, and fails where it must.
    """
    await page.wait_for_function(f"(arg) => {condition}", arg=arg)


async def stop_the_clock(page: "Page") -> None:
    """Let no timer of the page fire from now on, and nothing be drawn that waits for a frame, but by ``fast_forward``.

    Its clock must be installed: that goes on by itself, and a busy machine lets it go far between two lines of a test.
    """
    from playwright.async_api import Error

    for ahead_s in (1, 3, 9, 27):  # it can be stopped in its future alone, which may have come by then
        try:
            return await page.clock.pause_at(await page.evaluate(f"Date.now() / 1000 + {ahead_s}"))
        except Error:
            continue
    raise AssertionError("the clock of the page could not be stopped")


AGAIN = """async (button) => {
    if (!button.hasAttribute("data-asking")) button.click();
    while (button.getAttribute("aria-disabled") === "true") await new Promise((done) => setTimeout(done, 20));
    button.click();
}"""
"""Press once the question can have been read: it stands for seconds, in which a busy machine may do nothing."""
SETTLED = """async () => {
    await (await fetch("/healthz")).text();
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


@asynccontextmanager
async def held(
    page: "Page", url: "str | re.Pattern[str]", method: str | None = None
) -> AsyncIterator["asyncio.Future[Route]"]:
    """Hold the first request for such an address until the caller lets it go. It is yielded, once it is there."""
    first: asyncio.Future[Route] = asyncio.get_running_loop().create_future()

    async def hold(route: "Route") -> None:
        if first.done() or method not in {None, route.request.method}:
            await route.continue_()
        else:
            first.set_result(route)

    await page.route(url, hold)
    yield first
    await page.unroute(url, hold)


async def let_go(page: "Page", route: "Route", answer: "APIResponse | None" = None) -> None:
    """Let a request that is held go on, or give it the answer that it got before; and wait until that is drawn."""
    async with page.expect_event("requestfinished", lambda request: request == route.request):
        await (route.continue_() if answer is None else route.fulfill(response=answer))
    await page.evaluate(SETTLED)


class Board:
    """A page in a window of its own.

    ``complaints`` are its errors, refusals by its security policy among them; ``streams`` are the live feeds that
    it has asked for.
    """

    def __init__(self, page: "Page", url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.streams: list[str] = []
        be_patient(page)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._listen)
        page.on("request", self._note)

    @classmethod
    @asynccontextmanager
    async def opened(cls, browser: "Browser", url: str, **window: Any) -> AsyncIterator[Self]:
        """A new window without any history; options as Playwright's ``new_context`` takes them."""
        context = await browser.new_context(**({"viewport": {"width": 1280, "height": 860}} | window))
        try:
            yield cls(await context.new_page(), url)
        finally:
            await context.close()

    def _listen(self, message: "ConsoleMessage") -> None:
        down = any(reason in message.text for reason in NO_ANSWER)
        # A refusal of the server is an answer; the page says it in words.
        refused = "the server responded with a status of 4" in message.text
        if message.type in {"error", "warning"} and not (down or refused):
            self.complaints.append(message.text)

    def _note(self, request: "Request") -> None:
        if "/events" in request.url:
            self.streams.append(request.url)

    async def go(self, place: str = "") -> None:
        """Open the page anew, at a place behind the ``#``."""
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.url}/{place and '#/' + place}")

    def row(self, kb_id: str) -> "Locator":
        """A knowledge base in the list."""
        return self.page.locator(f'kb-list [data-kb="{kb_id}"]')

    def phase(self, name: str) -> "Locator":
        """A phase of the run that is shown."""
        return self.page.locator(f'#panel-run phase-status [data-phase="{name}"]')

    @property
    def head(self) -> "Locator":
        """The head of the run that is shown."""
        return self.page.locator("#panel-run phase-status .head")

    def verb(self, name: str) -> "Locator":
        """A button of the run that is shown."""
        return self.head.locator(f'[data-verb="{name}"]')

    async def cancel(self, where: "Locator | None" = None) -> None:
        """Cancel the run that is shown, or the one of a row: the button asks, and a second press does it."""
        button = (self.head if where is None else where).locator('[data-verb="cancel"]')
        await button.click()
        await button.evaluate(AGAIN)

    def tab(self, title: str) -> "Locator":
        return self.page.get_by_role("tab", name=title)

    async def until(self, where: "Locator", text: str) -> None:
        """Wait until a place shows a text, which may be there before, where nobody sees it."""
        await self.expect(where).to_contain_text(text)
        await self.expect(where).to_be_visible()

    def expect(self, where: "Locator") -> Any:
        """What is claimed of a place, which is waited for."""
        from playwright.async_api import expect

        expect.set_options(timeout=1000 * patience(PATIENCE_S))
        return expect(where)

    async def live(self) -> None:
        """Wait until the stream stands: what happens from now on is heard."""
        await self.until(self.page.locator("#connection-word"), "Live")

    async def until_status(self, kb_id: str, word: str) -> None:
        """Wait until the list shows a status."""
        await self.until(self.row(kb_id).locator(".state"), word)
