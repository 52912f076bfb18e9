"""Sites that want a cookie, and addresses that carry a session or a campaign."""

from phaseflow.components.protocols import Document
from phaseflow.components.sources.web.address import normalised
from phaseflow.components.sources.web.cookies import LONGEST, MOST, SEPARATOR, Cookies
from tests.components.web_site import Names, Reply, WebSite, crawl, html
from tests.matrices import together
from tests.stopwatch import fail_soon

SITE = "http://a.test"


@together(
    ("written", "kept"),
    [
        ("/x?utm_source=a&utm_medium=b", "/x"),
        ("/x?id=7&UTM_Campaign=a&gclid=b&page=2", "/x?id=7&page=2"),
        ("/x?fbclid=a&q=utm_source", "/x?q=utm_source"),
        ("/x?PHPSESSID=0123", "/x"),
        ("/x;jsessionid=0A1B?id=7", "/x?id=7"),
        ("/x;JSESSIONID=0A1B.node1/y;v=2", "/x/y;v=2"),
        ("/x?ASPSESSIONIDQQ=1&a", "/x?a"),
        ("/(S(a1b2c3))/x.aspx", "/x.aspx"),
        ("/wiki/(S(a))", "/wiki/(S(a))"),
        ("/x?mtm_campaign=a&pk_kwd=b&hsa_acc=c&WT.mc_id=d&osCsid=e&gad_campaignid=f", "/x"),
        ("/x?sid=7&session=monday", "/x?sid=7&session=monday"),  # may name a page
        ("/x?a=1&&b=2", "/x?a=1&&b=2"),
    ],
)
def test_sessions_and_campaigns_make_no_second_page(written: str, kept: str) -> None:
    assert normalised(SITE + written) == SITE + kept
    assert normalised(SITE + kept) == SITE + kept


def test_a_cookie_goes_back_to_who_set_it_and_below_its_path() -> None:
    cookies = Cookies()
    cookies.take(f"{SITE}/a/b", SEPARATOR.join(["one=1; Path=/", "two=2", "three=3; Path=/c; Domain=.test; Secure"]))
    assert cookies.header(f"{SITE}/a/x?y") == "two=2; one=1"
    assert cookies.header(f"{SITE}/c") == "three=3; one=1"
    assert cookies.header(f"{SITE}/cc") == "one=1"
    assert cookies.header("http://b.test/") == cookies.header("https://a.test/") == cookies.header(f"{SITE}:81/") == ""


@together(
    "end", ["Max-Age=0", "Max-Age=-1", "Expires=Thu, 01 Jan 1970 00:00:00 GMT", "Expires=Tue, 12-Oct-1999 00:00:00 GMT"]
)
def test_a_cookie_is_deleted_as_servers_do(end: str) -> None:
    cookies = Cookies()
    cookies.take(f"{SITE}/", "one=1; Max-Age=60")
    assert cookies.header(f"{SITE}/") == "one=1"
    cookies.take(f"{SITE}/", f"one=1; {end}")
    assert cookies.header(f"{SITE}/") == ""


def test_a_cookie_may_be_empty_and_one_whose_date_says_nothing_is_kept() -> None:
    cookies = Cookies()
    later = "three=3; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    cookies.take(f"{SITE}/", SEPARATOR.join(["one=", "two=2; Expires=soon", later]))
    assert cookies.header(f"{SITE}/") == "one=; two=2; three=3"


def test_cookies_are_bounded_and_cannot_write_headers() -> None:
    cookies = Cookies()
    cookies.take(f"{SITE}/", SEPARATOR.join(f"c{n}={n}" for n in range(40)))
    cookies.take(f"{SITE}/", SEPARATOR.join(f"d{n}={n}" for n in range(40)))
    assert cookies.header(f"{SITE}/").count("=") == MOST
    before = cookies.header(f"{SITE}/")
    cookies.take(f"{SITE}/", SEPARATOR.join(["x=" + "y" * LONGEST, "z=a\rX-Injected: 1", "", "=", "no", "e=\u00e9"]))
    assert cookies.header(f"{SITE}/") == before


async def test_a_site_that_wants_its_cookie_is_read_whole() -> None:
    """Each page without the cookie leads to one that sets it and leads back."""
    async with WebSite() as site:

        def gate(path: str, text: str) -> None:
            site.pages[path] = Reply(b"", 302, headers={"location": f"/welcome?to={path}"})
            site.pages[f"/welcome?to={path}"] = Reply(
                b"", 302, headers={"location": path, "set-cookie": "seen=yes; Path=/"}
            )
            site.with_cookie[path] = html("/b", text=text) if path == "/a" else html(text=text)

        gate("/a", "The first page.")
        gate("/b", "The second page.")
        with fail_soon(20):
            done = await crawl(site.loader("/a"))
    assert {uri.removeprefix(site.url) for uri in done.documents} == {"/a", "/b"}
    assert site.paths["/welcome?to=/b"] == 0  # the crawl has its cookie by then


async def test_a_cookie_that_never_helps_ends_as_a_loop() -> None:
    async with WebSite() as site:
        site.pages["/a"] = Reply(b"", 302, headers={"location": "/a", "set-cookie": "seen=yes"})
        with fail_soon(20):
            done = await crawl(site.loader("/a"))
    assert [str(getattr(error, "code", "")) for error in done.failures.values()] == ["too_many_redirects"]
    assert site.paths["/a"] < 30


async def test_no_cookie_crosses_to_another_site() -> None:
    async with WebSite() as site:
        site.pages = {
            "a.test/": Reply(html(site.at("b.test")).body, headers={"set-cookie": "secret=1; Domain=.test; Path=/"}),
            "b.test/": html(),
        }
        loader = site.loader(site.at("a.test"), site.at("b.test"), resolver=Names(), allow_private=["a.test", "b.test"])
        with fail_soon(20):
            done = await crawl(loader)
    assert len(done.documents) == 2
    assert all(isinstance(document, Document) for document in done.documents.values())
    assert [asked for asked in site.asked if asked.host == "b.test" and "cookie" in asked.headers] == []
