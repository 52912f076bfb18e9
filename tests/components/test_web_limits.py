import gzip
import zlib
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources.web import Limits
from phaseflow.components.sources.web.body import Body
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, RateLimited, TransientError
from tests.components.web_site import HTML, Reply, WebSite, crawl, html, robots
from tests.stopwatch import fail_soon

SMALL = Limits(per_second=1000, max_bytes=100_000)


async def loaded(site: WebSite, path: str = "/", **options: Any) -> Document:
    async with site.loader(**options) as loader:
        with fail_soon(20):
            outcome = await loader.load(Entry(site.url + path), None)
    assert isinstance(outcome, Document)
    return outcome


async def refused(site: WebSite, **options: Any) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        await loaded(site, **options)
    return caught.value


def pdf(text: str) -> bytes:
    """The least that is a PDF of one page."""
    drawing = f"BT /F1 18 Tf 20 100 Td ({text}) Tj ET".encode()
    return b"""%%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>> endobj
4 0 obj <</Length %d>> stream
%s
endstream endobj
5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj
trailer <</Root 1 0 R>>
%%%%EOF
""" % (len(drawing), drawing)


class Time:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await anyio.lowlevel.checkpoint()


async def test_an_answer_over_the_limit_is_refused_whether_it_says_its_size_or_not() -> None:
    for headers in ({}, {"transfer-encoding": "chunked"}):
        async with WebSite({"/": Reply(b"x" * 100_001, type="text/plain", headers=headers)}) as site:
            assert (await refused(site, limits=SMALL)).code == "too_large"


async def test_an_answer_that_unpacks_beyond_the_limit_is_refused() -> None:
    packed = gzip.compress(b"word " * 100_000, mtime=0)
    async with WebSite({"/": Reply(packed, headers={"content-encoding": "gzip"})}) as site:
        assert (await refused(site, limits=SMALL)).code == "too_large"


async def test_a_bomb_is_refused_by_its_ratio_long_before_the_limit() -> None:
    packed = gzip.compress(bytes(20_000_000), mtime=0)
    async with WebSite({"/": Reply(packed, headers={"content-encoding": "gzip"})}) as site:
        error = await refused(site)
        assert error.code == "too_large"
        assert "times its size" in str(error)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw", "members"])
async def test_packed_answers_are_unpacked(encoding: str) -> None:
    text = html(text="A packed page.").body
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(text, mtime=0) + b"\0\0\0",
        "deflate": zlib.compress(text),
        "raw": raw.compress(text) + raw.flush(),
        "members": gzip.compress(text[:20], mtime=0) + gzip.compress(text[20:], mtime=0),
    }[encoding]
    name = "deflate" if encoding in {"deflate", "raw"} else "gzip"
    async with WebSite({"/": Reply(packed, headers={"content-encoding": name})}) as site:
        assert "A packed page." in (await loaded(site)).text


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (gzip.compress(b"x" * 5000, mtime=0)[:-20], "gzip", "malformed"),
        (b"no gzip at all", "gzip", "malformed"),
        (b"x", "br", "unsupported_encoding"),
        (b"x", "gzip, br", "unsupported_encoding"),
        (b"x", "gzip, gzip, gzip, gzip", "unsupported_encoding"),
        (gzip.compress(gzip.compress(b"text", mtime=0)[:-9], mtime=0), "gzip, gzip", "malformed"),
    ],
)
async def test_an_answer_that_does_not_unpack_is_refused(body: bytes, encoding: str, code: str) -> None:
    async with WebSite({"/": Reply(body, headers={"content-encoding": encoding})}) as site:
        assert (await refused(site)).code == code


async def test_an_answer_that_unpacks_to_far_more_is_refused() -> None:
    packed = gzip.compress(gzip.compress(b"text", mtime=0) + bytes(33 << 20), 1)
    async with WebSite({"/": Reply(packed, headers={"content-encoding": "gzip, gzip"})}) as site:
        assert (await refused(site)).code == "too_large"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(max_size=2000), max_size=5), st.integers(1, 700), st.sampled_from([1, 600_000]))
def test_members_in_pieces_unpack_to_what_was_packed(members: list[bytes], step: int, times: int) -> None:
    plain = [member * (times // max(1, len(member)) or 1) for member in members]
    packed = b"".join(gzip.compress(member, 1, mtime=0) for member in plain)
    # A piece never ends within the two bytes that tell a member from padding.
    body = Body("http://a.test/", "gzip", Limits(max_ratio=2000))
    body.feed(packed)
    assert body.whole() == b"".join(plain)
    single = Body("http://a.test/", "gzip", Limits(max_ratio=2000))
    one = gzip.compress(b"".join(plain), 1, mtime=0)
    for start in range(0, len(one), step):
        single.feed(one[start : start + step])
    assert single.whole() == b"".join(plain)


async def test_a_server_that_hangs_costs_the_time_limit_and_can_be_tried_again() -> None:
    async with WebSite({"/": Reply(b"x", hang=True)}) as site:
        with pytest.raises(TransientError, match=r"0\.3 s"):
            await loaded(site, limits=Limits(total_s=0.3, per_second=1000))


async def test_a_cancel_ends_a_request_that_hangs() -> None:
    async with WebSite({"/": Reply(b"x", hang=True)}) as site:
        with fail_soon(5), anyio.move_on_after(0.3) as scope:
            await loaded(site)
        assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, DocumentError, "not_found"),
        (410, DocumentError, "not_found"),
        (400, DocumentError, "http_400"),
        (401, DocumentError, "http_401"),
        (403, DocumentError, "http_403"),
        (451, DocumentError, "http_451"),
        (304, DocumentError, "http_304"),
        (429, RateLimited, "rate_limited"),
        (408, TransientError, "transient"),
        (500, TransientError, "transient"),
        (503, TransientError, "transient"),
    ],
)
async def test_a_status_says_what_became_of_a_page(status: int, kind: type[Exception], code: str) -> None:
    async with WebSite({"/": Reply(b"", status)}) as site:
        with pytest.raises(kind) as caught:
            await loaded(site)
        assert caught.value.code == code  # type: ignore[attr-defined]  # all in the tree of errors have one
        if isinstance(caught.value, DocumentError):
            assert caught.value.gone == (status in {404, 410})
            assert caught.value.counts == (status not in {404, 410})


