import pytest

from phaseflow.components.protocols import Document, Entry, Loader, Skipped, Unchanged
from phaseflow.components.sources.web import WebLoader
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, TransientError
from tests.components.web_site import QUICK, Names, Reply, WebSite, crawl, html, moved, robots, sitemap, web_source
from tests.stopwatch import fail_soon


async def crawled(site: WebSite, *paths: str, **options: object) -> dict[str, object]:
    """Paths and what became of them."""
    with fail_soon(20):
        done = await crawl(site.loader(*paths, **options))  # type: ignore[arg-type]  # options of the loader
    return {uri.removeprefix(site.url): outcome for uri, outcome in done.outcomes.items()}


async def documents(site: WebSite, *paths: str, **options: object) -> list[str]:
    outcomes = await crawled(site, *paths, **options)
    return [path for path, outcome in outcomes.items() if isinstance(outcome, Document)]


def test_the_web_loader_is_a_loader() -> None:
    loader = WebLoader(web_source("http://a.test/", max_pages=7))
    assert isinstance(loader, Loader)
    assert loader.max_entries == 7


async def test_links_are_followed_on_the_same_site_only() -> None:
    async with WebSite() as site:
        site.pages = {
            "/": html("/a", "a", "#top", "/a#part", "http://b.test/x", f"https://127.0.0.1:{site.port}/", "mailto:x@y"),
            "/a": html("/", "/b?q=1"),
            "/b?q=1": html(),
        }
        assert await documents(site) == ["/", "/a", "/b?q=1"]
        assert site.paths["/a"] == 1


async def test_links_start_from_the_base_of_the_page() -> None:
    pages = {"/": html("x.html", head='<base href="/deep/">'), "/deep/x.html": html()}
    async with WebSite(pages) as site:
        assert await documents(site) == ["/", "/deep/x.html"]


async def test_areas_frames_and_refreshes_are_links_too() -> None:
    body = b'<meta http-equiv="Refresh" content="0; URL=/r"><map><area href="/m"></map><iframe src="/f"></iframe>'
    async with WebSite({"/": Reply(body), "/r": html(), "/m": html(), "/f": html()}) as site:
        assert await documents(site) == ["/", "/r", "/m", "/f"]


async def test_pictures_films_and_style_sheets_are_not_fetched() -> None:
    async with WebSite(
        {"/": html("/a.png", "/b.MP4?x=1", "/c.css", "/d.woff2", "/e.txt"), "/e.txt": robots("x")}
    ) as site:
        assert await documents(site) == ["/", "/e.txt"]
        assert not site.paths.keys() & {"/a.png", "/b.MP4?x=1", "/c.css", "/d.woff2"}


async def test_links_marked_nofollow_are_not_followed() -> None:
    page = Reply(b'<a href="/no" rel="external nofollow">x</a><a href="/yes">y</a>')
    async with WebSite({"/": page, "/no": html(), "/yes": html()}) as site:
        assert await documents(site) == ["/", "/yes"]


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        ('<meta name="robots" content="nofollow">', {}),
        ('<meta name="Phaseflow" content="max-snippet:5, NoFollow">', {}),
        ("", {"x-robots-tag": "nofollow"}),
        ("", {"x-robots-tag": "otherbot: noindex, phaseflow: nofollow"}),
    ],
)
async def test_a_page_that_says_nofollow_is_kept_without_its_links(head: str, headers: dict[str, str]) -> None:
    page = Reply(html("/next", head=head).body, headers=headers)
    async with WebSite({"/": page, "/next": html()}) as site:
        assert await documents(site) == ["/"]


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        ('<meta name="robots" content="noindex">', {}),
        ('<META NAME="ROBOTS" CONTENT="index, NOINDEX">', {}),
        ("", {"x-robots-tag": "noindex"}),
        ("", {"x-robots-tag": "unavailable_after: 2020-01-01, noindex"}),
        ("", {"x-robots-tag": "otherbot: noarchive\nnoindex"}),
    ],
)
async def test_a_page_that_says_noindex_is_skipped_and_its_links_followed(head: str, headers: dict[str, str]) -> None:
    page = Reply(html("/next", head=head).body, headers=headers)
    async with WebSite({"/": page, "/next": html()}) as site:
        outcomes = await crawled(site)
        assert isinstance(outcomes["/"], Skipped)
        assert isinstance(outcomes["/next"], Document)


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        ('<meta name="otherbot" content="noindex, nofollow">', {}),
        ("", {"x-robots-tag": "otherbot: noindex, nofollow"}),
        ("", {"x-robots-tag": "noarchive\notherbot: noindex, nofollow"}),
    ],
)
async def test_wishes_for_other_crawlers_do_not_count(head: str, headers: dict[str, str]) -> None:
    page = Reply(html("/next", head=head).body, headers=headers)
    async with WebSite({"/": page, "/next": html()}) as site:
        assert await documents(site) == ["/", "/next"]


