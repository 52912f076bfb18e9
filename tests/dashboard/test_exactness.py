"""What the page takes and says exactly: names, patterns, refusals, marks, and a session in several windows."""

from pathlib import Path
from typing import TYPE_CHECKING

from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_access import TOKEN
from tests.dashboard.test_documents import indexed, open_one
from tests.dashboard.test_form import opened, saved

if TYPE_CHECKING:
    from playwright.async_api import Browser

MARKS = """async ([text, query]) => {
    const { marked, wordsOf } = await import("/static/snippet.js");
    const parts = marked(text, wordsOf(query));
    const whole = parts.map((part) => part.textContent ?? part).join("");
    return [whole === text, parts.filter((part) => part instanceof Element).map((part) => part.textContent)];
}"""
REFUSALS = """async (problems) => {
    const { ApiError } = await import("/static/api.js");
    return problems.map(([field, detail]) => new ApiError({ title: "", code: "", field, detail }, 422).message);
}"""
HOST = """<!doctype html><html lang="en"><title>Host</title>
<phase-status kb="nosuch"></phase-status><phase-status kb="docs" job="0123456789abcdef0123456789abcdef"></phase-status>
<script type="module" src="/static/phase-status.js"></script>"""


async def test_any_name_of_metadata_is_kept(board: Board, service: Service) -> None:
    await indexed(board, service, 1)
    await open_one(board, "reliability-000.md")
    form = board.page.locator("form.metadata")
    await board.page.get_by_role("button", name="Metadata").click()
    await form.locator("[name=name]").fill("__proto__")
    await form.locator("[name=value]").fill("kept")
    await form.get_by_role("button", name="Save").click()
    await board.until(board.page.locator(".standing-card .facts"), "__proto__")
    [one] = service.call("GET", "kb/docs/documents")["items"]
    assert one["metadata"] == {"__proto__": "kept"}


async def test_a_form_that_nobody_has_touched_saves_what_was_there(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 1)
    source = {"type": "folder", "path": "docs", "include": ["*.md", " spaced.md", "a,b.md"], "exclude": ["x "]}
    before = service.call("PUT", "kb/docs", {"source": source})["source"]
    assert before["include"] == source["include"]
    await opened(board, "kb/docs")
    await saved(board)
    assert service.call("GET", "kb/docs")["source"] == before


async def test_a_refusal_of_a_list_says_which_of_its_lines(board: Board, service: Service) -> None:
    page = board.page
    await opened(board)
    await page.locator("#f-name").fill("web")
    await page.get_by_text("The web").click()
    await page.locator("#f-urls").fill("https://example.org/\nhttps://\nhttps://example.com/")
    await page.get_by_role("button", name="Create").click()
    await board.until(page.locator("#e-urls"), "“https://” ")


async def test_refusals_call_things_as_the_page_does(board: Board, service: Service) -> None:
    service.put("docs", ".")
    await board.go()
    told = await board.page.evaluate(
        REFUSALS,
        [
            ["q", "q: must have at most 2000 characters"],
            ["document_id", "document_id: must be an id"],
            ["settings.some_thing", "settings.some_thing: must be a number"],
            ["settings", "settings: chunk_overlap (100) must be smaller than chunk_size (50)"],
            [None, "the file 'chunk_size' or a/chunk_size is not there"],
        ],
    )
    assert told == [
        "the question must have at most 2000 characters",
        "the document must be an id",
        "the some thing must be a number",
        "settings: the overlap (100) must be smaller than the passage length (50)",
        "the file 'chunk_size' or a/chunk_size is not there",
    ]
    await opened(board, "kb/docs")
    await board.page.get_by_text("Passages and vectors").click()
    await board.page.locator("#f-chunk-size").fill("50")
    await board.page.locator("#f-chunk-overlap").fill("100")
    await board.page.locator("#kb-form").get_by_role("button", name="Save").click()
    await board.until(
        board.page.locator("#e-chunk-overlap"), "The overlap (100) must be smaller than the passage length (50)"
    )


async def test_words_are_marked_whatever_their_accents_and_case(board: Board) -> None:
    await board.go()
    for text, query, marks in (
        ("In İstanbul and ISTANBUL.", "istanbul", ["İstanbul", "ISTANBUL"]),
        ("Un e\u0301te\u0301, un été, l'ETE", "ete", ["e\u0301te\u0301", "été", "ETE"]),
        ("\N{ROCKET} naïve or naive", "Naïve", ["naïve", "naive"]),
        ("Мой дом и мои дома", "мой", ["Мой"]),
        ("がく and かく", "がく", ["がく"]),
    ):
        assert await board.page.evaluate(MARKS, [text, query]) == [True, marks], query


async def test_an_element_says_that_what_it_names_is_not_there(board: Board, service: Service) -> None:
    service.put("docs", ".")
    page = board.page
    await page.route("**/host", lambda route: route.fulfill(body=HOST, content_type="text/html"))
    await page.goto(f"{service.url}/host")
    gone, past = page.locator("phase-status").nth(0), page.locator("phase-status").nth(1)
    await board.until(gone.locator(".head"), "There is no knowledge base nosuch.")
    await board.until(past.locator(".head"), "No job has the id")
    for one in (gone, past):
        assert "Never run" not in await one.locator(".head").inner_text()


async def test_who_logs_in_again_in_one_window_is_in_in_all(browser: "Browser", tmp_path: Path) -> None:
    with Service(tmp_path, token=TOKEN) as service:
        service.put("docs", ".")
        async with Board.opened(browser, service.url) as board:
            await board.go()
            other = Board(await board.page.context.new_page(), service.url)
            await other.go()
            await other.page.get_by_label("Token").wait_for()
            await board.page.get_by_label("Token").fill(TOKEN)
            await board.page.keyboard.press("Enter")
            await other.until_status("docs", "Never run")
            await other.until(other.page.locator(".connection"), "Live")