@pytest.mark.parametrize("status", [429, 503])
async def test_a_site_that_asks_to_wait_is_left_alone_for_so_long(status: int) -> None:
    time = Time()
    async with WebSite({"/": Reply(b"", status, headers={"retry-after": "30"}), "/x": html()}) as site:
        loader = site.loader(clock=time, sleep=time.sleep)
        async with loader:
            with fail_soon(5):
                with pytest.raises(TransientError) as caught:
                    await loader.load(Entry(site.url + "/"), None)
                assert caught.value.retry_after_s == 30
                with pytest.raises(RateLimited) as closed:
                    await loader.load(Entry(site.url + "/x"), None)
                assert closed.value.retry_after_s == pytest.approx(30, abs=1)
                assert "/x" not in site.paths
                time.now += 31
                assert isinstance(await loader.load(Entry(site.url + "/x"), None), Document)


@pytest.mark.parametrize("named", ["deflate, gzip", "identity, Deflate , GZIP", "deflate,,gzip"])
async def test_an_answer_that_was_packed_twice_is_unpacked_twice(named: str) -> None:
    twice = gzip.compress(zlib.compress(html(text="Packed twice.").body), mtime=0)
    async with WebSite({"/": Reply(twice, headers={"content-encoding": named})}) as site:
        assert "Packed twice." in (await loaded(site)).text


async def test_requests_to_a_site_keep_their_distance() -> None:
    time = Time()
    async with WebSite({"/": html(*(f"/{at}" for at in range(9))), **{f"/{at}": html() for at in range(9)}}) as site:
        with fail_soon(10):
            await crawl(site.loader(limits=Limits(per_second=2), clock=time, sleep=time.sleep))
        # robots.txt and sitemap.xml count too.
        assert time.now - 100 >= (len(site.asked) - 1) * 0.5


async def test_crawl_delay_is_heeded_within_reason() -> None:
    for asked, heeded in (("5", 5), ("86400", 60)):
        time = Time()
        pages = {"/robots.txt": robots(f"User-agent: *\nCrawl-delay: {asked}"), "/": html("/a"), "/a": html()}
        async with WebSite(pages) as site:
            with fail_soon(10):
                await crawl(site.loader(clock=time, sleep=time.sleep))
            assert time.now - 100 == pytest.approx((len(site.asked) - 1) * heeded, abs=1)


async def test_a_document_behind_a_link_is_read_by_its_type() -> None:
    pages = {
        "/": html("/data?id=1", "/notes.md", "/plain"),
        "/data?id=1": Reply(b'{"name": "value"}', type="application/json"),
        "/notes.md": Reply(b"# Notes\n\nText.", type="application/octet-stream"),
        "/plain": Reply("Gr\u00fc\u00dfe".encode("latin-1"), type="text/plain; charset=iso-8859-1"),
    }
    async with WebSite(pages) as site:
        with fail_soon(10):
            done = await crawl(site.loader())
        texts = {uri.removeprefix(site.url): document for uri, document in done.documents.items()}
        assert texts["/notes.md"].title == "Notes"
        assert texts["/plain"].text == "Gr\u00fc\u00dfe"
        assert "value" in texts["/data?id=1"].text


async def test_a_picture_is_refused_without_being_downloaded() -> None:
    async with WebSite({"/": Reply(b"x" * 10, type="image/png", hang=True)}) as site:
        error = await refused(site)
        assert (error.code, error.counts) == ("unsupported_format", False)


async def test_a_pdf_behind_a_link_is_read_in_a_worker() -> None:
    pages = {"/": html("/get?id=7"), "/get?id=7": Reply(pdf("Behind a link"), type="application/pdf")}
    async with WebSite(pages) as site, ExtractionPool(size=1) as workers:
        with fail_soon(30):
            done = await crawl(site.loader(workers=workers))
        document = done.documents[f"{site.url}/get?id=7"]
        assert "Behind a link" in document.text
        assert workers.pids


async def test_a_page_that_would_keep_the_parser_busy_is_refused() -> None:
    async with WebSite({"/": Reply(b"<div>" * 200_000, type=HTML)}) as site:
        assert (await refused(site)).code == "too_complex"


async def test_a_closed_loader_fetches_nothing() -> None:
    async with WebSite({"/": html()}) as site:
        loader = site.loader()
        await loader.aclose()
        await loader.aclose()
        with pytest.raises(ComponentUnavailable, match="closed"):
            await loader.load(Entry(site.url + "/"), None)
