"""A website through the whole engine: crawled, searched, crawled again."""

from pathlib import Path

import anyio
import pytest
from pydantic import HttpUrl

from phaseflow import PhaseFlow
from phaseflow.components.sources.web import WebLoader
from phaseflow.domain.errors import InvalidRequest, SourceNotAllowed
from phaseflow.domain.settings import WebSource
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import JobStatus
from tests.components.web_site import QUICK, Reply, WebSite, moved
from tests.engine.components import CountingEmbedder


def page(title: str, words: str, *links: str) -> Reply:
    anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{words}</p>{anchors}</body></html>"
    return Reply(text.encode())


def website() -> WebSite:
    return WebSite(
        {
            "/": page("Home", "welcome to the harbour", "/tides", "/gone"),
            "/tides": page("Tides", "high water comes twice a day", "/moon"),
            "/moon": page("Moon", "the moon pulls the sea"),
        }
    )


async def crawl(flow: PhaseFlow, site: WebSite, **source: object) -> JobStatusResponse:
    job = await flow.start("site", {"type": "web", "urls": [site.url + "/"], **source})
    with anyio.fail_after(20):
        return await job.wait()


def allowed(site: WebSite) -> list[str]:
    return [f"127.0.0.1:{site.port}"]


async def test_a_website_is_crawled_by_its_links_and_searched(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        final = await crawl(flow, site)
        at, hits = site.url, await flow.search("site", "the moon pulls", limit=1)
        failures = (await flow.failures("site")).items
    assert final.status is JobStatus.COMPLETED
    assert final.metrics.documents_loaded == 3
    assert (hits[0].uri, hits[0].title) == (f"{at}/moon", "Moon")
    assert [(f.uri, f.code) for f in failures] == [(f"{at}/gone", "not_found")]


async def test_a_page_that_went_away_leaves_and_an_unchanged_one_is_not_cut_again(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        await crawl(flow, site)
        del site.pages["/moon"]
        final = await crawl(flow, site)
        kb = await flow.kb("site")
    assert (final.metrics.documents_unchanged, final.metrics.documents_deleted) == (2, 1)
    assert kb.documents == 2


async def test_what_lies_behind_a_page_that_fails_is_not_taken_for_gone(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        await crawl(flow, site)
        site.pages["/tides"] = Reply(b"forbidden", 403)
        final = await crawl(flow, site)
        kb = await flow.kb("site")
    assert final.metrics.documents_deleted == 0
    assert kb.documents == 3


async def test_a_crawl_reads_no_more_than_max_pages(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        final = await crawl(flow, site, max_pages=2)
    assert final.metrics.documents_found == 2


async def test_a_private_address_is_refused_before_a_job_is_made(database: Path) -> None:
    async with website() as site, PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        with pytest.raises(SourceNotAllowed):
            await flow.put_kb("site", {"type": "web", "urls": [site.url]})
        with pytest.raises(SourceNotAllowed):
            await crawl(flow, site)
    assert not site.asked


async def test_a_crawl_that_was_stopped_goes_on_from_its_frontier(database: Path) -> None:
    async with website() as site:
        async with PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site), slots=0) as flow:
            await flow.start("site", {"type": "web", "urls": [site.url + "/"]})
        async with PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
            with anyio.fail_after(20):
                async for status in (await flow.job("site")).watch():
                    if status.metrics.documents_loaded:
                        break
        async with PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
            with anyio.fail_after(20):
                final = await (await flow.job("site")).wait()
    assert final.metrics.documents_loaded == 3
    assert max(site.paths[path] for path in ("/", "/tides", "/moon")) == 1


async def test_a_depth_counts_by_the_shortest_way_whatever_is_found_first(database: Path) -> None:
    pages = {
        "/": page("Home", "home", "/far", "/old"),
        "/far": page("Far", "far", "/near"),
        "/old": moved("/near"),
        "/near": page("Near", "near", "/last"),
        "/last": page("Last", "last", "/beyond"),
        "/beyond": page("Beyond", "beyond"),
    }
    async with (
        WebSite(pages) as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        final = await crawl(flow, site, max_depth=2)
    assert final.metrics.documents_loaded == 4
    assert "/last" in site.paths
    assert "/beyond" not in site.paths


async def test_what_is_known_already_takes_no_room_of_what_is_new(database: Path) -> None:
    pages = {
        "/": page("Home", "home", "/a"),
        "/a": page("A", "a", "/", "/a", "/b"),
        "/b": page("B", "b"),
    }
    async with (
        WebSite(pages) as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        final = await crawl(flow, site, max_pages=3)
    assert final.metrics.documents_loaded == 3


async def test_an_address_with_a_user_name_makes_no_knowledge_base(database: Path) -> None:
    source = {"type": "web", "urls": ["http://user:secret@10.0.0.1/"]}
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        for call in (flow.put_kb("site", source), flow.start("site", source)):
            with pytest.raises(InvalidRequest, match="without a user name") as refused:
                await call
            assert refused.value.field == "source.urls"
            assert "secret" not in str(refused.value)
        assert (await flow.kbs()).items == []


async def test_what_was_read_is_stored_while_another_page_is_slow(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        site.pages["/slow"] = Reply(hang=True)
        job = await flow.start("site", {"type": "web", "urls": [site.url + "/slow", site.url + "/moon"]})
        with anyio.fail_after(20):
            async for status in job.watch():
                if status.metrics.documents_loaded:
                    break
        await flow.cancel("site")
    assert status.metrics.documents_loaded == 1


async def test_pages_of_the_same_bytes_are_one_document_that_names_the_others(database: Path) -> None:
    site = website()
    site.pages["/"] = page("Home", "welcome to the harbour", "/tides", "/tides?from=home", "/tides.html")
    site.pages["/tides?from=home"] = site.pages["/tides.html"] = site.pages["/tides"]
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        for _ in range(2):
            final = await crawl(flow, site)
            assert final.status is JobStatus.COMPLETED
            at = site.url
            found = {each.uri.removeprefix(at): each for each in (await flow.documents("site")).items}
            tides = [uri for uri in found if uri.startswith("/tides")]
            assert len(tides) == 1
            others = found[tides[0]].metadata["also_at"]
            assert isinstance(others, list)
            assert sorted([*others, at + tides[0]]) == [f"{at}/tides", f"{at}/tides.html", f"{at}/tides?from=home"]
            assert (final.metrics.documents_deleted, len(found)) == (0, 3)


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_page_names_those_that_were_left_out_in_its_favour(database: Path, is_first: bool) -> None:
    site = website()
    links = ("/tides", "/tides?sort=a", "/tides?sort=b")
    site.pages["/"] = page("Home", "welcome to the harbour", *(links if is_first else links[:0:-1]))
    tides = b'<html><head><link rel="canonical" href="/tides"></head><body><p>high water at %s</p></body></html>'
    for number, link in enumerate(links):
        site.pages[link] = Reply(tides % str(number).encode())
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        for _ in range(2):
            final = await crawl(flow, site)
            assert final.status is JobStatus.COMPLETED
            found = {each.uri.removeprefix(site.url): each for each in (await flow.documents("site")).items}
            others = found["/tides"].metadata["also_at"]
            assert isinstance(others, list)
            assert sorted(others) == [f"{site.url}/tides?sort=a", f"{site.url}/tides?sort=b"]
            assert not found.keys() & set(links[1:])


@pytest.mark.longest(60)
async def test_a_sitemap_of_50000_addresses_is_read(database: Path) -> None:
    site = website()
    names = "".join(f"<url><loc>/page/{number:05}/of/the/manual.html</loc></url>" for number in range(50_000))
    site.pages["/sitemap.xml"] = Reply(f"<urlset>{names}</urlset>".encode(), type="application/xml")
    async with (
        site,
        WebLoader(
            WebSource(urls=(HttpUrl(site.url + "/"),), max_pages=100_000), allow_private=allowed(site), limits=QUICK
        ) as loader,
    ):
        pages = [page async for page in loader.list()]
    assert sum(map(len, pages)) == 50_001
