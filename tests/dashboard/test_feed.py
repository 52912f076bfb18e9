"""The module that reads the feed in any page, behind proxies and over restarts."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import be_patient, holds, stop_the_clock
from tests.dashboard.nginx import Nginx, absence
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_verbs import remote
from tests.docs.pages import blocks, text_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

LISTEN = """async (options) => {
    const { Feed } = await import("/feed.js");
    window.heard = { seqs: [], statuses: [], connections: [], refusals: [], resets: [] };
    const told = (list) => (value) => list.push(value);
    window.feed = new Feed({
        ...options, transition: ({ seq }) => heard.seqs.push(seq), status: ({ status }) => heard.statuses.push(status),
        connection: told(heard.connections), refused: told(heard.refusals), reset: told(heard.resets),
    });
    feed.open();
}"""
PIECES = """async (text) => {
    const bytes = new TextEncoder().encode(text);
    const pieces = new ReadableStream({ async pull(into) {
        if (this.at === bytes.length) return new Promise(() => null);
        into.enqueue(bytes.slice(this.at ?? 0, this.at = (this.at ?? 0) + 1));
    } });
    window.fetch = async () => new Response(pieces, { headers: { "Content-Type": "text/event-stream" } });
}"""
REFUSE_AND_OPEN = """() => {
    const real = window.fetch;
    const said = async () => {
        window.fetch = real;
        feed.open();
        return { code: "kb_not_found", detail: "of before" };
    };
    const headers = new Headers({ "Content-Type": "application/problem+json" });
    window.fetch = async () => ({ ok: false, status: 404, headers, json: said });
}"""
THROW = """() => {
    feed.listeners.transition = ({ seq }) => {
        heard.seqs.push(seq);
        throw new Error("of the page");
    };
}"""
PLAIN = """() => {
    window.plain = new EventSource("/api/ingestion/events");
    return new Promise((opened) => { plain.onopen = opened; });
}"""


@pytest.fixture
async def page(browser: "Browser") -> "AsyncIterator[Page]":
    """A page of nobody: no element of the dashboard is on it."""
    context = await browser.new_context()
    opened = await context.new_page()
    be_patient(opened)
    yield opened
    await context.close()


@pytest.fixture
def nginx(tmp_path: Path, service: Service) -> Iterator[Nginx]:
    reason = absence()
    if reason:
        pytest.skip(reason)
    with Nginx(tmp_path, service.port) as running:
        yield running


async def listen(page: "Page", url: str, **options: Any) -> None:
    """Open the feed on a page of the server that shows nothing."""
    await page.goto(f"{url}/healthz")
    await page.evaluate(LISTEN, options)


def log_of(service: Service, kb_id: str) -> list[int]:
    job_id = service.call("GET", f"kb/{kb_id}/status")["job_id"]
    return [one["seq"] for one in service.call("GET", f"jobs/{job_id}/transitions")["items"]]


async def test_each_transition_comes_once_in_order_through_a_proxy_that_answers_502(
    page: "Page", service: Service, nginx: Nginx, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 10)
    service.put("docs", "docs", remote(embedding))
    await listen(page, nginx.url)
    await page.evaluate(PLAIN)
    await holds(page, "heard.connections.at(-1) === 'live'")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["phase_details"][2]["status"] == "running")
    for end in (service.kill, service.stop):
        async with page.expect_response(lambda answer: answer.status == 502):
            end()
            await holds(page, "heard.connections.at(-1) === 'lost'")
        # An EventSource gives up at the first answer that is no feed, which is why there is the module.
        await holds(page, "plain.readyState === EventSource.CLOSED")
        service.start()
        await holds(page, "heard.connections.at(-1) === 'live'")
    embedding.gate.set()
    await holds(page, "heard.statuses.at(-1) === 'completed'")
    log = log_of(service, "docs")
    await holds(page, "heard.seqs.length >= arg", len(log))
    assert await page.evaluate("heard.seqs") == log


async def test_it_continues_behind_an_id_that_was_kept_and_replays_all_behind_0(page: "Page", service: Service) -> None:
    write_documents(service.here / "docs", 2)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    first = log_of(service, "docs")
    await listen(page, service.url, kb="docs", after="0")
    await holds(page, f"heard.seqs.length === {len(first)}")
    kept = await page.evaluate("feed.close() ?? feed.lastId")
    service.call("POST", "kb/docs/start", {"full": True})
    service.until("docs", lambda status: status["status"] == "completed" and status["job_id"] is not None)
    service.until("docs", lambda _: log_of(service, "docs") != first and len(log_of(service, "docs")) == len(first))
    await listen(page, service.url, kb="docs", after=kept)
    await holds(page, f"heard.seqs.length === {len(first)}")
    assert await page.evaluate("heard.seqs") == log_of(service, "docs")
    assert await page.evaluate("heard.resets") == []


async def test_a_refusal_in_the_words_of_the_service_ends_it(page: "Page", service: Service) -> None:
    await listen(page, service.url, kb="nothing")
    await holds(page, "heard.refusals.length > 0")
    refusal = await page.evaluate("heard.refusals[0]")
    assert (refusal["code"], refusal["status"]) == ("kb_not_found", 404)
    assert await page.evaluate("[feed.leaving, heard.connections]") == [None, []]


async def test_a_refusal_that_comes_once_it_is_open_anew_does_not_end_it(page: "Page", service: Service) -> None:
    await page.goto(f"{service.url}/healthz")
    await page.evaluate(REFUSE_AND_OPEN)
    await page.evaluate(LISTEN, {})
    await holds(page, "heard.connections[0] === 'live'")
    assert await page.evaluate("heard.refusals") == []


async def test_a_token_is_sent_in_a_header(page: "Page", tmp_path: Path) -> None:
    with Service(tmp_path, token="a-token-of-the-tests") as service:  # of this test
        await listen(page, service.url)
        await holds(page, "heard.refusals[0]?.code === 'unauthorized'")
        await listen(page, service.url, headers={"Authorization": f"Bearer {service.token}"})
        await holds(page, "heard.connections[0] === 'live'")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "content_type": "text/plain", "body": "no such backend"},
        {"status": 200, "content_type": "text/html", "body": "<p>We are back soon."},
        {"status": 503, "content_type": "application/problem+json", "body": "{}", "headers": {"Retry-After": "1"}},
        {"status": 429, "content_type": "application/problem+json", "body": "{}"},
    ],
)
async def test_an_answer_that_will_pass_does_not_end_it(page: "Page", service: Service, answer: dict[str, Any]) -> None:
    async def stand_in(route: "Route") -> None:
        await route.fulfill(**answer)

    await page.route("**/events*", stand_in, times=2)
    await listen(page, service.url)
    await holds(page, "heard.connections.at(-1) === 'live'")
    assert await page.evaluate("heard.connections") == ["lost", "lost", "live"]
    assert await page.evaluate("heard.refusals") == []


async def test_a_connection_that_has_died_silently_is_replaced(page: "Page", service: Service) -> None:
    async def say_nothing(route: "Route") -> None:
        """As a peer does that is gone without a word."""

    await page.route("**/events*", say_nothing, times=1)
    await page.clock.install()
    await page.goto(f"{service.url}/healthz")
    await stop_the_clock(page)
    async with page.expect_request("**/events*"):
        await page.evaluate(LISTEN, {})
    await page.clock.fast_forward(44_000)
    assert await page.evaluate("heard.connections") == []
    await page.clock.fast_forward(2_000)
    await holds(page, "heard.connections[0] === 'lost'")
    await page.clock.fast_forward(1_000)
    await holds(page, "heard.connections[1] === 'live'")


async def test_events_are_whole_however_they_are_cut(page: "Page", service: Service) -> None:
    await page.goto(f"{service.url}/healthz")
    sent = [
        ": a comment\r\n\r\n",
        'id: 7-a\r\nevent: status\r\ndata: {"status":\r\ndata: "größer 🙂"}\r\n\r\n',
        'id: 8-a\nevent: transition\ndata: {"seq": 8}\n\n',
        'event:transition\rdata:{"seq": 9}\r\r',
        "id: 10-a\n\n",
        'event: transition\ndata: {"seq": 11}\n',
    ]
    await page.evaluate(PIECES, "".join(sent))
    await page.evaluate(LISTEN, {})
    await holds(page, "feed.lastId === '10-a'")
    assert await page.evaluate("heard.statuses") == ["größer 🙂"]
    assert await page.evaluate("heard.seqs") == [8, 9], "the last one has no end yet"


async def test_a_listener_that_throws_does_not_end_it(page: "Page", service: Service) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await listen(page, service.url)
    await holds(page, "heard.connections[0] === 'live'")
    await page.evaluate(THROW)
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    await holds(page, "heard.statuses.at(-1) === 'completed'")
    log = log_of(service, "docs")
    await holds(page, "heard.seqs.length >= arg", len(log))
    assert await page.evaluate("heard.seqs") == log
    assert len(errors) == len(log)
    assert await page.evaluate("heard.connections") == ["live"]


async def test_the_page_of_the_docs_does_what_it_says(page: "Page", service: Service) -> None:
    [example] = [block.code for block in blocks(text_of("FEED.md")) if block.language == "html"]

    async def stand_in(route: "Route") -> None:
        await route.fulfill(body=example.replace("http://127.0.0.1:8000", service.url), content_type="text/html")

    write_documents(service.here / "notes", 2)
    service.put("notes", "notes")
    await page.route("**/example", stand_in)
    await page.goto(f"{service.url}/example")
    service.call("POST", "kb/notes/start", {})
    await holds(page, "document.querySelector('#log').textContent.endsWith('job completed\\n')")
    told = (await page.inner_text("#log")).split("\n")
    assert told[0] == "loading running"
    assert len(told) - told.count("") == len(log_of(service, "notes"))
    message = service.call("GET", "kb/notes/status")["message"]
    await holds(page, "document.querySelector('#state').innerText === arg", message)
