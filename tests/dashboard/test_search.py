"""Search on the page: parts of passages, by document, with an address, and a way to the place."""

from datetime import date
from urllib.parse import quote

from tests.dashboard.board import Board, holds
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_documents import CHOSEN

SNIPPETS = """async ([text, query]) => {
    const { partOf, shown, wordsOf } = await import("/static/snippet.js");
    const words = wordsOf(query);
    const [from, to] = partOf(text, words);
    const place = document.createElement("div");
    place.append(shown(text.slice(from, to), words));
    return { part: text.slice(from, to), marks: [...place.querySelectorAll("mark")].map((mark) => mark.textContent) };
}"""

SHOWN = """async ([text, query]) => {
    const { shown, wordsOf } = await import("/static/snippet.js");
    const place = document.createElement("div");
    place.append(...[shown(text, wordsOf(query))].flat());
    return place.textContent.replace(/\\s+/g, " ").trim();
}"""


async def test_a_query_has_an_address_and_a_click_opens_the_document_at_the_place(
    board: Board, service: Service
) -> None:
    docs = service.here / "docs"
    write_documents(docs, 4)
    body = "\n\n".join(f"Filling number {n} is about nothing at all, at some length." for n in range(60))
    (docs / "whales.md").write_text(f"# Whales\n\n{body}\n\nThe **narwhal** has a tusk.\n\n{body}\n")
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    page = board.page
    await board.go("kb/docs")
    await board.until(page.locator(".run-line"), "Completed")
    await page.get_by_label("Search in docs").fill("narwhal tusk")
    await page.keyboard.press("Enter")
    first = page.locator(".found").first
    await board.until(first.locator("h3"), "Whales")
    assert page.url.endswith("#/kb/docs/search?q=narwhal+tusk")
    assert await first.locator("strong mark").first.inner_text() == "narwhal"
    score = first.locator(".score").first
    await board.until(score, "lose")
    assert (await score.get_attribute("title") or "").startswith("Score 0.")
    assert await page.locator(".found h3", has_text="Whales").count() == 1
    await first.locator(".passage").first.click()
    await board.until(page.locator(".text .markdown"), "narwhal")
    await holds(page, f"({CHOSEN})().includes('has a tusk')")
    await page.go_back()
    await board.until(page.locator(".found h3").first, "Whales")
    await board.go(f"kb/docs/search?q={quote('zyzzyva quagga')}")
    await board.until(page.locator(".search .told"), "None is close")


async def test_what_is_shown_of_a_passage_is_round_the_match(board: Board) -> None:
    await board.go()
    filling = "Words that nobody has asked for stand here in a row. " * 12
    text = f"{filling}\nRelease 1.2.3-rc1 pauses\n{filling}"
    for query, marks in (
        ("1.2.3-rc1", ["1.2.3-rc1"]), ("pausing the release", ["Release", "pauses"]), ("how is it with C++ and (", []),
    ):  # fmt: skip
        told = await board.page.evaluate(SNIPPETS, [text, query])
        assert told["marks"] == marks, query
        assert len(told["part"]) < 400
    told = await board.page.evaluate(SNIPPETS, ["重跑gen-itgc后的结果", "重跑 gen-itgc"])
    assert told["marks"] == ["重跑", "gen-itgc"]


async def test_what_a_cut_leaves_of_a_table_is_shown_as_text(board: Board, service: Service) -> None:
    await board.go()
    cut = "… |**Find points of failure**, early.|You can **look** at them. |\n|**Build self-preservation …"
    shown = await board.page.evaluate(SHOWN, [cut, "failure"])
    assert shown == "… Find points of failure, early. · You can look at them. Build self-preservation …"
    code = "if (a || b) return a | b;"
    assert await board.page.evaluate(SHOWN, [code, "return"]) == code
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    assert "|" not in await board.page.evaluate(SHOWN, [table, "a"])


async def test_a_search_is_narrowed_to_documents_and_to_words_and_has_that_in_its_address(
    board: Board, service: Service
) -> None:
    docs = service.here / "docs"
    (docs / "guide").mkdir(parents=True)
    for name, author in (("guide/tusks.md", "Ann"), ("guide/teeth.md", "Bob"), ("notes.md", "Ann")):
        (docs / name).write_text(
            f"---\nauthor: {author}\nyear: 1851\ndraft: true\n---\n# {name}\n\nThe narwhal has a tusk.\n"
        )
    service.put("docs", "docs")
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["status"] == "completed")
    page = board.page
    await board.go("kb/docs/search?q=narwhal")
    titles = page.locator(".found h3")
    await board.until(page.locator(".search .told"), "in 3 documents")
    where = page.get_by_label("Only in documents")
    for text, told in (
        ("guide/*", "in 2 documents"),
        ("author=Ann", "in 2 documents"),
        ("year = 1851", "in 3 documents"),
        ("teeth", "in 1 document,"),
        ("author=Zoe", "Nothing found in these documents"),
        ("draft=yes", "in 3 documents"),
        (f"size={(docs / 'notes.md').stat().st_size}", "in 1 document,"),
        (f"indexed_at={date.today():%Y}", "in 3 documents"),
        ("indexed_at=2001-02-03", "Nothing found in these documents"),
        ("size=large", "What the documents are narrowed to must be a number of bytes"),
    ):
        await where.fill(text)
        await where.press("Enter")
        await board.until(page.locator(".search .told"), told)
    await where.fill("guide/*")
    await page.get_by_label("How to search").select_option("words")
    await holds(page, "location.hash.endsWith('search?q=narwhal&mode=words&where=guide%2F*')")
    await board.until(page.locator(".search .told"), "in 2 documents")
    await page.go_back()
    await holds(page, "!location.hash.includes('mode=words')")
    await board.expect(page.get_by_label("How to search")).to_have_value("hybrid")
    await page.go_forward()
    await board.expect(page.get_by_label("How to search")).to_have_value("words")
    await board.expect(where).to_have_value("guide/*")
    await board.until(titles.first, "guide/")
    asked = page.url
    await page.get_by_role("tab", name="Documents").click()
    await page.get_by_role("tab", name="Search").click()
    assert page.url == asked
