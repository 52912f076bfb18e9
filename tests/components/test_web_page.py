from phaseflow.components.extraction import extract
from phaseflow.components.sources.web.sitemap import Sitemap
from tests.components.web_site import sitemap

FRAME = "<header><a>Example Inc.</a><ul><li>Products</li></ul></header>"
FOOT = "<div><footer>© Example, imprint</footer></div>"


def text_of(body: str) -> str:
    return extract(f"<!doctype html><title>T</title><body>{body}</body>".encode(), "page.html").text


def test_head_and_foot_of_the_site_are_no_text_of_the_page() -> None:
    assert text_of(f"<div>{FRAME}</div><h1>Title</h1><p>Words.</p>{FOOT}") == "# Title\n\nWords."


def test_head_and_foot_of_an_article_belong_to_it() -> None:
    text = text_of("<article><header><h1>Title</h1>By Ada</header><p>Words.</p><footer>Note</footer></article>")
    assert text.split("\n\n") == ["# Title", "By Ada", "Words.", "Note"]


def test_a_head_with_the_only_title_of_the_page_stays() -> None:
    assert text_of("<header><nav>Menu</nav><h1>Title</h1></header><p>Words.</p>") == "# Title\n\nWords."


def test_a_page_that_is_nothing_but_a_frame_keeps_its_text() -> None:
    assert "Products" in text_of(FRAME)


def test_a_page_about_sitemaps_is_none() -> None:
    assert Sitemap.is_in(sitemap("http://a.test/").body)
    assert Sitemap.is_in(sitemap("http://a.test/", index=True, packed=True).body)
    assert Sitemap.is_in(b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x --><?style y?>\n<s:urlset>")
    assert not Sitemap.is_in(b"<html><body><pre><urlset></pre></body></html>")
    assert not Sitemap.is_in(b"<?a?>" * 800 + b"<x>")
    assert not Sitemap.is_in(b"\x1f\x8bno gzip")
