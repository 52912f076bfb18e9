"""What sites do that no standard foresees, or that is easily got wrong: one small site each."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import pytest

from phaseflow.components.protocols import Document, Entry, Skipped, Unchanged
from phaseflow.domain.errors import DocumentError, TransientError
from tests.components.web_site import Names, Reply, WebSite, crawl, html, moved, robots, sitemap
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon

A, B = html(), html()
XML = "text/xml"


async def found(site: WebSite, *paths: str) -> list[str]:
    """The paths of the documents, in order."""
    with fail_soon(20):
        done = await crawl(site.loader(*paths))
    return sorted(uri.removeprefix(site.url) for uri in done.of(Document))


@pytest.mark.parametrize(
    ("location", "target"),
    [("/caf\u00c3\u00a9", "/caf%C3%A9"), ("/caf\u00e9", "/caf%E9"), ("/caf%c3%a9", "/caf%C3%A9")],
)
async def test_a_redirect_may_be_written_in_bytes_beyond_ascii(location: str, target: str) -> None:
    async with WebSite({"/": moved(location), target: A}) as site:
        assert await found(site) == [target]


async def test_old_links_to_a_site_that_has_moved_lead_to_its_new_pages() -> None:
    async with WebSite() as site:
        old, new = partial(site.at, "a.test"), partial(site.at, "www.a.test")
        site.pages = {f"a.test{path}": moved(new(path), 301) for path in ("/", "/robots.txt", "/late", "/x")}
        site.pages |= {
            "www.a.test/": html(old("/late")),
            "www.a.test/late": html(),
            "www.a.test/robots.txt": robots(""),
        }
        with fail_soon(10):
            done = await crawl(site.loader(old("/"), resolver=Names(), allow_private=["127.0.0.1"]))
        assert list(done.documents) == [new("/"), new("/late")]


@pytest.mark.parametrize("with_robots", [False, True])
async def test_the_sitemaps_of_a_site_that_a_given_page_has_moved_to_are_read_too(with_robots: bool) -> None:
    async with WebSite() as site:
        old, new = partial(site.at, "a.test"), partial(site.at, "www.a.test")
        site.pages = {f"a.test{path}": moved(new(path), 301) for path in ("/", "/x", *["/robots.txt"] * with_robots)}
        site.pages |= {f"www.a.test/{name}": html() for name in ("", "a", "b", "c")}
        site.pages |= {
            "www.a.test/robots.txt": robots(f"Sitemap: {new('/map.xml')}\nUser-agent: *\nDisallow: /c"),
            "www.a.test/map.xml": sitemap(new("/a"), new("/c"), "http://b.test/x"),
            "www.a.test/sitemap.xml": sitemap(new("/b")),
        }
        options: dict[str, Any] = {"resolver": Names(), "allow_private": ["127.0.0.1"]}
        with fail_soon(10):
            done = await crawl(site.loader(old("/"), **options))
        assert sorted(done.documents) == [new("/"), new("/a"), new("/b")]
        assert (site.paths["/map.xml"], site.paths["/sitemap.xml"]) == (1, 1 if with_robots else 2)
        with fail_soon(10):
            done = await crawl(site.loader(old("/"), max_depth=1, **options))
        assert sorted(done.documents) == [new("/")]


@pytest.mark.parametrize("name", ["phase", "flow", "phaseflow-images", "aphaseflow", "phaseflow2"])
async def test_rules_for_a_crawler_with_a_like_name_are_not_ours(name: str) -> None:
    rules = f"User-agent: {name}\nDisallow: /a\n\nUser-agent: *\nDisallow: /b\n"
    async with WebSite({"/robots.txt": robots(rules), "/": html("/a", "/b"), "/a": A, "/b": B}) as site:
        assert await found(site) == ["/", "/a"]


@pytest.mark.parametrize(
    "line", ["User-agent: PhaseFlow/1.0", "useragent:phaseflow # ours", "user agent PHASEFLOW bot"]
)
async def test_rules_for_us_are_ours_however_they_are_addressed(line: str) -> None:
    rules = f"User-agent: *\nDisallow: /b\n\n{line}\nDisallow: /a\n"
    async with WebSite({"/robots.txt": robots(rules), "/": html("/a", "/b"), "/a": A, "/b": B}) as site:
        assert await found(site) == ["/", "/b"]


RULES: dict[str, tuple[bytes, list[str]]] = {
    "bom": (b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /a\r\n", ["/a"]),
    "cr": (b"User-agent: *\rDisallow: /a\r", ["/a"]),
    "spaces": (b"  USER-AGENT : *  # all\n\n disallow :/a # x\n", ["/a"]),
    "groups": (
        b"User-agent: *\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\nUser-agent: *\nDisallow: /b\n",
        ["/a", "/b"],
    ),
    "shared": (b"User-agent: x\nUser-agent: *\nSitemap: /none.xml\nDisallow: /a\n", ["/a"]),
    "tie": (b"User-agent: *\nDisallow: /a\nAllow: /a\nDisallow:\n", []),
    "escapes": (b"User-agent: *\nDisallow: /caf\xc3\xa9\nDisallow: /%61$\n", ["/a", "/caf%C3%A9"]),
    "html": (b"<!doctype html><p>Disallow: /</p>\nUser-agent: *\n", []),
    "huge": (b"User-agent: *\nDisallow: /a\n" + b"# x\n" * 200_000 + b"Disallow: /b\n", ["/a"]),
    "stars": (b"User-agent: *\nDisallow: /" + b"*a" * 60 + b"c\n", []),
}


@pytest.mark.parametrize("names", first_of_each([RULES.keys() - {"huge"}, ["huge"]]), ids=len)
async def test_robots_txt_is_read_however_it_is_written(names: Collection[str]) -> None:
    paths = ["/a", "/b", "/caf%C3%A9", "/x" + "a" * 99]
    async with WebSite({"/": html(*paths), **dict.fromkeys(paths, A)}) as site:
        for name in sorted(names):
            rules, denied = RULES[name]
            site.pages["/robots.txt"] = Reply(rules)
            assert await found(site) == sorted(["/", *(path for path in paths if path not in denied)]), name


async def test_directives_without_commas_are_wishes_too() -> None:
    async with WebSite({"/": html("/a", head='<meta name="robots" content="noindex nofollow">'), "/a": A}) as site:
        assert await found(site) == []


async def test_a_canonical_address_in_the_body_of_a_page_is_none() -> None:
    page = Reply(b'<!doctype html><title>T</title><body><p>Comment: <link rel="canonical" href="/a"></p>')
    async with WebSite({"/": page, "/a": A}) as site:
        assert await found(site) == ["/"]


async def test_a_chain_of_canonical_addresses_ends_at_the_one_that_stands() -> None:
    to_b, to_c = (html(head=f'<link rel="canonical" href="{target}">') for target in ("/b", "c"))
    async with WebSite({"/a": to_b, "/b": to_c, "/c": html()}) as site:
        assert await found(site, "/a", "/b") == ["/a", "/c"]


async def test_a_canonical_address_that_has_nothing_but_errors_loses_no_page() -> None:
    copy = html(head='<link rel="canonical" href="/real">')
    async with WebSite({"/copy": copy, "/real": Reply(b"oops", 500)}) as site, site.loader("/copy") as loader:
        entry = Entry(f"{site.url}/copy")
        with fail_soon(10):
            for _ in range(4):
                with pytest.raises(TransientError):
                    await loader.load(entry, None)
            assert isinstance(await loader.load(entry, None), Document)


async def test_pages_that_hang_together_by_next_and_prev_alone_are_found() -> None:
    head = '<link rel="next" href="/3"><link rel="prev" href="/1"><link rel="alternate" hreflang="de" href="/de">'
    async with WebSite({"/2": html(head=head), **dict.fromkeys(["/1", "/3", "/de"], A)}) as site:
        assert await found(site, "/2") == ["/1", "/2", "/3"]


async def test_links_of_drawings_are_links() -> None:
    page = Reply(b'<svg><a xlink:href="/a"><text>old</text></a><a href="/b"><text>new</text></a></svg>')
    async with WebSite({"/": page, "/a": A, "/b": B}) as site:
        assert await found(site) == ["/", "/a", "/b"]


@pytest.mark.parametrize(
    "body",
    [
        '<a href="">x</a><a href="javascript:go()">x</a><a href="data:text/html,x">x</a><a name="n">x</a>',
        "<!-- <a href='/a'>x</a> --><script>'<a href=\"/a\">'</script><template><a href='/a'>x</a></template>text",
        '<textarea><a href="/a"></textarea><title><a href="/a"></title>',
    ],
)
async def test_what_only_looks_like_a_link_is_none(body: str) -> None:
    async with WebSite({"/": Reply(body.encode()), "/a": A}) as site:
        assert await found(site) == ["/"]
        assert site.paths.keys() <= {"/", "/robots.txt", "/sitemap.xml"}


async def test_one_page_in_several_spellings_is_asked_for_once() -> None:
    links = (
        "/%61b",
        "/a%62#top",
        "/x/../ab",
        "./ab",
        "/ab?",
        " /ab\n",
        "//127.0.0.1:{port}/ab",
        "HTTP://127.0.0.1:{port}/ab",
    )
    async with WebSite({"/ab": A}) as site:
        site.pages["/"] = html(*(link.format(port=site.port) for link in links))
        assert await found(site) == ["/", "/ab"]
        assert site.paths["/ab"] == 1


async def test_an_order_of_parameters_and_a_slash_at_the_end_make_another_page() -> None:
    paths = ["/p?a=1&b=2", "/p?b=2&a=1", "/d", "/d/"]
    async with WebSite({"/": html(*(path.replace("&", "&amp;") for path in paths)), **dict.fromkeys(paths, A)}) as site:
        assert await found(site) == sorted(["/", *paths])


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "application/xml", "text/xml"])
async def test_a_page_is_known_by_its_beginning_where_its_type_does_not_tell(kind: str | None) -> None:
    page = b'<?xml version="1.0"?>\n<!-- x -->\n<!DOCTYPE html><html><body><p>Words</p><a href="/a">x</a></body></html>'
    async with WebSite({"/": Reply(page, type=kind), "/a": A}) as site:
        with fail_soon(10):
            done = await crawl(site.loader())
        assert list(done.documents) == [f"{site.url}/", f"{site.url}/a"]
        assert "<" not in done.documents[f"{site.url}/"].text


@pytest.mark.parametrize(
    "write",
    [
        lambda url: f"<urlset><url><loc>{url}/x?a=1&b=2</loc></url><url><loc>{url}/a</loc></url></urlset>",
        lambda url: f'\n <?xml version="1.0"?><urlset><url><loc> {url}/a </loc></url></urlset>',
        lambda url: f'<?xml version="1.0" encoding="utf8mb4"?><urlset><url><loc>{url}/a</loc></url></urlset>',
        lambda url: f"<urlset><url><loc><![CDATA[{url}/a]]></loc></url><oops></urlset>",
    ],
    ids=["ampersand", "late", "encoding", "unclosed"],
)
async def test_a_sitemap_that_is_no_proper_xml_still_names_its_pages(write: Callable[[str], str]) -> None:
    async with WebSite({"/": A, "/a": A}) as site:
        site.pages["/sitemap.xml"] = Reply(write(site.url).encode(), type=XML)
        site.pages["/x?a=1&b=2"] = A
        assert set(await found(site)) >= {"/", "/a"}


async def test_an_index_of_sitemaps_that_is_no_proper_xml_still_names_them() -> None:
    async with WebSite({"/": A, "/a": A}) as site:
        site.pages["/sitemap.xml"] = Reply(f"<sitemapindex><loc>{site.url}/m.xml?a&b</loc>".encode(), type=XML)
        site.pages["/m.xml?a&b"] = sitemap(f"{site.url}/a", f"{site.url}/picture.png")
        assert await found(site) == ["/", "/a"]


async def test_a_page_that_is_not_there_is_not_there_whatever_becomes_of_the_rest() -> None:
    gone = Reply(status=404, headers={"content-length": "10"}, hang=True)
    async with WebSite({"/": html("/gone"), "/gone": gone}) as site:
        with fail_soon(10):
            done = await crawl(site.loader())
        error = done.failures[f"{site.url}/gone"]
        assert isinstance(error, DocumentError)
        assert error.code == "not_found"


async def test_a_page_that_did_not_change_may_ask_anew_that_its_links_be_left() -> None:
    async with WebSite({"/": Reply(html("/a").body, headers={"etag": '"1"'}), "/a": A}) as site:
        first = await crawl(site.loader())
        site.pages["/"] = Reply(html("/a").body, headers={"etag": '"1"', "x-robots-tag": "nofollow"})
        with fail_soon(10):
            second = await crawl(site.loader(), first.known())
        assert second.of(Unchanged) == [f"{site.url}/"]
        assert list(second.outcomes) == [f"{site.url}/"]


async def test_a_page_that_moved_for_good_since_the_last_crawl_is_found_where_it_is() -> None:
    async with WebSite({"/": html("/a"), "/a": Reply(A.body, headers={"etag": '"1"'})}) as site:
        first = await crawl(site.loader())
        site.pages |= {"/a": moved("/b", 301), "/b": B}
        with fail_soon(10):
            second = await crawl(site.loader(), first.known())
        assert second.of(Skipped) == [f"{site.url}/a"]
        assert second.of(Document) == [f"{site.url}/b"]


async def test_a_document_that_asks_not_to_be_indexed_is_none_whatever_its_type() -> None:
    note = Reply(b"words", type="text/plain", headers={"x-robots-tag": "PhaseFlow: noindex"})
    async with WebSite({"/": html("/note"), "/note": note}) as site:
        with fail_soon(10):
            done = await crawl(site.loader())
        assert done.of(Skipped) == [f"{site.url}/note"]
