"""HTML as Markdown, and HTML that bites."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseflow.components.extraction import Extracted, extract
from phaseflow.domain.errors import DocumentError
from tests.matrices import first_of_each, together
from tests.stopwatch import fail_soon


def page(html: str) -> Extracted:
    return extract(html.encode(), "folder/page.html")


@together(
    ("html", "markdown"),
    [
        ("<h1>One</h1><h3>Three</h3>text", "# One\n\n### Three\n\ntext"),
        ("<p>a\n  b</p><p>c</p>", "a b\n\nc"),
        ("a<br>b", "a\nb"),
        ("<p>a <b>bo</b>ld <a href=/x>link</a>.", "a bold link."),
        ("<ul><li>a<li><p>b</p></li><li>c<ul><li>d</ul></ul>e", "- a\n- b\n\n- c\n  - d\n\ne"),
        ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
        ("<pre><code>if x:\n  y\n</code></pre>z", "```\nif x:\n  y\n```\n\nz"),
        ("<pre>```</pre>", "````\n```\n````"),
        ("<table><tr><th>a<th>b<tr><td>1|2<td>x<br>y</table>", "| a | b |\n| --- | --- |\n| 1\\|2 | x y |"),
        ("<table><caption>C</caption><tr><td>a</table>", "C\n\n| a |\n| --- |"),
        ("<table><tr><td><h2>Layout</h2><td><table><tr><td>x</table></table>", "## Layout\n\n| x |\n| --- |"),
        (
            "<table><tr><th colspan=2>wide<th>c<tr><td rowspan=2>tall<td>b<td>c<tr><td>d<td>e</table>",
            "| wide |  | c |\n| --- | --- | --- |\n| tall | b | c |\n|  | d | e |",
        ),
        (
            "<table><tr><td>a<td rowspan=9>b<tr><td>c<tr><td>d</table>",
            "| a | b |\n| --- | --- |\n| c |  |\n| d |  |",
        ),
        ("<table><tr><td rowspan=0>a<td>b<tr><td>c<tr><td>d</table>", "| a | b |\n| --- | --- |\n|  | c |\n|  | d |"),
        (
            "<table><tbody><tr><td rowspan=0>a<td>b<tr><td>c<tbody><tr><td>d<td>e</table>",
            "| a | b |\n| --- | --- |\n|  | c |\n| d | e |",
        ),
        (
            "<table><tr><th>a<th>b<tr><td>c<td><ul><li>d<li>e</ul></table>",
            "| a | b |\n| --- | --- |\n| c | - d - e |",
        ),
        ("<ol start=5><li>five<li>six</ol>", "5. five\n6. six"),
        ("<frameset><frame src=x></frameset><noframes><body><p>no <b>frames</b></noframes>", "no frames"),
        (
            "<math><semantics><mi>x</mi><annotation encoding='application/x-tex'>x^2</annotation></semantics></math>",
            "x^2",
        ),
        ("<dl><dt>T<dd>D</dl>", "T\nD"),
        ("<p>x<img alt='a picture' src=y></p>", "xa picture"),
        ("<h2> </h2><li></li>x", "x"),
        ("a&amp;b &lt; &#8364;", "a&b < €"),
    ],
)
def test_the_form_of_a_page_becomes_markdown(html: str, markdown: str) -> None:
    assert page(html).text == markdown


@together(
    "html",
    [
        "<script>no</script>yes",
        "<style>no</style>yes",
        "<nav>no</nav>yes",
        "<div role=navigation>no</div>yes",
        "<template><p>no</template>yes",
        "<!-- no -->yes",
        "yes<a class=headerlink href=#x>¶</a>",
        "<p hidden>no</p>yes",
        "<p style='color:red; DISPLAY : none !important'>no</p><p style='overflow:hidden'>yes",
        "yes<span style=visibility:hidden>no</span>",
        "yes<footer>no</footer>",
        "<header>no</header><main>yes</main>",
    ],
)
def test_what_is_not_the_content_is_left_out(html: str) -> None:
    assert page(html).text == "yes"


XHTML = "<html xmlns='http://www.w3.org/1999/xhtml'>"


@together(
    ("start", "empty"),
    product(
        [XHTML, f"<?xml version='1.0'?>\n<!DOCTYPE html>\n<!-- x -->{XHTML}"],
        ["<script src='a.js'/>", "<title />", "<iframe/>", "<textarea name='x'/>", "<br/>"],
    ),
)
def test_an_element_that_closes_itself_in_xhtml_does_not_swallow_what_follows(start: str, empty: str) -> None:
    assert page(f"{start}<head>{empty}</head><body><p>text</p></body></html>").text == "text"


def test_a_main_element_that_is_only_a_shell_is_not_taken_for_the_page() -> None:
    assert page("<p>the real and much longer text</p><main>Loading</main>").text.startswith("the real")


def test_a_page_of_nothing_but_navigation_still_has_its_text() -> None:
    assert page("<nav><a href=x>one</a></nav>").text == "one"


@together(
    ("html", "title"),
    [
        ("<title> A\n title </title><h1>x</h1>", "A title"),
        ("<title></title><h1>x <i>y</i></h1>", "x y"),
        ("<p>z", "page.html"),
    ],
)
def test_the_title_is_the_page_s_own_else_its_heading_else_its_name(html: str, title: str) -> None:
    assert page(html).title == title


HOSTILE: dict[str, Callable[[], str]] = {
    "nested elements": lambda: "<div>" * 200_000,
    "attributes": lambda: "<p " + " ".join(f"a{number}=1" for number in range(100_000)) + ">x",
    "attributes without a blank": lambda: "<p " + "".join(f"a{number}='1'" for number in range(100_000)) + ">x",
    "formatting": lambda: "".join(f"<p><font color={number}>" for number in range(5_000)),
    "nested lists": lambda: "<ul><li>" * 50_000,
    "wrong ends": lambda: "<div></b>" * 100_000,
    "tags": lambda: "<br>" * 600_000,
}


@pytest.mark.parametrize("kind", first_of_each(HOSTILE, lambda kind: kind.startswith("nested") or kind))
async def test_a_page_that_would_keep_the_parser_busy_is_refused(kind: str) -> None:
    with fail_soon(5), pytest.raises(DocumentError) as caught:
        await anyio.to_thread.run_sync(page, HOSTILE[kind](), abandon_on_cancel=True)
    assert caught.value.code == "too_complex"


HARMLESS = {
    "deep but small": "<div>" * 3000 + "x" + "</div>" * 3000,
    "paragraphs that are never closed": "<p>x" * 20_000,
    "rows that are never closed": "<table>" + "<tr><td>x" * 20_000,
    "formatting that is closed": "<p><font color=red>x</font>" * 20_000,
    "angle brackets": "x" + "<" * 1_000_000,
    "open comments": "x" + "<!--" * 300_000,
    "open quotes": "x" + "<a b=\"<a b='" * 1,
    "nested tables": "<table><tr><td>" * 1500 + "x",
    "cells that span everything": "<table><tr>" + "<td colspan=99 rowspan=9999>x" * 10_000 + "<tr>" * 10_000,
}


@pytest.mark.parametrize("kind", first_of_each(HARMLESS, lambda kind: ("paragraphs" in kind, "formatting" in kind)))
async def test_a_sloppy_page_is_read_in_good_time(kind: str) -> None:
    with fail_soon(5):
        document = await anyio.to_thread.run_sync(page, HARMLESS[kind], abandon_on_cancel=True)
    assert "x" in document.text


def test_a_page_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseflow.components.extraction.html.MAX_CHARS", 10)
    with pytest.raises(DocumentError) as caught:
        page("<p>0123456789")
    assert caught.value.code == "too_large"


TAGS = "<p> </p> <table> <tr> <td> </td> </table> <ul> <ol> <li> </ul> <pre> </pre> <h1> </h1> <b> <br>"
TOKENS = st.sampled_from([*TAGS.split(), "x"])


@given(st.lists(TOKENS, max_size=40))
def test_every_word_of_a_broken_page_is_kept(tokens: list[str]) -> None:
    text = page(" ".join(tokens)).text
    assert text.count("x") == tokens.count("x")


@pytest.mark.thorough
def test_the_pages_of_a_real_site_are_read_without_their_chrome(corpora: Path) -> None:
    for path in sorted((corpora / "site/www").rglob("*.html")):
        document = extract(path.read_bytes(), path.name)
        assert "# " in document.text, path
        assert document.title.lower().endswith("documentation"), path
        assert "Report a Bug" not in document.text, path
        assert "¶" not in document.text, path