async def test_of_a_header_that_comes_twice_and_has_one_value_the_first_counts() -> None:
    pages = {
        "/": Reply(b"", 301, headers={"location": "/a\n/b"}),
        "/a": Reply(html().body, type="text/html\ntext/plain", headers={"etag": '"1"\n"2"'}),
        "/b": html(),
    }
    async with WebSite(pages) as site:
        assert await documents(site) == ["/a"]


async def test_none_means_neither_index_nor_follow() -> None:
    pages = {"/": html("/next", head='<meta name="robots" content="none">'), "/next": html()}
    async with WebSite(pages) as site:
        assert [type(outcome) for outcome in (await crawled(site)).values()] == [Skipped]


async def test_the_longest_rule_of_robots_txt_wins() -> None:
    rules = "User-agent: *\nDisallow: /a/\nAllow: /a/open\nDisallow: /*.tmp$\n"
    pages = {
        path: html("/a/open", "/a/shut", "/b.tmp", "/b.tmpx")
        for path in ("/", "/a/open", "/a/shut", "/b.tmp", "/b.tmpx")
    }
    async with WebSite({**pages, "/robots.txt": robots(rules)}) as site:
        assert await documents(site) == ["/", "/a/open", "/b.tmpx"]
        assert not site.paths.keys() & {"/a/shut", "/b.tmp"}


async def test_rules_for_this_crawler_go_before_those_for_all() -> None:
    rules = "User-agent: *\nDisallow: /\n\nUser-agent: Phaseflow\nDisallow: /private\n"
    pages = {"/robots.txt": robots(rules), "/": html("/private", "/x"), "/private": html(), "/x": html()}
    async with WebSite(pages) as site:
        assert await documents(site) == ["/", "/x"]


async def test_a_given_page_that_robots_txt_forbids_is_a_failure_that_says_so() -> None:
    async with WebSite({"/robots.txt": robots("User-agent: *\nDisallow: /"), "/": html()}) as site:
        error = (await crawled(site))["/"]
        assert isinstance(error, DocumentError)
        assert (error.code, error.counts) == ("robots_disallowed", False)
        assert "/" not in site.paths


async def test_without_robots_txt_everything_is_allowed() -> None:
    async with WebSite({"/": html("/x"), "/x": html(), "/robots.txt": Reply(status=403)}) as site:
        assert await documents(site) == ["/", "/x"]


async def test_while_robots_txt_cannot_be_had_nothing_is_fetched() -> None:
    async with WebSite({"/": html(), "/robots.txt": Reply(status=500)}) as site:
        async with site.loader() as loader:
            with fail_soon(5), pytest.raises(TransientError, match="500"):
                await loader.load(Entry(site.url + "/"), None)
        assert "/" not in site.paths


async def test_a_redirect_is_skipped_and_its_target_is_the_document() -> None:
    async with WebSite(
        {"/": html("/old"), "/old": moved("/mid", 301), "/mid": moved("new#x", 308), "/new": html()}
    ) as site:
        outcomes = await crawled(site)
        assert isinstance(outcomes["/old"], Skipped)
        assert list(outcomes) == ["/", "/old", "/new"]
        assert isinstance(outcomes["/new"], Document)


async def test_a_redirect_to_another_site_ends_there() -> None:
    async with WebSite() as site:
        site.pages = {"/": html("/out"), "/out": moved(site.at("b.test", "/x")), "b.test/x": html()}
        outcomes = await crawled(site, resolver=Names())
        assert outcomes.keys() == {"/", "/out"}
        assert "/x" not in site.paths


async def test_a_redirect_into_what_robots_txt_forbids_is_not_followed() -> None:
    pages = {
        "/": html("/go"),
        "/go": moved("/shut"),
        "/shut": html(),
        "/robots.txt": robots("User-agent: *\nDisallow: /shut"),
    }
    async with WebSite(pages) as site:
        error = (await crawled(site))["/go"]
        assert isinstance(error, DocumentError)
        assert "/shut" not in site.paths


@pytest.mark.parametrize("target", ["/", "/b"])
async def test_redirects_in_a_circle_are_a_failure(target: str) -> None:
    async with WebSite({"/": moved(target), "/b": moved("/")}) as site:
        error = (await crawled(site))["/"]
        assert isinstance(error, DocumentError)
        assert error.code == "too_many_redirects"


async def test_redirects_without_end_are_a_failure() -> None:
    async with WebSite({f"/{at}": moved(f"/{at + 1}") for at in range(40)}) as site:
        error = (await crawled(site, "/0"))["/0"]
        assert isinstance(error, DocumentError)
        assert error.code == "too_many_redirects"
        assert "/12" not in site.paths


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        ('<link rel="canonical" href="/real">', {}),
        ("", {"link": '</style>; rel=preload, </real>; rel="canonical"'}),
    ],
)
async def test_a_page_with_another_canonical_address_is_skipped_for_it(head: str, headers: dict[str, str]) -> None:
    copy = Reply(html(head=head).body, headers=headers)
    async with WebSite({"/copy": copy, "/real": html()}) as site:
        outcomes = await crawled(site, "/copy")
        assert isinstance(outcomes["/copy"], Skipped)
        assert isinstance(outcomes["/real"], Document)


async def test_a_page_whose_canonical_address_comes_with_not_modified_is_skipped_for_it() -> None:
    copy = Reply(html(text="Words of the copy.").body, headers={"etag": '"1"'})
    async with WebSite({"/copy": copy, "/real": html()}) as site:
        known = (await crawl(site.loader("/copy"))).known()
        site.pages["/copy"] = Reply(copy.body, headers={**copy.headers, "link": '</real>; rel="canonical"'})
        done = await crawl(site.loader("/copy"), known)
        skipped = done.outcomes[site.at("127.0.0.1", "/copy")]
        assert isinstance(skipped, Skipped)
        assert skipped.twin == site.at("127.0.0.1", "/real")
        assert list(done.documents) == [skipped.twin]
        del site.pages["/real"]  # a claim that does not hold loses no page
        kept = await crawl(site.loader("/copy"), known)
        assert isinstance(kept.outcomes[site.at("127.0.0.1", "/copy")], Unchanged)


@pytest.mark.parametrize(
    "pages",
    [
        {},
        {"/real": moved("/elsewhere"), "/elsewhere": html()},
        {"/real": html(head='<link rel="canonical" href="/copy">')},
        {"/real": html(head='<meta name="robots" content="noindex">')},
        {"/real": html(), "/robots.txt": robots("User-agent: *\nDisallow: /real")},
    ],
)
async def test_a_canonical_address_that_does_not_hold_loses_no_page(pages: dict[str, Reply]) -> None:
    copy = html(head='<link rel="canonical" href="/real">')
    async with WebSite({**pages, "/copy": copy}) as site:
        assert "/copy" in await documents(site, "/copy")


@pytest.mark.parametrize("address", ["http://b.test/", "file:///usr/share/doc/x.html", "/"])
async def test_a_canonical_address_elsewhere_or_of_its_own_changes_nothing(address: str) -> None:
    async with WebSite({"/": html(head=f'<link rel="canonical" href="{address}">')}) as site:
        assert await documents(site) == ["/"]


@pytest.mark.parametrize(("depth", "found"), [(0, ["/0"]), (2, ["/0", "/1", "/2"]), (None, ["/0", "/1", "/2", "/3"])])
async def test_the_depth_is_limited_when_asked(depth: int | None, found: list[str]) -> None:
    async with WebSite({f"/{at}": html(f"/{at + 1}") for at in range(4)}) as site:
        assert await documents(site, "/0", max_depth=depth) == found


async def test_with_a_depth_only_a_sitemap_that_is_given_is_read() -> None:
    async with WebSite() as site:
        site.pages = {"/": html(), "/a": html("/b"), "/b": html(), "/sitemap.xml": sitemap(f"{site.url}/a")}
        assert await documents(site, max_depth=1) == ["/"]
        assert "/sitemap.xml" not in site.paths
        assert await documents(site, "/sitemap.xml", max_depth=0) == ["/a"]


async def test_sitemaps_are_found_named_indexed_packed_and_as_text() -> None:
    async with WebSite() as site:
        site.pages = {f"/{name}": html() for name in ("", "a", "b", "c", "d", "e")}
        site.pages |= {
            "/robots.txt": robots("Sitemap: /maps/index.xml\nUser-agent: *\nDisallow: /e"),
            "/maps/index.xml": sitemap(f"{site.url}/one.xml.gz", f"{site.url}/two.txt", index=True),
            "/one.xml.gz": sitemap(f"{site.url}/a", f"{site.url}/e", "http://b.test/x", packed=True),
            "/two.txt": robots(f"{site.url}/b\n{site.url}/a\n{site.url}/d\n"),
            "/sitemap.xml": sitemap(f"{site.url}/c"),
        }
        outcomes = await crawled(site)
        assert sorted(outcomes) == ["/", "/a", "/b", "/c", "/d"]


_RSS = (
    '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel><link>{url}/home</link>'
    '<atom:link rel="self" href="{url}/feed"/><item><title>A</title><link> {url}/a?x=1&amp;y=2 </link>'
    '<guid>{url}/guid</guid><atom:link rel="replies" href="{url}/replies"/></item>'
    "<item><link><![CDATA[{url}/b]]></link></item></channel></rss>"
)
_RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"><channel>'
    "<link>{url}/home</link></channel><item><link>{url}/a?x=1&amp;y=2</link></item><item><link>/b</link></item></rdf:RDF>"
)
_ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><link href="{url}/home"/><link rel="self" href="{url}/feed"/>'
    '<entry><link rel="edit" href="{url}/edit"/><link rel="alternate" href="{url}/a?x=1&amp;y=2"/></entry>'
    '<entry><link href="/b"/></entry></feed>'
)


@pytest.mark.parametrize("feed", [_RSS, _RDF, _ATOM])
@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_feed_that_is_named_as_a_sitemap_names_its_pages(feed: str, is_whole: bool) -> None:
    async with WebSite() as site:
        text = feed.format(url=site.url)
        body = text if is_whole else text.replace("x=1&amp;y", "x=1&y")  # the commonest fault
        site.pages = {
            "/": html(), "/a?x=1&y=2": html(), "/b": html(), "/robots.txt": robots("Sitemap: /feed"),
            "/feed": Reply(body.encode(), type="application/rss+xml"),
        }  # fmt: skip
        assert await documents(site) == ["/", "/a?x=1&y=2", "/b"]
        assert (site.paths["/home"] > 0) != is_whole  # of a broken one all that looks like a page is taken
        assert not {"/edit", "/replies", "/guid"} & site.paths.keys()


async def test_a_feed_that_is_named_as_a_sitemap_and_cannot_be_read_now_is_none_of_the_documents() -> None:
    async with WebSite() as site:
        named = f"{site.url}/feed"
        site.pages = {"/": html(), "/robots.txt": robots("Sitemap: /feed"), "/feed": Reply(status=503)}
        async with site.loader() as loader:
            listed = [entry async for page in loader.list() for entry in page]
            assert Entry(named) in listed
            site.pages["/feed"] = Reply(_RSS.format(url=site.url).encode(), type="application/rss+xml")
            outcome = await loader.load(Entry(named), None)
        assert isinstance(outcome, Skipped)
        assert [link.uri for link in outcome.links] == [f"{site.url}/a?x=1&y=2", f"{site.url}/b"]


async def test_a_broken_sitemap_gives_what_stands_before_the_break() -> None:
    async with WebSite() as site:
        whole = sitemap(f"{site.url}/a", f"{site.url}/b").body
        site.pages = {"/": html(), "/a": html(), "/sitemap.xml": Reply(whole[: whole.index(b"/b")], type="text/xml")}
        assert await documents(site) == ["/", "/a"]


async def test_a_sitemap_with_entities_or_without_end_is_no_danger() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'
    loop = sitemap("/sitemap.xml", "/bomb.xml", index=True)
    pages = {"/": html(), "/sitemap.xml": loop, "/bomb.xml": Reply(bomb, type="text/xml")}
    async with WebSite(pages) as site:
        assert await documents(site) == ["/"]
        assert site.paths["/sitemap.xml"] == 1


async def test_a_sitemap_that_cannot_be_read_now_is_tried_again_as_a_page() -> None:
    async with WebSite() as site:
        named = f"{site.url}/map.xml"
        site.pages = {
            "/": html(),
            "/a": html(),
            "/robots.txt": robots(f"Sitemap: {named}"),
            "/map.xml": Reply(status=503),
        }
        async with site.loader() as loader:
            with fail_soon(10):
                listed = [entry async for page in loader.list() for entry in page]
                assert Entry(named) in listed
                site.pages["/map.xml"] = sitemap(f"{site.url}/a")
                outcome = await loader.load(Entry(named), None)
        assert isinstance(outcome, Skipped)
        assert [link.uri for link in outcome.links] == [f"{site.url}/a"]


async def test_no_more_pages_are_listed_than_the_source_allows() -> None:
    async with WebSite() as site:
        site.pages = {"/sitemap.xml": sitemap(*(f"{site.url}/{at}" for at in range(50))), "/": html()}
        async with site.loader(max_pages=10) as loader:
            with fail_soon(10):
                listed = [entry async for page in loader.list() for entry in page]
        assert len(listed) == 10
        assert loader.max_entries == 10


async def test_each_address_is_listed_once_and_the_given_ones_first() -> None:
    async with WebSite() as site:
        site.pages = {"/sitemap.xml": sitemap(f"{site.url}/b", f"{site.url}/z", f"{site.url}/a#x")}
        async with site.loader("/b", "/a", "/b#c") as loader:
            with fail_soon(10):
                listed = [entry.uri for page in [page async for page in loader.list()] for entry in page]
        assert listed == [f"{site.url}/b", f"{site.url}/a", f"{site.url}/z"]


async def test_what_did_not_change_is_not_sent_again_and_its_links_are_still_followed() -> None:
    pages = {
        "/": Reply(html("/a").body, headers={"etag": '"1"'}),
        "/a": Reply(html("/b").body, headers={"last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"}),
        "/b": html(),
    }
    async with WebSite(pages) as site:
        first = await crawl(site.loader())
        site.asked.clear()
        # A loader made anew knows nothing but what the knowledge base holds.
        with fail_soon(10):
            second = await crawl(site.loader(), first.known())
        assert [type(outcome) for outcome in second.outcomes.values()] == [Unchanged] * 3
        sent = {asked.path: asked.headers for asked in site.asked}
        assert sent["/"]["if-none-match"] == '"1"'
        assert sent["/a"]["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"
        assert not sent["/b"].keys() & {"if-none-match", "if-modified-since"}


async def test_the_rules_of_today_hold_for_the_links_of_a_page_that_did_not_change() -> None:
    async with WebSite({"/": Reply(html("/a").body, headers={"etag": '"1"'}), "/a": html()}) as site:
        first = await crawl(site.loader())
        site.pages["/robots.txt"] = robots("User-agent: *\nDisallow: /a")
        with fail_soon(10):
            second = await crawl(site.loader(), first.known())
        assert [uri.removeprefix(site.url) for uri in second.outcomes] == ["/"]


async def test_a_stamp_of_another_kind_is_passed_over() -> None:
    async with WebSite({"/": Reply(html().body, headers={"etag": '"1"'})}) as site:
        first = await crawl(site.loader())
        known = {uri: type(each)(each.content_hash, "123:456") for uri, each in first.known().items()}
        with fail_soon(10):
            second = await crawl(site.loader(), known)
        (outcome,) = second.outcomes.values()
        assert isinstance(outcome, Unchanged)
        assert outcome.stamp == first.documents[site.url + "/"].stamp


async def test_a_site_that_is_down_cannot_be_listed() -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    loader = WebLoader(web_source("http://127.0.0.1:1/"), allow_private=["127.0.0.1"], sleep=wait, limits=QUICK)
    with fail_soon(10), pytest.raises(ComponentUnavailable, match="cannot be reached"):
        await crawl(loader)
    assert len(waited) >= 2


async def test_a_name_that_does_not_resolve_is_a_site_that_is_down() -> None:
    async def nothing(host: str, port: int) -> list[str]:
        raise OSError("unknown name")

    async def at_once(_: float) -> None: ...

    loader = WebLoader(web_source("http://nowhere.test/"), resolver=nothing, sleep=at_once, limits=QUICK)
    with fail_soon(10), pytest.raises(ComponentUnavailable, match=r"nowhere\.test cannot be reached"):
        await crawl(loader)


async def test_one_site_of_several_that_is_down_does_not_stop_the_others() -> None:
    async def at_once(_: float) -> None: ...

    async with WebSite({"/": html()}) as site:
        outcomes = await crawled(site, "/", "http://127.0.0.1:1/", allow_private=["127.0.0.1"], sleep=at_once)
        assert isinstance(outcomes["/"], Document)
        assert isinstance(outcomes["http://127.0.0.1:1/"], TransientError)


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(ComponentUnavailable, match=r"a\.test") as caught:
        WebLoader(web_source("http://user:secret@a.test/"))
    assert "secret" not in str(caught.value)
